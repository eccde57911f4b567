"""A LAN of network namespaces: a switch in the flow's own namespace and machines at it, each with
addresses, a resolver and sockets of its own. A namespace lives as long as the process that holds
it, and that process dies with the flow, so nothing is left over even after a SIGKILL.
"""
import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading

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

    def mac(self):
        with self.here():
            return bytes.fromhex(mac_of("eth0").replace(":", ""))

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


def mac_of(device):
    import fcntl
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        raw = fcntl.ioctl(sock, 0x8927, struct.pack("256s", device.encode()))  # SIOCGIFHWADDR
    return raw[18:24].hex(":")


class Impostor:
    """Says again and again, to all, that `addr` is at the machine's hardware address (ARP)."""

    def __init__(self, machine, addr):
        self.machine, self.addr = machine, addr
        machine.add(addr + "/32", "lo")
        with machine.here():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind(("eth0", 0))
        self.frame = gratuitous(machine.mac(), addr)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.shout, daemon=True)
        self.thread.start()

    def shout(self):
        while not self.ending.wait(0.1):
            self.sock.send(self.frame)

    def end(self, owner):
        """Falls silent, and the owner of the address speaks up, as systems do at a conflict."""
        self.ending.set()
        self.thread.join()
        self.sock.close()
        self.machine.remove(self.addr + "/32", "lo")
        announce(owner, self.addr)


def gratuitous(mac, addr):
    """An ARP reply to everybody that nobody asked for."""
    ip4 = socket.inet_aton(addr)
    return (b"\xff" * 6 + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x02" + mac + ip4 +
            b"\xff" * 6 + ip4)


def announce(machine, addr, times=3):
    with machine.here(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        for _ in range(times):
            sock.send(gratuitous(machine.mac(), addr))


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
