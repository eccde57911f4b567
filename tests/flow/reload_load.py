#!/usr/bin/python3
"""The gateway reads its settings again, and stops, while it is busy: no request fails, no WebSocket is
dropped, and what is under way ends well. The load is what other people's clients make (clients.py).
"""
import hashlib
import json
import os
import pathlib
import signal
import ssl
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import clients
import h2raw as raw
import lib
from front import Front
from http2 import House
from lib import check, equal, wait_for
from rawdevice import OK
from web import Browser

STATE = {}
ROUNDS, ROUNDS_LEAST = 10, 4


class Home(House):
    """A device whose answers wait to be let go, and whose WebSockets echo."""

    def __init__(self, word, port=0):
        self.word, self.go = word, threading.Event()
        super().__init__(port=port)

    def do_word(self, sock, reader, request):
        return self.reply(sock, {"word": self.word})

    def do_held(self, sock, reader, request):
        sock.sendall(OK + b"Content-Length: 8\r\n\r\nhalf")
        self.go.wait(30)
        sock.sendall(b"rest")
        return True

    def do_ws(self, sock, reader, request):
        """Echoes RFC 6455 frames: a client's mask comes off."""
        return super().do_ws(Unmasked(sock), reader, request) if not request[1] else \
            super().do_ws(sock, reader, request)


class Unmasked:
    """Turns a client's small frames into a server's on their way back."""

    def __init__(self, sock):
        self.sock, self.kept, self.begun = sock, b"", False

    def sendall(self, data):
        if not self.begun:
            self.begun = True
            self.sock.sendall(data)
            return
        self.kept += data
        while len(self.kept) >= 6 and len(self.kept) >= 6 + (self.kept[1] & 127):
            n = self.kept[1] & 127
            mask, body = self.kept[2:6], self.kept[6:6 + n]
            self.sock.sendall(bytes((self.kept[0], n)) +
                              bytes(c ^ mask[i % 4] for i, c in enumerate(body)))
            self.kept = self.kept[6 + n:]


def settings(**ports):
    text = "certificates: wildcard\nlimits:\n  keepalive: 5m\ndevices:\n"
    for name, port in ports.items():
        text += f"  - name: {name}\n    public: true\n    upstream: http://127.0.0.1:{port}\n"
    return text


def cookie(stack, name):
    return STATE["browser"].cookie_header(stack.host(name)) if name == "linked" else ""


def a_busy_home(stack):
    one, two = STATE["one"], STATE["two"] = Home("one"), Home("two")
    stack.known = ("wired", "linked", "moving", "guest")
    stack.config = settings(wired=one.port, moving=one.port)
    stack.start_gateway()
    stack.wait_for_certificate()
    stack.devices["linked"] = one.port
    done = stack.enrol("linked")
    equal(done.returncode, 0, f"enrol: {done.stderr}")
    stack.start_agent("linked")
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    wait_for("the way to linked", lambda: browser.open(
        browser.origin(stack.host("linked")) + "/word").status == 200)


def clients_of_many_kinds_are_served(stack):
    for name in ("wired", "linked"):
        own = cookie(stack, name)
        for version in ("http1.1", "http2"):
            got = clients.curl(stack, name, "/word", version, cookie=own)
            equal(json.loads(got.text()), {"word": "one"}, f"curl --{version}")
        equal(clients.nghttp(stack, name, "/word", 20, own), [200] * 20, "nghttp")
        check(clients.wrk_count(clients.wrk(stack, name, "/word", 1, own)) > 5, "wrk")
        check(clients.h2load_count(clients.h2load(stack, name, "/word", 1, own)) > 5, "h2load")
        check(clients.ws_count(clients.ws(stack, name, "/ws", own)) > 0, "ws")


class Steady(threading.Thread):
    """Does `once` on `front` again and again until told to end; what it raised is kept."""

    def __init__(self, front, once):
        super().__init__(daemon=True)
        self.front, self.once, self.error, self.done = front, once, None, 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.ending.is_set():
                self.once()
                self.done += 1
        except Exception as error:  # any failure is the load's
            self.error = error

    def finish(self, what):
        enough = self.done + 2
        wait_for(f"more of {what}", lambda: self.error or self.done >= enough)
        self.ending.set()
        self.join(30)
        check(not self.error, f"{what}, after {self.done}: {self.error!r}")
        self.complete(what)
        self.front.__exit__()

    def complete(self, what):
        """The end of what goes on for long."""


def moving_requests(stack, version):
    """Requests for the device whose address changes, one after another."""
    front = Front(stack, "moving", version)

    def once():
        asked = front.ask("/word").rest()
        check(asked.whole and asked.status == 200, f"{asked.status} {asked.body!r}")
        time.sleep(0.005)
    return Steady(front, once)


def h2_socket(stack, name):
    """Bytes through a WebSocket inside HTTP/2."""
    front = Front(stack, name, "h2", cookie(stack, name))
    asked = front.upgrade("/ws/bytes")
    equal(asked.head()[0], 200, "CONNECT")
    count = [0]

    def once():
        part = b"%d;" % count[0]
        seen = len(asked.body)
        asked.send(part)
        asked.until(lambda: len(asked.body) >= seen + len(part))
        check(asked.body.endswith(part), f"heard {asked.body[-20:]} for {part}")
        count[0] += 1
        time.sleep(0.01)
    return Steady(front, once)


class Upload(Steady):
    """One request whose body goes on for as long as the load."""

    def __init__(self, stack, name, version):
        front = Front(stack, name, version, cookie(stack, name))
        self.asked = front.ask("/upload", "POST", body=True)
        self.digest, self.total = hashlib.sha256(), 0
        super().__init__(front, self.part)

    def part(self):
        part = os.urandom(8000)
        if self.front.conn:
            self.front.conn.pour(self.asked.way.number, part, False)
        else:
            self.asked.send(part)
        self.digest.update(part)
        self.total += len(part)
        time.sleep(0.01)

    def complete(self, what):
        self.asked.end()
        seen = json.loads(self.asked.rest().body)
        equal((seen["bytes"], seen["sha256"]), (self.total, self.digest.hexdigest()), what)


def reload(stack, number, config):
    stack.config = config
    (stack.folder / "gateway.yaml").write_text(stack.config_text())
    if number % 2:
        os.kill(stack.gateway.pid, signal.SIGHUP)
    else:
        done = stack.ctl_run("reload")
        equal(done.returncode, 0, f"reload: {done.stderr}")


def word_of(stack, name):
    """What the device says; None where there is none of that name."""
    with Front(stack, name, "h1") as front:
        try:
            return json.loads(front.ask("/word").rest().body)["word"]
        except ssl.SSLError as error:
            equal(error.reason, "TLSV1_UNRECOGNIZED_NAME")
            return None


def answers_as(stack, name, word):
    wait_for(f"{name} as {word}", lambda: word_of(stack, name) == word, 10)


def settings_change_under_load(stack):
    one, two = STATE["one"].port, STATE["two"].port
    seconds = 12 * lib.SLOW
    names = ("wired", "linked")
    # These last until they are told to end.
    talks = [clients.ws(stack, name, "/ws", cookie(stack, name)) for name in names]
    steady = {f"{words} {name}": make(stack, name) for name in names for words, make in (
        ("a WebSocket in h2", h2_socket),
        ("an upload over h1", lambda s, n: Upload(s, n, "h1")),
        ("an upload over h2", lambda s, n: Upload(s, n, "h2")))}
    for version in ("h1", "h2"):
        steady[f"requests over {version} to a device that moves"] = moving_requests(stack, version)
    begun = time.monotonic()
    loads = [(clients.wrk_count, clients.wrk(stack, name, "/word", seconds, cookie(stack, name)))
             for name in names]
    loads += [(clients.h2load_count, clients.h2load(stack, name, "/word", seconds,
                                                    cookie(stack, name))) for name in names]
    time.sleep(1)
    for number in range(ROUNDS):
        if number >= ROUNDS_LEAST and time.monotonic() - begun > seconds - 2:
            break
        moved, guest = (two if number % 2 else one), number % 3 == 0
        reload(stack, number, settings(wired=one, moving=moved, **{"guest": two} if guest else {}))
        answers_as(stack, "moving", "two" if moved == two else "one")
        answers_as(stack, "guest", "two" if guest else None)
        time.sleep(0.2)
    print(f"reloads for {time.monotonic() - begun:.0f} s", file=sys.stderr)
    for what, load in steady.items():
        load.finish(what)
    print("answered:", *(count(load) for count, load in loads), file=sys.stderr)
    print("echoed:", *(clients.ws_count(talk) for talk in talks), file=sys.stderr)


def a_stop_lets_end_what_is_under_way(stack):
    STATE["one"].go.clear()
    held, fronts, seen = [], [], STATE["one"].seen
    before = len(seen)
    for name in ("wired", "linked"):
        for version in ("h1", "h2"):
            front = Front(stack, name, version, cookie(stack, name))
            fronts.append(front)
            asked = front.ask("/held")
            asked.read_to(b"half")
            upload = front.ask("/upload", "POST", body=True)
            upload.send(b"before ")
            held.append((f"{version} {name}", front, asked, upload))
    wait_for("all of them at the device", lambda: len(seen) == before + 8)
    stack.gateway.child.send_signal(signal.SIGTERM)
    for what, front, _, _ in held:
        if front.conn:
            front.conn.until(lambda f=front: f.conn.goaway)
            equal(front.conn.goaway[1], raw.NO_ERROR, f"GOAWAY of {what}")
    STATE["one"].go.set()
    for what, front, asked, upload in held:
        upload.send(b"and after")
        upload.end()
        equal((asked.rest().whole, asked.body), (True, b"halfrest"), f"an answer over {what}")
        equal((upload.rest().whole, upload.status), (True, 200), f"an upload over {what}")
        took = json.loads(upload.body)
        equal((took["bytes"], took["sha256"]), (16, hashlib.sha256(b"before and after").hexdigest()),
              f"an upload over {what}")
        if front.conn:
            equal(front.conn.end(), raw.NO_ERROR, f"the end of {what}")
    begun = time.monotonic()
    for front in fronts:
        front.__exit__()
    stack.gateway.child.wait(20)
    check(time.monotonic() - begun < 2 * lib.SLOW, "it waited for nobody")


TESTS = [a_busy_home, clients_of_many_kinds_are_served, settings_change_under_load,
         a_stop_lets_end_what_is_under_way]

if __name__ == "__main__":
    lib.run(TESTS)
