#!/usr/bin/python3
"""A device that does its worst on its links: handshakes without end, rubbish, floods of frames. What it
may cost is the gateway's processor, since that is what others wait for: a loop that is busy with it for
a share of the time answers everybody else that much later. So each flood has a bound in CPU-seconds,
while another device's requests are all answered and most of what the flood tries is refused. How much
later they are answered is printed, as a ratio of p99, and not judged: on a machine that does other
things it says little. SECONDS is how long each lasts, else 3.
"""
import functools
import multiprocessing
import os
import pathlib
import socket
import ssl
import sys
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import lib
from h2device import BOTH, ONLY_H1, Link
from h2raw import DATA, HEADERS, PING, PRIORITY, RST, SETTINGS, WINDOW, frame
from lib import check, equal, wait_for
from linkpeer import SUFFIX, identity
from web import Browser

SECONDS = int(os.environ.get("SECONDS", "3"))
ENOUGH = 250 * int(lib.WORKERS)  # links begun: several times what may be opened
FLOODERS = 2
UNDER_WAY = 4 * FLOODERS  # opened before the gateway's refusal of the one before is seen
HONEST = 30     # links that are no flood yet
PACE_S = 0.0025  # so that a fast machine has not more of a flood than a slow one
LIMIT, LIMIT_S = 64, 16  # handshakes that the limits leave, whichever loops they come to
# Of one core: that many handshakes, and of all others the refusal.
SHARE_MAX = 0.6 if lib.SANITIZED else 0.3
SAME = {"Sec-Fetch-Site": "same-origin"}
RUBBISH = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 65536
FRAMES = {
    "PING": frame(PING, payload=bytes(8)),
    "SETTINGS": frame(SETTINGS),
    "empty DATA": frame(DATA, 0, 1),
    "unknown frames": frame(0xee, payload=b"x"),
    "WINDOW_UPDATE": frame(WINDOW, 0, 0, b"\0\0\0\1"),
    "PRIORITY": frame(PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "RST_STREAM": frame(RST, 0, 1, b"\0\0\0\x08"),
    "HEADERS on a closed stream": frame(HEADERS, 4, 1, b"\x88"),
}
ON_CLOSED = "HEADERS on a closed stream"
STATE = {}


def make():
    stack = lib.Stack("certificates: wildcard\n")
    text = stack.config_text
    stack.config_text = lambda: text().replace("level: debug", "level: info")
    return stack


@functools.cache
def context_for(own, alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if own:
        context.load_cert_chain(own)
    context._set_alpn_protocols(alpn)  # pylint: disable=protected-access
    return context


def connect(stack, context, name, source="127.0.0.1"):
    raw = socket.create_connection(("127.0.0.1", stack.port), 20, (source, 0))
    raw.settimeout(20)
    try:
        return context.wrap_socket(raw, server_hostname=name + SUFFIX)
    except OSError:
        raw.close()
        raise


def until_closed(tls):
    while tls.recv(65536):
        pass


# Each is one link, or what should become one: opened() tells that it was taken.

def handshake(stack, name, opened):
    with connect(stack, context_for(STATE[name], BOTH), name):
        opened()


def handshake_without_proof(stack, name, opened):
    """The gateway can say that the certificate is missing only when all is computed."""
    with connect(stack, context_for(None, BOTH), name, "127.0.0.5") as tls:
        opened()
        until_closed(tls)


def rubbish(stack, name, opened):
    with connect(stack, context_for(STATE[name], ONLY_H1), name) as tls:
        opened()
        tls.sendall(RUBBISH)
        until_closed(tls)


def frames_of(what):
    def frames(stack, name, opened):
        link = Link(stack, name, STATE[name])
        opened()
        begun = time.monotonic()
        while what == ON_CLOSED and not link.seen and not link.closed.wait(0.01):
            pass
        while time.monotonic() - begun < 20 and link.send_raw(FRAMES[what] * 500):
            pass
        link.closed.wait(20)
    return frames


def flooder(stack, one, name, begun, opened):
    """In a process of its own, so that it takes no time from whoever measures."""
    def count():
        opened.value += 1
    while True:
        time.sleep(PACE_S)
        begun.value += 1
        try:
            one(stack, name, count)
        except OSError:
            pass


def cpu_of(stack):
    """Of the gate's threads, in seconds."""
    tasks = pathlib.Path(f"/proc/{stack.gate_pid()}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9


def ask_for(stack, seconds, enough=lambda: True):
    """Requests to the other device, one after another: all are answered. (p99 in ms, how many, how long)"""
    browser = Browser(stack)
    browser.cookies = STATE["browser"].cookies
    connection = browser.connection(stack.host("tv"))
    taken, start = [], time.monotonic()
    while time.monotonic() < start + seconds or not enough():
        check(time.monotonic() < start + 40 * lib.SLOW, "the flood takes too long")
        begun = time.perf_counter()
        answer = browser.request("GET", stack.host("tv"), "/api/state", SAME, connection=connection)
        taken.append(time.perf_counter() - begun)
        equal(answer.status, 200, "the other device's answer")
        time.sleep(0.01)
    connection.close()
    return sorted(taken)[int(len(taken) * 0.99)] * 1000, len(taken), time.monotonic() - start


def keep_asking(stack, name):
    browser = Browser(stack)
    browser.cookies = STATE["browser"].cookies
    browser.open(browser.origin(stack.host(name)) + "/hello")
    while True:
        browser.request("GET", stack.host(name), "/hello", SAME)


def a_home_with_guests(stack):
    stack.start_gateway()
    stack.wait_for_certificate()
    stack.add_device("tv")
    port = stack.start_device("guest")
    for n in range(len(FRAMES) + 4):
        stack.devices[f"guest{n}"] = port
        done = stack.enrol(f"guest{n}")
        equal(done.returncode, 0, f"enrol: {done.stderr}")
        STATE[f"guest{n}"] = identity(stack, f"guest{n}")[0]
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    equal(browser.open(browser.origin(stack.host("tv")) + "/").status, 200, "the device's page")
    ask_for(stack, 1)
    before = cpu_of(stack)
    alone, n, _ = ask_for(stack, SECONDS)
    STATE["request"] = (cpu_of(stack) - before) / n
    before = cpu_of(stack)
    for _ in range(HONEST):
        handshake(stack, "guest1", lambda: None)
    STATE["link"] = (cpu_of(stack) - before) / HONEST
    STATE["beside"] = p99_beside_the_same_flood_elsewhere(stack)
    print(f"# p99 {alone:.1f} ms alone, {STATE['beside']:.1f} ms beside a flood elsewhere; CPU-ms of a "
          f"request {STATE['request'] * 1000:.2f}, of a link {STATE['link'] * 1000:.2f}")


class Flood:
    """Processes that flood `port` while this lasts."""

    def __init__(self, port, one, name):
        self.begun, self.opened = ([multiprocessing.Value("l", lock=False) for _ in range(FLOODERS)]
                                   for _ in range(2))
        self.processes = [multiprocessing.Process(
            target=flooder, daemon=True,
            args=(types.SimpleNamespace(port=port), one, name, self.begun[n], self.opened[n]))
            for n in range(FLOODERS)]

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.join(20)

    @property
    def tried(self):
        return sum(v.value for v in self.begun)

    @property
    def links(self):
        return sum(v.value for v in self.opened)


def refuse_all(listener):
    while True:
        sock = listener.accept()[0]
        with sock:
            sock.recv(65536)


def p99_beside_the_same_flood_elsewhere(stack):
    """What the flooders take from whoever runs on the same machine, whomever they flood."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = multiprocessing.Process(target=refuse_all, args=(listener,), daemon=True)
        other.start()
        with Flood(listener.getsockname()[1], handshake, "guest1"):
            p99 = ask_for(stack, SECONDS)[0]
        other.kill()
        other.join(20)
    return p99


def flood(stack, what, one, name):
    """It costs little, and most of what it tries is refused."""
    before = cpu_of(stack)
    with Flood(stack.port, one, name) as flooders:
        p99, n, took = ask_for(stack, SECONDS, lambda: flooders.tried >= ENOUGH)
        cost = cpu_of(stack) - before - n * STATE["request"]
    tried, links = flooders.tried, flooders.links
    print(f"# {what}: {cost / took:.2f} of a core, {cost / tried * 1000:.2f} CPU-ms each; "
          f"{links} of {tried} links opened; p99 {p99:.1f} ms, {p99 / STATE['beside']:.2f} times as "
          "beside the same flood elsewhere", flush=True)
    check(links < tried / 2, f"{what}: of {tried} links {links} opened")
    most = (LIMIT + UNDER_WAY) * (1 + took // LIMIT_S)
    check(links <= most, f"{what}: {links} links opened, at most {most} are for one device")
    check(cost / took < SHARE_MAX, f"{what}: {cost / took:.2f} of a core")
    check(cost / tried < STATE["link"] * 0.6, f"{what}: {cost / tried * 1000:.2f} CPU-ms each")


def an_agent_at_work_is_never_refused(stack):
    """Over HTTP/1.1 each POST takes a link that nobody has used, so each costs a handshake."""
    name = f"guest{len(FRAMES) + 3}"
    conf = stack.agent_conf(name)
    conf.write_text(conf.read_text() + "link h1\n")
    stack.start(f"agent-{name}", lib.BUILD / "lanthorn-agent", "--config", conf, "run")
    browser = STATE["browser"]
    browser.open(browser.origin(stack.host(name)) + "/")
    for _ in range(4 * LIMIT):
        answer = browser.request("POST", stack.host(name), "/upload", SAME, b"x")
        equal(answer.status, 200, "a POST")
    check("refused for a while" not in stack.gateway.text(), "it was refused")


def handshakes_without_end_are_refused_early(stack):
    flood(stack, "handshakes", handshake, "guest0")
    line = next(line for line in stack.gateway.text().splitlines() if "opens link upon link" in line)
    for word in ("device=guest0", "peer=127.0.0.1", "remedy="):
        check(word in line, line)


def handshakes_that_prove_nothing_are_refused_early(stack):
    flood(stack, "handshakes that prove nothing", handshake_without_proof, "guest1")
    line = next(line for line in stack.gateway.text().splitlines() if "claims to be devices" in line)
    check("peer=127.0.0.5" in line, line)
    with connect(stack, context_for(STATE["guest1"], ONLY_H1), "guest1") as tls:
        tls.settimeout(0.5)
        try:
            equal(tls.recv(1), None, "what the real one hears under its own address")
        except TimeoutError:
            pass  # taken


def rubbish_on_links_of_http_1_is_refused_early(stack):
    flood(stack, "rubbish", rubbish, "guest2")


def floods_of_frames_cost_their_device_its_links(stack):
    for n, what in enumerate(FRAMES, 3):
        name = f"guest{n}"
        asks = multiprocessing.Process(target=keep_asking, args=(stack, name), daemon=True)
        if what == ON_CLOSED:
            asks.start()
        flood(stack, what, frames_of(what), name)
        if what == ON_CLOSED:
            asks.kill()


if __name__ == "__main__":
    lib.run([a_home_with_guests,
             an_agent_at_work_is_never_refused,
             handshakes_without_end_are_refused_early,
             handshakes_that_prove_nothing_are_refused_early,
             rubbish_on_links_of_http_1_is_refused_early,
             floods_of_frames_cost_their_device_its_links], make)
