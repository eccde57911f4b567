#!/usr/bin/python3
"""A LAN that changes under everybody's feet: a device moves, packets vanish without a word, the
gateway gets another address. All find each other again, nothing is restarted, nothing is left open.
"""
import os
import re
import socket
import ssl
import sys
import time

import lib
import netns
from lanlab import Lan
from lib import check, equal, wait_for

DEAD_S = 45    # a link that hears nothing more is given up after 30 s
IDLE_S = 8     # limits of the configuration below
HELD = 12      # connections that nobody closes
SOCKETS = 4    # WebSockets of the same kind
OTHER = 5353   # where the name server is reached while port 53 is blocked
BLIND_S = 120  # a proof that nobody can look at is trusted after so long
STATE = {}


class Home(Lan):
    """Its provider's servers can also be asked and changed on another port, so that port 53 outward
    can be blocked."""

    def config_text(self):
        text = super().config_text()
        for old, new in ((f"server: {self.lab.dns_addr}:53", f"server: {self.lab.dns_addr}:{OTHER}"),
                         (f'["{self.lab.dns_addr}:53"]', f'["{self.lab.dns_addr}:{OTHER}"]')):
            check(old in text, f"{old!r} is not in the configuration")
            text = text.replace(old, new)
        return text

    def make_lab(self, settings):
        super().make_lab(settings)
        self.at["dns"].nft("table ip other { chain pre { type nat hook prerouting priority -100; "
                           f"udp dport {OTHER} redirect to :53; "
                           f"tcp dport {OTHER} redirect to :53; }}; }}")


def make():
    return Home(f"limits:\n  idle_timeout: {IDLE_S}s\n  keepalive: {IDLE_S}s\n")


def devices(lan):
    return {d["name"]: d for d in lan.ctl("devices")["devices"]}


def descriptors(lan):
    return len(os.listdir(f"/proc/{lan.gate_pid()}/fd"))


def pids(lan):
    return lan.gateway.pid, lan.gate_pid(), lan.steward_pid()


def dial(lan, name, addr, timeout=10, source="phone"):
    """A verified TLS connection of the phone, or of another machine."""
    with lan.at[source].here():
        raw = socket.create_connection((addr, 443), timeout)
    context = ssl.create_default_context(cafile=str(lan.lab.ca))
    return context.wrap_socket(raw, server_hostname=lan.host(name))


def serial(lan, name, addr):
    with dial(lan, name, addr) as tls:
        return tls.getpeercert()["serialNumber"]


def cookies(lan, host):
    """What the phone's jar has for a host."""
    found = []
    for line in lan.jar.read_text().splitlines():
        fields = line.removeprefix("#HttpOnly_").split("\t")
        if len(fields) == 7 and fields[0] == host:
            found.append(f"{fields[5]}={fields[6]}")
    return "; ".join(found)


def web_socket(lan, name, addr, source):
    """An open WebSocket that then says nothing."""
    tls = dial(lan, name, addr, source=source)
    host = lan.host(name)
    tls.sendall((f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                 f"Origin: https://{host}\r\nCookie: {cookies(lan, host)}\r\n\r\n").encode())
    head = tls.recv(4096)
    check(b" 101 " in head, head)
    return tls


def a_home_with_two_devices(lan):
    lan.start_gateway()
    lan.at["bell"] = lan.at["ca"]  # stays where it is
    for name, title in (("tv", "Television"), ("lamp", "Lamp"), ("bell", "Bell")):
        lan.add_device(name, title)
    done = lan.prove_main_job()
    check("The main job works." in done.stdout, f"{done.stdout}\n{done.stderr}")
    for name in ("tv", "lamp", "bell"):
        equal(lan.open(name)[:2], (0, 200), name)
    STATE["pids"] = pids(lan)


def a_guest_vanishes(lan):
    """A second phone goes out of reach; nobody says goodbye for it."""
    gateway, guest = lan.at["gateway"], lan.at["mallory"]
    STATE["calm"] = descriptors(lan)
    held = [dial(lan, "bell", gateway.addr, source="mallory") for _ in range(HELD)]
    held += [web_socket(lan, "bell", gateway.addr, "mallory") for _ in range(SOCKETS)]
    check(seen_from(lan, guest) == HELD + SOCKETS, "the guest's connections are not seen")
    guest.cut_off(gateway)
    STATE["held"] = held


def seen_from(lan, machine):
    """The gateway's connections with a machine."""
    return len(lan.at["gateway"].must("ss", "-Htn", "state", "established", "dst",
                                      machine.addr).splitlines())


def a_request_to_a_device_that_vanished_is_answered(lan):
    """And one device moves to another address meanwhile."""
    tv, lamp = lan.at["tv"], lan.at["lamp"]
    a_guest_vanishes(lan)
    tv.cut_off(lan.at["gateway"])
    STATE["cut"] = time.monotonic()
    lamp.remove(lamp.addr + "/24")
    lamp.remove(lamp.addr6 + "/64")
    lamp.addr, lamp.addr6 = "10.77.0.132", "fd77::132"
    lamp.add(lamp.addr + "/24")
    lamp.add(lamp.addr6 + "/64")
    begun = time.monotonic()
    code, status, _ = lan.open("tv", timeout=60)
    took = time.monotonic() - begun
    equal(code, 0, "curl's exit code")
    check(status in (502, 503, 504), f"status {status}")
    check("is not" in lan.page() or "silent" in lan.page(), lan.page())
    check(took < 2 * IDLE_S + 12, f"after {took:.1f} s")


def a_moved_device_links_from_its_new_address(lan):
    lamp = lan.at["lamp"]
    wait_for("lamp's page", lambda: lan.open("lamp")[:2] == (0, 200), DEAD_S)
    check(devices(lan)["lamp"]["peer"] in (lamp.addr, lamp.addr6), devices(lan)["lamp"])


def a_device_that_vanished_is_seen_to_be_away(lan):
    wait_for("tv offline", lambda: not devices(lan)["tv"]["online"], DEAD_S)
    text = lan.ctl_run("devices").stdout
    check(re.search(r"○ tv .* away, last seen", text), text)
    code, status, _ = lan.open("tv", timeout=30)
    check(code == 0 and status in (503, 504), f"its page: {code} {status}")


def certificate(lan, name):
    return next(c for c in lan.ctl("certs")["certificates"] if c["id"] == name)


def with_port_53_blocked_a_new_device_works_at_once(lan):
    """Under the wildcard; its own certificate comes late, in the last promise of this flow."""
    lan.at["gateway"].nft(
        "table inet outward { chain out { type filter hook output priority 0; "
        "oifname eth0 udp dport 53 drop; oifname eth0 tcp dport 53 drop; }; }")
    lan.at["blind"] = lan.at["ca"]
    lan.add_device("blind", "Blind")
    STATE["blind"] = time.monotonic()
    wait_for("its page, under the wildcard", lambda: lan.open("blind")[:2] == (0, 200), 20)


def meanwhile_the_log_says_what_is_waited_for(lan):
    wait_for("the words", lambda: re.search(
        r"still waiting for name servers name=_acme-challenge\.blind.*does not answer.*"
        "port 53 outward may be blocked", lan.ctl_run("logs", "1000").stdout), 60)


def the_order_is_placed_in_the_end(lan):
    left = BLIND_S + 60 - (time.monotonic() - STATE["blind"])
    wait_for("the certificate", lambda: certificate(lan, "blind")["state"] == "held",
             max(left, 10), 0.5)
    print(f"after {time.monotonic() - STATE['blind']:.0f} s", file=sys.stderr)


def half_open_connections_of_a_guest_are_forgotten(lan):
    wait_for("the end of all", lambda: seen_from(lan, lan.at["mallory"]) == 0, DEAD_S)
    equal(lan.open("bell")[:2], (0, 200), "bell, which the guest had open")


def a_device_returns_when_packets_pass_again(lan):
    lan.at["tv"].heal()
    wait_for("tv's page", lambda: lan.open("tv")[:2] == (0, 200), DEAD_S)


def names_follow_the_gateways_new_address(lan):
    gateway = lan.at["gateway"]
    old, old6 = gateway.addr, gateway.addr6
    STATE["serials"] = {name: serial(lan, name, old) for name in ("tv", "lamp")}
    STATE["held"] += [dial(lan, "bell", old) for _ in range(HELD)]
    check(seen_from(lan, lan.at["phone"]) >= HELD, "the phone's connections are not seen")
    gateway.remove(old + "/24")
    gateway.remove(old6 + "/64")
    gateway.addr, gateway.addr6 = "10.77.0.9", "fd77::9"
    gateway.add(gateway.addr + "/24")
    gateway.add(gateway.addr6 + "/64")
    for name in (lan.domain, lan.host("tv"), lan.host("lamp")):
        wait_for(f"{name} in DNS", lambda name=name: lan.lab.dig(name) == [gateway.addr] and
                 lan.lab.dig(name, "AAAA") == [gateway.addr6], 15)


def the_same_certificates_are_served_there(lan):
    gateway = lan.at["gateway"]
    for name, was in STATE["serials"].items():
        for addr in (gateway.addr, gateway.addr6):
            equal(serial(lan, name, addr), was, f"serial of {name} at {addr}")
    equal(pids(lan), STATE["pids"], "processes")


def devices_and_phone_find_the_new_address_by_dns(lan):
    gateway = lan.at["gateway"]
    for name in ("tv", "lamp", "bell"):
        wait_for(f"{name}'s page", lambda name=name: lan.open(name, "-4") == (
            0, 200, gateway.addr), DEAD_S)
        check(lan.agent_status(name)["gateway"] in (gateway.addr, gateway.addr6), name)


def nothing_is_left_open(lan):
    wait_for("the descriptors to be free", lambda: descriptors(lan) <= STATE["calm"] + 4, DEAD_S)
    for tls in STATE["held"]:
        tls.close()
    equal(pids(lan), STATE["pids"], "processes")


netns.enter(mounts=True)
lib.run([
    a_home_with_two_devices,
    with_port_53_blocked_a_new_device_works_at_once,
    a_request_to_a_device_that_vanished_is_answered,
    a_moved_device_links_from_its_new_address,
    a_device_that_vanished_is_seen_to_be_away,
    half_open_connections_of_a_guest_are_forgotten,
    a_device_returns_when_packets_pass_again,
    names_follow_the_gateways_new_address,
    the_same_certificates_are_served_there,
    devices_and_phone_find_the_new_address_by_dns,
    nothing_is_left_open,
    meanwhile_the_log_says_what_is_waited_for,
    the_order_is_placed_in_the_end,
], make)
