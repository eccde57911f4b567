#!/usr/bin/python3
"""Bodies of any size pass at constant memory: up and down, in front over HTTP/1.1 and HTTP/2, behind it
over a link of HTTP/2, one of HTTP/1.1, and to an address, also when they are not taken for a while;
each byte is counted and looked at.

With the release build they have more than 4 GiB, so that no count of 32 bits would do, and each hop has
them in each of its versions and both ways; in a build with sanitizers 64 MiB, every way on every way.
bulk.py --all: every way on every way with more than 4 GiB.
"""
import contextlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
import lib
from lib import check, equal
from web import Browser

MIB = 1 << 20
ALL = "--all" in sys.argv[1:]
BIG = ALL or not lib.SANITIZED
SIZE = ((4 << 30) if BIG else 64 * MIB) + 3 * MIB + 17
# What waits in windows and queues while nobody takes, in pieces of a heap; of the gate, in three heaps.
GROWTH_KIB = 16 * 1024 if lib.SANITIZED else 1024
GATE_GROWTH_KIB = 16 * 1024 if lib.SANITIZED else 6 * 1024
STILL_S = 300  # without a byte: then it hangs, on whatever machine
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
PEER = lib.BUILD / "tests/flow/bulkpeer"
STATE = {}

# In front, behind, and how its maker tells the length.
UP = [("http1.1", "linked", "length"), ("http2", "wired", "length"), ("http1.1", "older", "chunked")]
DOWN = [("http2", "linked", "length"), ("http1.1", "wired", "length"), ("http2", "older", "chunked")]
if ALL or not BIG:
    pairs = list(itertools.product(("http1.1", "http2"), ("linked", "wired", "older")))
    UP = [(*pair, ("length", "chunked")[n % 2]) for n, pair in enumerate(pairs)]
    DOWN = [(*pair, ("chunked", "length")[n % 2]) for n, pair in enumerate(pairs)]


class Peaks(threading.Thread):
    """The most memory of each process, as it is while bodies pass: what the kernel keeps as its peak may
    be that of a password's hash."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.most = pids, {}
        self.start()

    def run(self):
        while True:
            for who, pid in self.pids.items():
                with contextlib.suppress(OSError):
                    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
                    self.most[who] = max(self.most.get(who, 0), pages * PAGE_KIB)
            time.sleep(0.02)

    def take(self):
        """Those since the last time."""
        most, self.most = self.most, {}
        return most


def curl(stack, name, version, path, *more, **pipes):
    host = stack.host(name)
    argv = ["curl", "--silent", "--show-error", "--fail-with-body", "--cacert", stack.lab.ca,
            "--resolve", f"{host}:{stack.port}:127.0.0.1", f"--{version}",
            "--speed-limit", "1", "--speed-time", STILL_S,
            "-H", f"Cookie: {STATE['browser'].cookie_header(host)}",
            "-H", f"Origin: https://{host}:{stack.port}", "-H", "Sec-Fetch-Site: same-origin",
            "-H", "Expect:", "-w", "%{stderr}%{http_version}\n", *more,
            f"https://{host}:{stack.port}{path}"]
    return subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **pipes)


def said(child, version, out):
    words = child.stderr.read().decode().strip()
    child.stderr.close()
    equal((child.wait(), words), (0, {"http1.1": "1.1", "http2": "2"}[version]), f"curl: {out[:300]}")
    return json.loads(out)


def up(stack, version, name, told, size):
    more = ["-T", "-"]
    if told == "length":
        more += ["-H", f"Content-Length: {size}", "-H", "Transfer-Encoding:"]
    with subprocess.Popen([PEER, "make", str(size)], stdout=subprocess.PIPE) as source:
        child = curl(stack, name, version, "/take", *more, stdin=source.stdout)
        source.stdout.close()
        with child.stdout:
            seen = said(child, version, child.stdout.read())
    equal(seen, {"bytes": size, "wrong": None, "chunked": told == "chunked"}, "what the device took")


def down(stack, version, name, told, size):
    child = curl(stack, name, version, f"/give/{told}/{size}")
    with subprocess.Popen([PEER, "check"], stdin=child.stdout, stdout=subprocess.PIPE) as sink:
        child.stdout.close()
        seen = said(child, version, sink.stdout.read())
    equal((seen["bytes"], seen["wrong"]), (size, None), "what the browser took")


def start_device(stack):
    """Its port."""
    device = stack.start("device", PEER, "serve")
    return int(lib.wait_for("the device", lambda: re.search(r"port (\d+)", device.text()))[1])


def link(stack, name, port):
    stack.devices[name] = port
    done = stack.enrol(name)
    equal(done.returncode, 0, f"enrol: {done.stderr}")
    if name == "older":
        with open(stack.folder / f"{name}.conf", "a", encoding="utf-8") as conf:
            conf.write("link h1\n")
    # not start_agent, which would write the settings anew
    agent = stack.start(f"agent-{name}", lib.BUILD / "lanthorn-agent", "--config",
                        stack.folder / f"{name}.conf", "run")
    STATE["pids"][name] = agent.pid


def protocol(stack, name):
    done = subprocess.run([lib.BUILD / "lanthorn-agent", "--config", stack.folder / f"{name}.conf",
                           "status", "--json"], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)["protocol"]


def a_gateway_with_a_device(stack):
    port = start_device(stack)
    stack.config = ("certificates: wildcard\ndevices:\n"
                    f"  - name: wired\n    upstream: http://127.0.0.1:{port}\n")
    stack.start_gateway()
    stack.wait_for_certificate()
    STATE["pids"] = {"gate": stack.gate_pid()}
    for name in ("linked", "older"):
        link(stack, name, port)
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    for name in ("wired", "linked", "older"):
        lib.wait_for(f"the way to {name}", lambda name=name: browser.open(
            browser.origin(stack.host(name)) + "/").status == 200)
    equal([protocol(stack, name) for name in ("linked", "older")], ["h2", "h1"], "the links")
    # The buffers that are used once are used from then on: growth counts from here, and whoever takes
    # rests later only (bulkpeer.c).
    STATE["peaks"] = Peaks(STATE["pids"])
    for fn, ways in ((up, UP), (down, DOWN)):
        for way in ways:
            fn(stack, *way, MIB)
    STATE["before"] = STATE["peaks"].take()


def each(fn, ways, words):
    def test(stack):
        for way in ways:
            begun = time.monotonic()
            fn(stack, *way, SIZE)
            took = time.monotonic() - begun
            print(f"{fn.__name__} {way}: {took:.0f} s, {SIZE / MIB / took:.0f} MiB/s", file=sys.stderr)
    test.__name__ = words
    return test


def they_took_no_memory(stack):
    equal(stack.gate_pid(), STATE["pids"]["gate"], "the gate")
    most = STATE["peaks"].take()
    for who, before in STATE["before"].items():
        after = most[who]
        print(f"{who}: peak {before} KiB before, {after} KiB after", file=sys.stderr)
        most_growth = GATE_GROWTH_KIB if who == "gate" else GROWTH_KIB
        check(after - before <= most_growth, f"{who}: {before} KiB grew to {after} KiB")


lib.run([a_gateway_with_a_device, each(up, UP, "uploads_arrive_whole"),
         each(down, DOWN, "downloads_arrive_whole"), they_took_no_memory])
