"""A LAN of network namespaces: a switch in the flow's own namespace and machines at it, each with
addresses, a resolver and sockets of its own. A namespace lives as long as the process that holds
it, and that process dies with the flow, so nothing is left over even after a SIGKILL.
"""
import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

import lib
import netns
from lib import check, wait_for

NET, NET6 = "10.77.0.", "fd77::"
SWITCH = "lan0"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
# Address by machine; the flow itself sits at the switch to look on.
MACHINES = {"gateway": 1, "phone": 20, "tv": 31, "lamp": 32, "dns": 53, "ca": 60, "mallory": 66}
WATCHER = 250


class Machine:
    """One namespace, held by a sleeping process, with eth0 at the switch."""

    def __init__(self, stack, name, last, resolver):
        self.name, self.last = name, last
        self.addr, self.addr6 = NET + str(last), NET6 + str(last)
        conf = stack.folder / f"resolv.{name}"
        conf.write_text(f"nameserver {resolver}\noptions timeout:1 attempts:2\n")
        self.resolv_conf = conf
        self.holder = stack.start(f"machine-{name}", "setpriv", "--pdeathsig", "KILL", "unshare",
                                  "--net", "--mount", "sh", "-ec", 'mount --bind "$1" '
                                  "/etc/resolv.conf; ip link set lo up; exec sleep 3600", "-", conf)
        ours = os.readlink("/proc/self/ns/net")
        wait_for(f"the namespace of {name}", lambda: self.holder.alive() and (
            os.readlink(f"/proc/{self.holder.pid}/ns/net") != ours and b"sleep" in
            open(f"/proc/{self.holder.pid}/cmdline", "rb").read()))
        self.ns = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        port = f"to-{name}"
        netns.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
                 str(self.holder.pid))
        netns.ip("link", "set", port, "master", SWITCH, "up")
        self.ip("link", "set", "eth0", "up")
        self.add(self.addr + "/24")
        self.add(self.addr6 + "/64")
        self.mac = self.read_mac()

    @property
    def prefix(self):
        """The words before a command that is to run there."""
        return ("nsenter", "-t", str(self.holder.pid), "-n", "-m", "--")

    def run(self, *argv, timeout=30, **more):
        return subprocess.run([*self.prefix, *(str(a) for a in argv)], timeout=timeout * lib.SLOW,
                              capture_output=True, text=True, check=False, **more)

    def must(self, *argv, **more):
        done = self.run(*argv, **more)
        check(done.returncode == 0, f"{self.name}: {argv}: {done.stdout} {done.stderr}")
        return done.stdout

    def ip(self, *args):
        return self.must("ip", *args)

    def nft(self, text):
        self.must("nft", "-f", "-", input=text)

    def add(self, addr, dev="eth0"):
        self.ip("addr", "add", addr, "dev", dev, *(["nodad"] if ":" in addr else []))

    def remove(self, addr, dev="eth0"):
        self.ip("addr", "del", addr, "dev", dev)

    @contextlib.contextmanager
    def here(self):
        """Sockets that this thread makes meanwhile are the machine's."""
        ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter_netns(self.ns)
        try:
            yield
        finally:
            enter_netns(ours)
            os.close(ours)

    def read_mac(self):
        with self.here(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("eth0", 0))
            return sock.getsockname()[4]

    def neighbour(self, addr):
        """The hardware address that it has for an address; "" when it has none."""
        words = self.ip("neigh", "show", addr).split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else ""

    def cut_off(self, peer):
        """From now on no packet passes between it and `peer`, and nobody is told."""
        self.nft(f"table inet cut {{ chain in {{ type filter hook input priority 0; "
                 f"ip saddr {peer.addr} drop; ip6 saddr {peer.addr6} drop; }}; "
                 f"chain out {{ type filter hook output priority 0; "
                 f"ip daddr {peer.addr} drop; ip6 daddr {peer.addr6} drop; }}; }}")

    def heal(self):
        self.nft("table inet cut {}\ndelete table inet cut\n")


def enter_netns(fd):
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Impostor:
    """Takes an address over: it tells the victims again and again, by ARP replies that nobody asked
    for, that the address is at its own hardware address, and listens there.
    """

    def __init__(self, machine, owner, victims):
        self.machine, self.owner, self.victims = machine, owner, victims
        machine.add(owner.addr + "/32", "lo")
        with machine.here():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind(("eth0", 0))
        self.frames = [gratuitous(machine.mac, owner.addr, v.mac) for v in victims]
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.shout, daemon=True)
        self.thread.start()

    def shout(self):
        while not self.ending.wait(0.1):
            for frame in self.frames:
                self.sock.send(frame)

    def is_believed(self):
        return all(v.neighbour(self.owner.addr) == self.machine.mac.hex(":") for v in self.victims)

    def end(self):
        """It falls silent, and the owner speaks up, as systems do at a conflict."""
        self.ending.set()
        self.thread.join()
        self.sock.close()
        self.machine.remove(self.owner.addr + "/32", "lo")
        wait_for("the truth to be believed", self.is_forgotten, 10, 0.3)

    def is_forgotten(self):
        with self.owner.here(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("eth0", 0))
            sock.send(gratuitous(self.owner.mac, self.owner.addr))
        return not any(v.neighbour(self.owner.addr) == self.machine.mac.hex(":")
                       for v in self.victims)


def gratuitous(mac, addr, to=b"\xff" * 6):
    """An ARP reply that nobody asked for."""
    ip4 = socket.inet_aton(addr)
    return (to + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x02" + mac + ip4 +
            to + ip4)


class LyingDns:
    """A name server that has one address for every name."""

    def __init__(self, machine, at, answer):
        self.answer = answer
        with machine.here():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((at, 53))
        self.sock.settimeout(0.2)
        self.ending = threading.Event()
        self.asked = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.ending.is_set():
            try:
                wire, peer = self.sock.recvfrom(4096)
            except TimeoutError:
                continue
            query = dns.message.from_wire(wire)
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA | dns.flags.RA
            name = query.question[0].name
            if query.question[0].rdtype == dns.rdatatype.A:
                reply.answer.append(dns.rrset.from_text(name, 1, "IN", "A", self.answer))
            self.asked.append(name.to_text())
            self.sock.sendto(reply.to_wire(), peer)

    def end(self):
        self.ending.set()
        self.thread.join()
        self.sock.close()


class Lan(lib.Stack):
    """The whole LAN, with the lab's name server and authority on machines of their own."""
    domain_name = "home.test"

    def __init__(self, config="", **lab):
        self.at = {}
        netns.ip("link", "add", SWITCH, "type", "bridge")
        netns.ip("link", "set", SWITCH, "up")
        netns.ip("addr", "add", f"{NET}{WATCHER}/24", "dev", SWITCH)
        super().__init__(config, **lab)

    def make_lab(self, settings):
        for name, last in MACHINES.items():
            self.at[name] = Machine(self, name, last, NET + str(MACHINES["dns"]))
        places = {f"{word}_{key}": value for word, key, value in self.lab_places()}
        self.lab = lib.Lab(self.folder / "lab", domain=self.domain_name, dns_fixed_port=53,
                           **places, **settings)
        self.domain, self.port = self.lab.domain, 443

    def lab_places(self):
        for machine, word in (("dns", "dns"), ("ca", "acme")):
            m = self.at[machine]
            yield word, "addr", m.addr
            yield word, "on", " ".join(m.prefix)

    def on(self, machine):
        return self.at[machine].prefix

    def config_text(self):
        text = super().config_text()
        for old, new in (("  http_port: 0\n  addresses: [127.0.0.1]\n", ""),
                         ("\naddresses: [127.0.0.1]\n", "\naddresses: auto\ninterface: eth0\n")):
            check(old in text, f"{old!r} is not in the configuration")
            text = text.replace(old, new)
        return text

    # ---- the phone ----

    @property
    def jar(self):
        return self.folder / "phone/cookies"

    def prove_main_job(self):
        """The demo's own proof, run on the phone; it ends signed in."""
        work = self.folder / "phone"
        work.mkdir()
        return self.at["phone"].run(
            "env", f"LAB_CA={self.lab.ca}", f"LAB_DOMAIN={self.domain}",
            f"LAB_DNS_ADDR={self.lab.dns_addr}", f"LAB_DNS_PORT={self.lab.dns_port}",
            f"LAB_GATEWAY_ADDR={self.at['gateway'].addr}", lib.TOP / "packaging/demo/check.sh",
            self.port, self.setup_link(), lib.DEMO, work, timeout=120)

    def open(self, name, *options, path="/", timeout=20):
        """(curl's exit code, status, address asked) of opening a device's page."""
        done = self.at["phone"].run(
            "curl", "-sS", "-L", "-m", timeout, "--cacert", self.lab.ca, "-b", self.jar, "-c",
            self.jar, "-H", "Sec-Fetch-Mode: navigate", "-H", "Sec-Fetch-Dest: document", "-H",
            "Accept: text/html", "-o", self.folder / "phone/page", "-w",
            "%{http_code} %{remote_ip}", *options, f"https://{self.host(name)}{path}",
            timeout=timeout + 10)
        status, _, addr = done.stdout.partition(" ")
        return done.returncode, int(status), addr

    def page(self):
        """What was opened last."""
        return (self.folder / "phone/page").read_text(errors="replace")

    # ---- devices ----

    def agent_status(self, name):
        done = self.at[name].run(lib.BUILD / "lanthorn-agent", "status", "--json", "--state",
                                 self.folder / f"agent-{name}")
        return json.loads(done.stdout)
