#!/usr/bin/python3
"""A LAN of its own, each machine with its address: the main job across it, and then somebody on it
who lies about addresses and names, loses packets, or comes from elsewhere.
"""
import re
import signal
import subprocess

import lib
import netns
from lanlab import Impostor, Lan, LyingDns
from lib import check, equal, wait_for

STATE = {}


class Fake:
    """A gateway of somebody else: its certificates are valid, but of another device CA."""

    def __init__(self, lan):
        folder = lan.folder / "fakegate"
        folder.mkdir(exist_ok=True)
        self.process = lib.Process(
            "fakegate", [*lan.on("mallory"), lib.BUILD / "tests/flow/fakegate", "--dir", folder,
                         "--mode", "foreign", "--listen", "0.0.0.0", "--port", "443"], lan.folder,
            stdin=subprocess.PIPE)
        lan.processes.append(self.process)
        wait_for("the fake gateway", lambda: self.said("tap"))

    def said(self, word):
        return [line.split(" ", 1)[1] if " " in line else "" for line in
                self.process.text().splitlines() if line.split(" ")[0] == word]

    def heard(self):
        """(connections, application bytes) so far; a link that it accepted counts as a byte."""
        counts = [int(n) for n in self.said("app-bytes")]
        return len(counts), sum(counts) + len(self.said("link")) + len(self.said("stranger"))


def devices(lan):
    return {d["name"]: d for d in lan.ctl("devices")["devices"]}


def the_main_job_works_across_a_lan(lan):
    lan.start_gateway()
    for name, title in (("tv", "Television"), ("lamp", "Lamp")):
        lan.add_device(name, title)
    done = lan.prove_main_job()
    check("The main job works." in done.stdout, f"{done.stdout}\n{done.stderr}")


def the_phone_uses_both_devices_by_both_protocols(lan):
    gateway = lan.at["gateway"]
    for name in ("tv", "lamp"):
        for option, addr in (("-4", gateway.addr), ("-6", gateway.addr6)):
            equal(lan.open(name, option), (0, 200, addr), f"{name} {option}")
    equal(lan.lab.dig(lan.host("lamp"), "AAAA"), [gateway.addr6])


def port_80_redirects_and_sets_no_cookie(lan):
    for host in (lan.domain, lan.host("tv"), "elsewhere.example"):
        done = lan.at["phone"].must("curl", "-sS", "-m", "10", "-i", "-b", lan.jar, "--resolve",
                                    f"{host}:80:{lan.at['gateway'].addr}", f"http://{host}/?a=b")
        head = done.split("\r\n\r\n")[0].lower()
        check("set-cookie" not in head and "__host" not in done.lower(), f"{host}: {done}")
        if host.endswith(lan.domain):
            check(re.match(r"http/1.1 30[178]", head) and f"location: https://{host}/" in head,
                  f"{host}: {done}")
        else:
            check(re.match(r"http/1.1 4", head), f"{host}: {done}")


def who_takes_the_gateways_address_gets_no_byte(lan):
    """ARP spoofing of devices and phone at once."""
    fake = STATE["fake"] = Fake(lan)
    gateway, phone = lan.at["gateway"], lan.at["phone"]
    victims = [lan.at["tv"], lan.at["lamp"], phone]
    lan.open("tv", "-4")
    impostor = Impostor(lan.at["mallory"], gateway, victims)
    try:
        wait_for("the victims to believe it", impostor.is_believed)
        wait_for("agents at the fake gateway", lambda: fake.heard()[0] >= 2, 30)
        code, status, addr = lan.open("tv", "-4")
        equal((code, status), (60, 0), "curl's exit code (a foreign certificate) and the status")
        equal(addr, gateway.addr, "the address that was asked")
    finally:
        impostor.end()
    equal(fake.heard()[1], 0, "application bytes at the fake gateway")
    said = lan.agents["tv"].text()
    check("this is not the gateway" in said or "linked" in said, said[-500:])
    for name in ("tv", "lamp"):
        wait_for(f"{name} again", lambda name=name: lan.open(name, "-4")[:2] == (0, 200), 40)


def a_lying_name_server_leads_no_agent_astray(lan):
    """The agent knows no good address any more, so DNS is all it has."""
    fake, mallory, tv = STATE["fake"], lan.at["mallory"], lan.at["tv"]
    before = fake.heard()[0]
    equal(lan.open("tv", "-4")[:2], (0, 200), "before")
    lan.agents["tv"].expect_code += (-signal.SIGKILL,)
    lan.agents["tv"].stop(signal.SIGKILL)
    path = lan.folder / "agent-tv/identity"
    text = re.sub(r"^addr .*\n", "", path.read_text(), flags=re.M)
    path.write_text(text + f"addr {lan.at['phone'].addr}\n")  # refuses at once
    impostor = Impostor(mallory, lan.at["dns"], [tv, lan.at["phone"]])
    liar = LyingDns(mallory, lan.at["dns"].addr, mallory.addr)
    try:
        lan.start_agent("tv")
        wait_for("the agent at the fake gateway", lambda: fake.heard()[0] > before, 30)
        check(any(lan.domain in name for name in liar.asked), liar.asked)
        wait_for("the phone to be led astray", lambda: lan.open("tv", "-4") == (
            60, 0, mallory.addr), 30)
        status = lan.agent_status("tv")
        check(status["state"] != "linked", status)
        check("not the gateway" in status["last_error"], status)
    finally:
        liar.end()
        impostor.end()
    equal(fake.heard()[1], 0, "application bytes at the fake gateway")


def a_stale_list_of_addresses_is_mended_by_dns(lan):
    wait_for("the agent's link", lambda: lan.agent_status("tv")["state"] == "linked", 40)
    gateway = lan.at["gateway"]
    check(lan.agent_status("tv")["gateway"] in (gateway.addr, gateway.addr6), "another gateway")
    wait_for("tv's page", lambda: lan.open("tv", "-4") == (0, 200, gateway.addr), 10)
    STATE["fake"].process.stop()


def strangers_from_other_networks_are_closed(lan):
    """To an address of the gateway that the Internet can reach; neighbours there are served."""
    gateway, mallory = lan.at["gateway"], lan.at["mallory"]
    gateway.add("203.0.113.1/24")
    mallory.add("203.0.113.2/24")
    mallory.add("198.51.100.7/32")
    gateway.ip("route", "add", "198.51.100.7", "via", "203.0.113.2")
    seen = {}
    for source in ("203.0.113.2", "198.51.100.7"):
        done = mallory.run("curl", "-sS", "-m", "5", "--cacert", lan.lab.ca, "--interface", source,
                           "--resolve", f"{lan.domain}:443:203.0.113.1", "-o", "/dev/null",
                           f"https://{lan.domain}/signin")
        seen[source] = done.returncode
    equal(seen, {"203.0.113.2": 0, "198.51.100.7": 35}, "curl's exit codes")
    equal(lan.lab.dig(lan.domain), [gateway.addr], "what is published")
    gateway.remove("203.0.113.1/24")


def a_tenth_of_all_packets_lost_stops_nothing(lan):
    """A new device too: paired, enrolled, linked and opened."""
    lan.at["gateway"].nft(
        "table inet loss { chain in { type filter hook input priority 0; "
        "iifname eth0 numgen random mod 100 < 10 counter drop; }; }")
    try:
        lan.at["bell"] = lan.at["lamp"]
        lan.add_device("bell", "Bell")
        wait_for("the link", lambda: devices(lan).get("bell", {}).get("online"), 40)
        wait_for("the name", lambda: lan.lab.dig(f"bell.{lan.domain}"), 60)
        for name in ("tv", "lamp", "bell") * 3:
            code, status, _ = lan.open(name, "-4", "--connect-timeout", "30", "--retry", "2",
                                       timeout=60)
            equal((code, status), (0, 200), name)
        equal(lan.ctl("status")["domain"], lan.domain)
    finally:
        lost = lan.at["gateway"].must("nft", "list", "table", "inet", "loss")
        lan.at["gateway"].nft("delete table inet loss")
    check(int(re.search(r"packets (\d+)", lost)[1]) > 10, f"too few packets were lost: {lost}")


netns.enter(mounts=True)
lib.run([
    the_main_job_works_across_a_lan,
    the_phone_uses_both_devices_by_both_protocols,
    port_80_redirects_and_sets_no_cookie,
    who_takes_the_gateways_address_gets_no_byte,
    a_lying_name_server_leads_no_agent_astray,
    a_stale_list_of_addresses_is_mended_by_dns,
    strangers_from_other_networks_are_closed,
    a_tenth_of_all_packets_lost_stops_nothing,
], Lan)
