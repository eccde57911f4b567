#!/usr/bin/python3
"""A home that lives: browsers over HTTP/1.1 and HTTP/2, WebSockets, uploads, downloads that are left in
the middle, while devices are enrolled, killed, started, moved and removed. Who asks a device that stays
is never let down, memory does not grow, and in the end no descriptor is lost.

soak.py [MINUTES]: 0.75 by default, as part of the tests; 10 to be sure.
"""
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
import clients
import lib
from front import Front
from lib import check, equal, wait_for
from reload_load import Home, Steady
from web import Browser, WebSocket

SECONDS = float(sys.argv[1] if len(sys.argv) > 1 else 0.75) * 60
MIB = 1 << 20
# A sanitizer keeps what was freed at the busiest moment, and tells of leaks by itself.
GROWTH_KIB = 16 * 1024 if lib.SANITIZED else 2 * 1024
STATE = {"samples": []}


class Resident(Home):
    """A device that forgets who asked."""

    def __init__(self, word, port=0):
        super().__init__(word, port)
        self.seen = collections.deque(maxlen=100)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def cookie(stack, name):
    return STATE["browser"].cookie_header(stack.host(name)) if name == "linked" else ""


def a_home_with_devices_that_stay(stack):
    home, moving = STATE["home"], STATE["moving"] = Resident("home"), Resident("moving")
    stack.known = ("wired", "linked", "moving", "guest")
    stack.config = ("certificates: wildcard\nlimits:\n  keepalive: 2s\n  upstream_idle: 2s\n"
                    "devices:\n" + "".join(
                        f"  - name: {name}\n    public: true\n"
                        f"    upstream: http://127.0.0.1:{device.port}\n"
                        for name, device in (("wired", home), ("moving", moving))))
    stack.start_gateway()
    stack.wait_for_certificate()
    stack.devices["linked"] = stack.devices["guest"] = home.port
    done = stack.enrol("linked")
    equal(done.returncode, 0, f"enrol: {done.stderr}")
    stack.start_agent("linked")
    STATE["pids"] = {"gate": stack.gate_pid(), "agent": stack.agents["linked"].pid,
                     "steward": stack.steward_pid()}
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    wait_for("the way to linked", lambda: browser.open(
        browser.origin(stack.host("linked")) + "/word").status == 200)


# ---- those who stay ----

class Talk:
    """Requests of several kinds, one after another; sometimes on a new connection."""

    body = os.urandom(200_000)
    digest = hashlib.sha256(body).hexdigest()

    def __init__(self, stack, name, version):
        self.new = lambda: Front(stack, name, version, cookie(stack, name))
        self.front, self.turns = self.new(), 0

    def __call__(self):
        self.turns += 1
        if self.turns % 50 == 0:
            self.close()
            self.front = self.new()
        kind = random.choice(("word", "word", "upload", "big", "left", "trickle"))
        if kind == "upload":
            asked = self.upload()
        elif kind == "left":
            asked = self.front.ask(f"/big/{8 * MIB}")
            asked.until(lambda: len(asked.body) > 1000)
        else:
            path = {"word": "/word", "big": f"/big/{MIB}", "trickle": "/trickle"}[kind]
            asked = self.front.ask(path).rest()
            check(asked.whole and asked.status == 200, lambda: f"{path}: {asked}")
        asked.close()
        self.front.open.clear()

    def upload(self):
        length = [("content-length", str(len(self.body)))]
        asked = self.front.ask("/upload", "POST", length, body=True)
        if self.front.conn:
            self.front.conn.pour(asked.way.number, self.body)
        else:
            asked.send(self.body)
        equal(json.loads(asked.rest().body)["sha256"], self.digest, "an upload")
        return asked

    def close(self):
        self.front.__exit__()


class Echo:
    """A WebSocket for a while, and then another."""

    def __init__(self, stack, name):
        self.new = lambda: WebSocket(STATE["browser"], stack.host(name))
        self.sock, self.turns = self.new(), 0

    def __call__(self):
        self.turns += 1
        if self.turns % 100 == 0:
            self.close()
            self.sock = self.new()
        equal(self.sock.status, 101, "a WebSocket")
        self.sock.echo(f"number {self.turns}")
        time.sleep(0.01)

    def close(self):
        self.sock.close()


def bursts(stack, name):
    """A second of wrk and one of h2load, and a rest."""
    def once():
        for start, count in ((clients.wrk, clients.wrk_count),
                             (clients.h2load, clients.h2load_count)):
            count(start(stack, name, "/word", 1, cookie(stack, name)))
            time.sleep(1)
    return once


# ---- those who come and go ----

def knock(stack, name):
    """Whatever it answers, it must answer."""
    def once():
        with contextlib.suppress(OSError), Front(stack, name, random.choice(("h1", "h2"))) as front:
            front.ask("/word").rest()
            front.ask(f"/big/{MIB}").head()
        time.sleep(0.1)
    return once


def guests(stack):
    """A device is enrolled, its agent killed and started again, and it is removed."""
    def once():
        done = stack.enrol("guest")
        equal(done.returncode, 0, f"enrol: {done.stderr}")
        for sig in (signal.SIGKILL, signal.SIGTERM):
            agent = stack.start_agent("guest")
            agent.expect_code += (-signal.SIGKILL,)
            wait_for("the guest", lambda: any(d["name"] == "guest" and d["online"]
                                              for d in stack.ctl("devices")["devices"]), 30)
            time.sleep(random.random())
            agent.stop(sig)
            stack.processes.remove(agent)
        equal(stack.ctl_run("devices", "remove", "guest").returncode, 0, "remove")
        shutil.rmtree(stack.folder / "agent-guest")
    return once


def moves(stack):
    """A device without an agent is switched off and on; the settings are read again."""
    def once():
        STATE["moving"].close()
        time.sleep(1 + random.random())
        STATE["moving"] = Resident("moving", STATE["moving"].port)
        time.sleep(1 + random.random())
        equal(stack.ctl_run("reload").returncode, 0, "reload")
    return once


def start_loads(stack):
    makers = {f"{version} to {name}": Talk(stack, name, version)
              for name in ("wired", "linked") for version in ("h1", "h2")}
    for name in ("wired", "linked"):
        makers[f"a WebSocket to {name}"] = Echo(stack, name)
        makers[f"bursts to {name}"] = bursts(stack, name)
    makers.update({"knocks at guest": knock(stack, "guest"), "knocks at moving": knock(stack, "moving"),
                   "guests": guests(stack), "moves": moves(stack)})
    return {what: Steady(None, once) for what, once in makers.items()}


def sample():
    return {who: (rss_kib(pid), descriptors(pid)) for who, pid in STATE["pids"].items()}


def quiet(stack):
    """Descriptors when nobody asks: those that the links of those who stay need, and the house's."""
    counts = [sample()]

    def same():
        counts.append(sample())
        return len(counts) > 4 and all({k: v[1] for k, v in c.items()} ==
                                       {k: v[1] for k, v in counts[-1].items()}
                                       for c in counts[-4:])
    wait_for("quiet", same, 40, 1)
    return {who: v[1] for who, v in counts[-1].items()}


def nobody_is_let_down(stack):
    STATE["first"] = quiet(stack)
    loads = start_loads(stack)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        STATE["samples"].append(sample())
        for what, load in loads.items():
            check(not load.error, lambda what=what, load=load:
                  f"{what}, after {load.done}: {load.error!r}")
        time.sleep(0.5)
    for load in loads.values():
        load.ending.set()
    for what, load in loads.items():
        load.join(60)
        check(not load.error and not load.is_alive(), f"{what}: {load.error!r}")
        print(f"{what}: {load.done}", file=sys.stderr)
        if hasattr(load.once, "close"):
            load.once.close()
    for who, pid in (("gate", stack.gate_pid()), ("steward", stack.steward_pid())):
        equal(pid, STATE["pids"][who], who)


def memory_is_flat(stack):
    samples = STATE["samples"]
    third = len(samples) // 3
    for who in STATE["pids"]:
        kib = [s[who][0] for s in samples]
        # What the load needs is there after the first sixth.
        early, late = (statistics.median(part) for part in (kib[third // 2:third], kib[-third:]))
        print(f"{who}: {kib[0]} KiB at first, {early:.0f} early, {late:.0f} late, {max(kib)} at most",
              file=sys.stderr)
        check(late - early <= GROWTH_KIB, f"{who}: {early:.0f} KiB grew to {late:.0f} KiB")


def no_descriptor_is_lost(stack):
    last = {}  # links that were used are kept for half a minute

    def back():
        last.update({who: v[1] for who, v in sample().items()})
        return all(last[who] <= n for who, n in STATE["first"].items())
    try:
        wait_for("the descriptors", back, 60, 0.5)
    finally:
        print(f"descriptors: {STATE['first']} at first, {last} at last", file=sys.stderr)


lib.run([a_home_with_devices_that_stay, nobody_is_let_down, memory_is_flat, no_descriptor_is_lost])
