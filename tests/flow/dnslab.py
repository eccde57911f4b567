"""Two name servers in place of the lab's one: a primary on 127.0.0.1 and a secondary on 127.0.0.2
that learns of changes only when it is told, so that a flow decides how long it lags.
"""
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from lib import check, wait_for

NOTIFY_EVERY_S = 0.2


def zone_text(zone, servers, more=""):
    lines = [f"$ORIGIN {zone}.", "$TTL 1", f"@ SOA {servers[0][0]} hostmaster 1 3600 3600 86400 1"]
    for name, addr in servers:
        lines += [f"@ NS {name}", f"{name} A {addr}"]
    return "\n".join(lines) + "\n" + more


def notify_message(zone):
    """A NOTIFY (RFC 1996) for the zone."""
    name = b"".join(bytes([len(x)]) + x.encode() for x in zone.split(".")) + b"\0"
    return os.urandom(2) + b"\x24\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x06\x00\x01"


class TwoServers:
    """Zones: the lab's domain on both, `extra` = {zone: text} on the primary alone."""

    def __init__(self, stack, extra=None, delegated=""):
        self.stack, self.lab = stack, stack.lab
        self.extra = extra or {}
        self.port = int(stack.lab.dns_port)
        self.folder = stack.folder / "names"
        self.following = threading.Event()
        self.done = threading.Event()
        self.stop_lab_server()
        self.write(delegated)
        self.servers = []
        # One after the other: a secondary that finds no primary asks again only much later.
        for name, addr in (("primary", "127.0.0.1"), ("secondary", "127.0.0.2")):
            self.servers.append(self.start(name))
            wait_for(f"the name server on {addr}",
                     lambda addr=addr: self.dig(addr, stack.domain, "SOA"))
        self.thread = threading.Thread(target=self.tell, daemon=True)
        self.thread.start()
        self.follow()

    def stop_lab_server(self):
        path = self.lab.folder / "run/named.pid"
        pid = int(path.read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for("the end of the lab's name server",
                 lambda: not pathlib.Path(f"/proc/{pid}").exists())
        path.unlink()

    def write(self, delegated):
        domain = self.stack.domain
        secret = pathlib.Path(self.lab.tsig_secret_file).read_text().strip()
        key = f'key "lanthorn." {{ algorithm hmac-sha256; secret "{secret}"; }};\n'
        both = [("ns", "127.0.0.1"), ("ns2", "127.0.0.2")]
        zones = {domain: zone_text(domain, both, delegated), **self.extra}
        root = "$TTL 1\n@ SOA ns. hostmaster. 1 3600 3600 86400 1\n@ NS ns.\nns. A 127.0.0.1\n"
        text = key + self.options("primary", "127.0.0.1", "recursion yes; allow-transfer { any; };")
        text += 'zone "." { type primary; file "root.zone"; };\n'
        (self.folder / "primary/root.zone").write_text(root)
        for zone, content in zones.items():
            (self.folder / f"primary/{zone}.zone").write_text(content)
            text += (f'zone "{zone}" {{ type primary; file "{zone}.zone"; update-policy '
                     "{ grant lanthorn. zonesub TXT A AAAA CNAME; }; };\n")
        (self.folder / "primary/named.conf").write_text(text)
        (self.folder / "secondary/named.conf").write_text(
            self.options("secondary", "127.0.0.2", "recursion no;") +
            f'zone "{domain}" {{ type secondary; file "copy"; primaries port {self.port} '
            "{ 127.0.0.1; }; allow-notify { any; }; min-refresh-time 3600; };\n")

    def options(self, name, addr, more):
        folder = self.folder / name
        folder.mkdir(parents=True)
        return (f'options {{ directory "{folder}"; pid-file none; session-keyfile none; '
                f"listen-on port {self.port} {{ {addr}; }}; listen-on-v6 {{ none; }}; notify no; "
                f"dnssec-validation no; minimal-responses yes; {more} }};\ncontrols {{ }};\n")

    def start(self, name):
        # The lab's copy of named: a profile of the system may bind the installed one to its own
        # folders.
        return self.stack.start(f"named-{name}", self.lab.folder / "named/named", "-g", "-c",
                                self.folder / name / "named.conf")

    def tell(self):
        """While following, the secondary hears at once of what changed."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            while not self.done.is_set():
                if self.following.is_set():
                    sock.sendto(notify_message(self.stack.domain), ("127.0.0.2", self.port))
                time.sleep(NOTIFY_EVERY_S)

    def follow(self):
        self.following.set()

    def lag(self):
        self.following.clear()
        time.sleep(1)  # what was told before has arrived

    def dig(self, addr, name, kind="TXT"):
        done = subprocess.run(["dig", "+short", "+norecurse", "+time=2", "+tries=1", f"@{addr}",
                               "-p", str(self.port), name, kind], capture_output=True, text=True,
                              timeout=10, check=True)
        return sorted(line.strip('"') for line in done.stdout.splitlines())

    def txt(self, name, addr="127.0.0.1"):
        return self.dig(addr, "_acme-challenge." + name)

    def update(self, zone, *lines):
        secret = pathlib.Path(self.lab.tsig_secret_file).read_text().strip()
        done = subprocess.run(["nsupdate"], timeout=20, text=True, capture_output=True,
                              check=False, input="\n".join(
            [f"server 127.0.0.1 {self.port}", f"zone {zone}",
             f"key hmac-sha256:{self.lab.tsig_name} {secret}", *lines, "send", ""]))
        check(done.returncode == 0, f"nsupdate: {done.stderr}")
