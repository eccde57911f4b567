#!/usr/bin/env python3
"""Names in DNS follow the interface, only the LAN may connect, and one wildcard can stand for all."""
import os
import subprocess
import sys
import time

import lib
import netns
from lib import Stack, check, equal, wait_for
from web import shown_names, tls_connect

FOLLOW_S = 10  # from a change of addresses to DNS
GLOBAL = "203.0.113.1"
GLOBAL6 = "2001:db8:1::1"
NAS = "devices:\n  - name: nas\n    upstream: http://127.0.0.1:9\n"

# Run in the neighbour's namespace: python3 -c … PORT HOST CA SOURCE DESTINATION
DIAL = """
import socket, ssl, sys
port, host, ca, source, to = sys.argv[1:]
try:
    raw = socket.create_connection((to, int(port)), 5, source_address=(source, 0))
    context = ssl.create_default_context(cafile=ca)
    with context.wrap_socket(raw, server_hostname=host):
        print("served")
except (ConnectionError, ssl.SSLError) as error:
    print("closed", type(error).__name__)
except OSError as error:
    print("error", error)
"""


class Home(Stack):
    """A gateway that listens everywhere and follows lan0."""
    mode, from_, static, interface = "wildcard", "lan", NAS, "lan0"

    def config_text(self):
        text = super().config_text()
        for old, new in (("  addresses: [127.0.0.1]\n",
                          f'  addresses: ["0.0.0.0", "::"]\n  from: {self.from_}\n'),
                         ("\naddresses: [127.0.0.1]\n",
                          f"\naddresses: auto\ninterface: {self.interface}\n"
                          f"certificates: {self.mode}\n")):
            check(old in text, f"{old!r} is not in the configuration")
            text = text.replace(old, new)
        return text + self.static

    def reload(self, **changes):
        for key, value in changes.items():
            setattr(self, key, value)
        (self.folder / "gateway.yaml").write_text(self.config_text())
        done = self.ctl_run("reload")
        equal(done.returncode, 0, f"reload: {done.stderr}")

    def far_ip(self, *args):
        subprocess.run(["nsenter", "-t", str(self.far.pid), "-n", "ip", *args], check=True,
                       timeout=20)

    def dial(self, source, to):
        """What somebody at `source`, beyond lan0, gets at our address `to`."""
        done = subprocess.run(["nsenter", "-t", str(self.far.pid), "-n", sys.executable, "-c",
                               DIAL, str(self.port), self.domain, str(self.lab.ca), source, to],
                              capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.split()[0] if done.stdout else done.stderr

    def resolves(self, name, *addrs):
        return (self.lab.dig(name) == sorted(a for a in addrs if ":" not in a) and
                self.lab.dig(name, "AAAA") == sorted(a for a in addrs if ":" in a))

    def has_records(self, name):
        """Records of its own: where there are none, names below it meet the wildcard (RFC 4592)."""
        return not self.lab.dig("x." + name)


def build_network(stack):
    stack.far = stack.start("far", "unshare", "--net", "sleep", "600")
    ours = os.readlink("/proc/self/ns/net")
    wait_for("the neighbour's namespace",
             lambda: os.readlink(f"/proc/{stack.far.pid}/ns/net") != ours)
    netns.ip("link", "add", "lan0", "type", "veth", "peer", "name", "far0")
    netns.ip("link", "add", "wan0", "type", "veth", "peer", "name", "wan1")
    netns.ip("link", "set", "far0", "netns", str(stack.far.pid))
    for name in ("lan0", "wan0", "wan1"):
        netns.ip("link", "set", name, "up")
    stack.far_ip("link", "set", "far0", "up")
    for addr in ("192.168.50.1/24", f"{GLOBAL}/24", f"{GLOBAL6}/64", "fd00:50::1/64"):
        add("lan0", addr)
    add("wan0", "192.168.99.1/24")
    for addr in ("192.168.50.2/24", "203.0.113.2/24", "198.51.100.7/32"):
        stack.far_ip("addr", "add", addr, "dev", "far0")
    for addr in ("2001:db8:1::2/64", "2001:db8:9::7/128", "fd00:50::2/64"):
        stack.far_ip("addr", "add", addr, "dev", "far0", "nodad")
    netns.ip("route", "add", "198.51.100.7", "via", "203.0.113.2")
    netns.ip("route", "add", "2001:db8:9::7", "via", "2001:db8:1::2")


def add(device, addr):
    netns.ip("addr", "add", addr, "dev", device, *(["nodad"] if ":" in addr else []))


def orders(stack):
    """Finished orders, as the CA counts them."""
    log = (stack.lab.folder / "log/pebble.log").read_text(errors="replace")
    return log.count("Issued certificate serial")


def with_a_wildcard_only_two_names_are_in_dns(stack):
    build_network(stack)
    stack.start_gateway()
    for name in (stack.domain, "*." + stack.domain):
        wait_for(f"{name} in DNS",
                 lambda name=name: stack.resolves(name, "192.168.50.1", "fd00:50::1"))
    check(not stack.has_records(stack.host("nas")), "nas has records of its own")
    check(stack.resolves(stack.host("nas"), "192.168.50.1", "fd00:50::1"), "nas")


def one_certificate_serves_every_device(stack):
    both = sorted([stack.domain, "*." + stack.domain])
    wait_for("the certificate",
             lambda: shown_names(stack.port, stack.host("nas"), stack.lab.ca) == both, 40)
    equal([c["id"] for c in stack.ctl("certs")["certificates"]], ["@base"])
    equal(orders(stack), 1, "certificates issued")


def a_reload_gives_each_device_its_own(stack):
    host = stack.host("nas")
    stack.reload(mode="per-device")
    wait_for("a certificate for nas alone",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 40)
    equal(orders(stack), 2, "certificates issued")
    wait_for("records of nas", lambda: stack.has_records(host) and
             stack.resolves(host, "192.168.50.1", "fd00:50::1"))
    wait_for("the wildcard out of DNS", lambda: stack.resolves("*." + stack.domain))


def a_second_address_is_published_too(stack):
    add("lan0", "10.7.0.1/24")
    for name in (stack.domain, stack.host("nas")):
        wait_for(f"both addresses of {name}", lambda name=name: stack.resolves(
            name, "192.168.50.1", "10.7.0.1", "fd00:50::1"), FOLLOW_S)


def dns_follows_a_changed_address(stack):
    for old, new in (("10.7.0.1/24", None), ("192.168.50.1/24", "192.168.50.9/24"),
                     ("fd00:50::1/64", "fd00:50::9/64")):
        netns.ip("addr", "del", old, "dev", "lan0")
        if new:
            add("lan0", new)
    for name in (stack.domain, stack.host("nas")):
        wait_for(f"the new addresses of {name}", lambda name=name: stack.resolves(
            name, "192.168.50.9", "fd00:50::9"), FOLLOW_S)
    equal(stack.ctl("status")["addresses"], ["192.168.50.9", "fd00:50::9"], "status")


def without_any_address_what_stands_stays(stack):
    netns.ip("addr", "del", "192.168.50.9/24", "dev", "lan0")
    netns.ip("addr", "del", "fd00:50::9/64", "dev", "lan0")
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        for name in (stack.domain, stack.host("nas")):
            check(stack.resolves(name, "192.168.50.9", "fd00:50::9"), f"{name} lost its address")
        time.sleep(0.3)
    add("lan0", "192.168.50.1/24")
    add("lan0", "fd00:50::1/64")
    wait_for("the address after the pause", lambda: stack.resolves(
        stack.host("nas"), "192.168.50.1", "fd00:50::1"), FOLLOW_S)


def global_addresses_are_for_neighbours_only(stack):
    for source, to, expected in (
            ("192.168.50.2", "192.168.50.1", "served"),
            ("fd00:50::2", "fd00:50::1", "served"),
            ("203.0.113.2", GLOBAL, "served"),
            ("2001:db8:1::2", GLOBAL6, "served"),
            ("198.51.100.7", GLOBAL, "closed"),
            ("2001:db8:9::7", GLOBAL6, "closed"),
            ("198.51.100.7", "192.168.50.1", "served")):
        equal(stack.dial(source, to), expected, f"from {source} to {to}")


def a_lost_interface_leaves_dns_as_it_is(stack):
    netns.ip("link", "set", "lan0", "name", "lan9")
    time.sleep(2)
    check(stack.resolves(stack.host("nas"), "192.168.50.1", "fd00:50::1"), "nas lost its address")
    stack.reload(interface="wan0")
    wait_for("the addresses of wan0", lambda: stack.resolves(stack.host("nas"), "192.168.99.1"),
             FOLLOW_S)


def a_removed_device_leaves_dns(stack):
    stack.reload(static="")
    wait_for("nas out of DNS", lambda: stack.resolves(stack.host("nas")), FOLLOW_S)
    equal([c["id"] for c in stack.ctl("certs")["certificates"]], ["@base"])
    equal(sorted(p.name for p in (stack.folder / "state/gate/certs").iterdir()), ["@base.pem"])


def a_reload_brings_the_wildcard_back(stack):
    before = orders(stack)
    stack.reload(mode="wildcard", static=NAS)
    wait_for("the wildcard in DNS",
             lambda: stack.resolves("*." + stack.domain, "192.168.99.1"), FOLLOW_S)
    check(not stack.has_records(stack.host("nas")), "nas has records of its own")
    tls_connect(stack.port, stack.host("nas"), stack.lab.ca).close()
    equal(orders(stack), before, "certificates issued")


def listen_from_any_serves_everybody(stack):
    stack.gateway.stop()
    stack.from_ = "any"
    stack.start_gateway()
    for source, to in (("198.51.100.7", GLOBAL), ("2001:db8:9::7", GLOBAL6),
                       ("203.0.113.2", GLOBAL)):
        equal(stack.dial(source, to), "served", f"from {source} to {to}")


netns.enter()
lib.run([
    with_a_wildcard_only_two_names_are_in_dns,
    one_certificate_serves_every_device,
    a_reload_gives_each_device_its_own,
    a_second_address_is_published_too,
    dns_follows_a_changed_address,
    without_any_address_what_stands_stays,
    global_addresses_are_for_neighbours_only,
    a_lost_interface_leaves_dns_as_it_is,
    a_removed_device_leaves_dns,
    a_reload_brings_the_wildcard_back,
    listen_from_any_serves_everybody,
], Home)
