#!/usr/bin/python3
"""Provider rfc2136 against a real named on loopback: set, unset, values beside each other, and each
way to be refused. Takes the build folder from $BUILD (default: the current one). Prints TAP."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from lib import free_port

PROGRAM = os.path.join(os.environ.get("BUILD", "."), "lanthorn-dns")
SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
CHALLENGE = "_acme-challenge.home.test"

CONF = """
key "lanthorn" {{ algorithm hmac-sha256; secret "{secret}"; }};
key "lanthorn384" {{ algorithm hmac-sha384; secret "{secret}"; }};
key "lanthorn512" {{ algorithm hmac-sha512; secret "{secret}"; }};
key "stranger" {{ algorithm hmac-sha256; secret "{secret}"; }};
options {{ directory "{dir}"; pid-file "{dir}/named.pid"; session-keyfile "{dir}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;
  allow-transfer {{ none; }}; notify no; dnssec-validation no; minimal-responses yes; }};
controls {{ }};
logging {{ channel l {{ file "{dir}/named.log"; severity debug 1; print-time yes; }};
  category default {{ l; }}; category update {{ l; }}; category update-security {{ l; }}; }};
zone "home.test" {{ type primary; file "home.test.zone"; update-policy {{
  grant lanthorn zonesub TXT A AAAA; grant lanthorn384 zonesub TXT; grant lanthorn512 zonesub TXT;
}}; }};
"""
ZONE = """$TTL 60
@ SOA ns.home.test. hostmaster.home.test. 1 3600 600 86400 5
@ NS ns.home.test.
ns A 127.0.0.1
alias CNAME ns
"""

count = 0
failed = 0


def check(ok, name, why=""):
    global count, failed
    count += 1
    print(("ok" if ok else "not ok"), count, "-", name, flush=True)
    if not ok:
        failed += 1
        for line in str(why).splitlines():
            print("#", line, flush=True)


def lookup(port, name, rdtype):
    """The sorted values of an RRset at the server."""
    query = dns.message.make_query(name, rdtype)
    answer = dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
    return sorted(
        r.to_text().strip('"')
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.from_text(rdtype)
        for r in rrset
    )


class Named:
    """A name server of its own in a temporary folder."""

    def __init__(self, folder):
        self.dir = folder
        self.port = free_port()
        # A copy: access profiles of the installed program are bound to its path.
        self.program = os.path.join(folder, "named")
        shutil.copy(shutil.which("named", path="/usr/sbin:/usr/local/sbin:/usr/bin"), self.program)
        with open(os.path.join(folder, "home.test.zone"), "w", encoding="ascii") as f:
            f.write(ZONE)
        with open(os.path.join(folder, "named.conf"), "w", encoding="ascii") as f:
            f.write(CONF.format(dir=folder, port=self.port, secret=SECRET))
        self.log = open(os.path.join(folder, "out"), "w", encoding="ascii")
        self.child = subprocess.Popen(
            [self.program, "-c", os.path.join(folder, "named.conf"), "-f"],
            stdout=self.log,
            stderr=self.log,
        )

    def wait(self):
        for _ in range(100):
            try:
                if lookup(self.port, "ns.home.test", "A"):
                    return True
            except (OSError, dns.exception.DNSException):
                time.sleep(0.1)
        return False

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()

    def dump(self):
        for name in ("out", "named.log"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    for line in f.readlines()[-40:]:
                        print("#", line.rstrip())


def plugin(port, verb, name, rdtype, value, **settings):
    """Run the plugin; a setting None is left out. Returns exit code, seconds and stderr."""
    lines = {
        "server": f"127.0.0.1:{port}",
        "tsig_name": "lanthorn",
        "tsig_secret": SECRET,
        **settings,
    }
    text = "".join(f"{k}={v}\n" for k, v in lines.items() if v is not None)
    start = time.monotonic()
    done = subprocess.run(
        [PROGRAM, "rfc2136", verb, name, rdtype, "60", value],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, time.monotonic() - start, done.stderr


def test_values(port):
    first = plugin(port, "set", CHALLENGE, "TXT", "one")
    check(first[0] == 0 and lookup(port, CHALLENGE, "TXT") == ["one"], "a TXT is set", first)
    again = plugin(port, "set", CHALLENGE, "TXT", "one")
    check(again[0] == 0 and lookup(port, CHALLENGE, "TXT") == ["one"], "twice is once", again)
    second = plugin(port, "set", CHALLENGE, "TXT", "-two")
    check(
        second[0] == 0 and lookup(port, CHALLENGE, "TXT") == ["-two", "one"],
        "two values stand at one name",
        second,
    )
    gone = plugin(port, "unset", CHALLENGE, "TXT", "one")
    check(
        gone[0] == 0 and lookup(port, CHALLENGE, "TXT") == ["-two"],
        "only the value named is removed",
        gone,
    )
    again = plugin(port, "unset", CHALLENGE, "TXT", "one")
    check(again[0] == 0, "removing what is not there succeeds", again)
    plugin(port, "unset", CHALLENGE, "TXT", "-two")
    check(lookup(port, CHALLENGE, "TXT") == [], "the last value can go")
    for rdtype, value in (("A", "192.168.7.2"), ("A", "192.168.7.3"), ("AAAA", "fd00::7")):
        done = plugin(port, "set", "tv.home.test", rdtype, value)
        check(
            done[0] == 0 and value in lookup(port, "tv.home.test", rdtype),
            f"{rdtype} {value} is set",
            done,
        )
    plugin(port, "unset", "tv.home.test", "A", "192.168.7.2")
    check(lookup(port, "tv.home.test", "A") == ["192.168.7.3"], "one of two addresses goes")
    long = "x" * 400
    done = plugin(port, "set", "long.home.test", "TXT", long)
    found = "".join(lookup(port, "long.home.test", "TXT")).replace('" "', "")
    check(done[0] == 0 and found == long, "a TXT of 400 bytes is set in two strings", done)


def test_keys(port):
    for bits in ("384", "512"):
        done = plugin(
            port,
            "set",
            CHALLENGE,
            "TXT",
            f"by{bits}",
            tsig_name=f"Lanthorn{bits}.",
            tsig_algorithm=f"hmac-sha{bits}",
        )
        check(
            done[0] == 0 and f"by{bits}" in lookup(port, CHALLENGE, "TXT"),
            f"hmac-sha{bits} signs",
            done,
        )
    cases = (
        ("a wrong secret", 1, "BADSIG", {"tsig_secret": OTHER}),
        ("an unknown key", 1, "BADKEY", {"tsig_name": "nobody"}),
        ("a key of another algorithm", 1, "BADKEY", {"tsig_algorithm": "hmac-sha512"}),
        ("a key that may not", 1, "update-policy", {"tsig_name": "stranger"}),
        ("hmac-md5", 1, "too weak", {"tsig_algorithm": "hmac-md5"}),
        ("hmac-sha1", 1, "too weak", {"tsig_algorithm": "hmac-sha1"}),
        ("a wrong word for an algorithm", 1, "hmac-sha256", {"tsig_algorithm": "sha256"}),
        ("a secret that is no base64", 1, "base64", {"tsig_secret": "???"}),
        ("no secret", 1, "tsig_secret", {"tsig_secret": None}),
        ("a misspelt setting", 1, '"zone"', {"zon": "home.test"}),
        ("another's zone", 1, "not inside", {"zone": "other.test"}),
    )
    for what, code, words, settings in cases:
        done = plugin(port, "set", CHALLENGE, "TXT", "never", **settings)
        ok = done[0] == code and words in done[2] and done[2].count("\n") == 1
        check(ok and SECRET not in done[2], f"{what} is refused with what to mend", done)
    check("never" not in lookup(port, CHALLENGE, "TXT"), "nothing of that was set")


def test_zone(port):
    done = plugin(port, "set", "a.b.c.home.test", "TXT", "deep", zone="Home.Test.")
    check(done[0] == 0 and lookup(port, "a.b.c.home.test", "TXT") == ["deep"], "a given zone", done)
    done = plugin(port, "set", "x.a.b.c.home.test", "TXT", "deeper")
    check(done[0] == 0 and lookup(port, "x.a.b.c.home.test", "TXT") == ["deeper"], "a found zone")
    done = plugin(port, "set", "tv.other.test", "TXT", "x")
    check(done[0] == 1 and "no zone" in done[2], "a name of another zone is refused", done)
    done = plugin(port, "set", "alias.home.test", "TXT", "x")
    check(done[0] == 1 and "CNAME" in done[2], "a value beside a CNAME is not said to be set", done)


def test_dead_servers():
    done = plugin(free_port(), "set", CHALLENGE, "TXT", "x")
    check(done[0] == 75 and "no answer" in done[2], "a server that is off: later", done)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", udp.getsockname()[1]))
            tcp.listen(8)
            done = plugin(udp.getsockname()[1], "set", CHALLENGE, "TXT", "x")
    check(
        done[0] == 75 and "time is up" in done[2] and done[1] < 12,
        "a server that is silent: later, after 10 s",
        done,
    )
    done = plugin(53, "set", CHALLENGE, "TXT", "x", server="[::1")
    check(done[0] == 1, "a server that is none: never", done)


def test_clock(port):
    faked = shutil.which("faketime")
    if not faked:
        check(False, "faketime is installed", "apt-get install faketime")
        return
    text = f"server=127.0.0.1:{port}\ntsig_name=lanthorn\ntsig_secret={SECRET}\n"
    done = subprocess.run(
        [faked, "-f", "-1h", PROGRAM, "rfc2136", "set", CHALLENGE, "TXT", "60", "x"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "verify_asan_link_order=0"},
    )
    ok = done.returncode == 75 and "BADTIME" in done.stderr and "behind" in done.stderr
    check(ok, "a clock one hour behind is told", done)


def main():
    with tempfile.TemporaryDirectory(prefix="lanthorn-") as folder:
        server = Named(folder)
        try:
            up = server.wait()
            check(up, "named answers")
            if up:
                test_values(server.port)
                test_keys(server.port)
                test_zone(server.port)
                test_dead_servers()
                test_clock(server.port)
            if failed:
                server.dump()
        finally:
            server.stop()
    print(f"1..{count}")
    return 1 if failed else 0


sys.exit(main())
