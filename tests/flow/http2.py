#!/usr/bin/python3
"""HTTP/2 as browsers speak it (RFC 9113, RFC 8441), and as attackers do: every flood ends its
connection with the right code, soon and cheaply, and a good client beside it loses nothing.
"""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import h2raw as raw
import lib
from h2raw import H2, frame, setting
from lib import check, equal, wait_for
from rawdevice import EVIL, Device
from web import tls_connect

STATE = {}
MIB = 1 << 20
FLOOD_KIB = 12 * 1024 if lib.SANITIZED else 2 * 1024
SAME = [("sec-fetch-site", "same-origin")]


class House(Device):
    """A device that does what HTTP/2 has to carry."""
    held = set()

    def do_(self, sock, reader, request):
        return self.reply(sock, {"path": request[1]})

    def do_hold(self, sock, reader, request):
        """Until the other end closes."""
        self.held.add(request[3])
        try:
            reader.read1(1)
        finally:
            self.held.remove(request[3])
        return False

    def do_interim(self, sock, reader, request):
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        time.sleep(0.05)
        return self.do_echo(sock, reader, request)

    def do_urgent(self, sock, reader, request):
        return self.reply(sock, {}, f"Priority: {request[1]}\r\n".encode())

    def do_ws(self, sock, reader, request):
        key = request[2]["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1(
            key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        if request[1] == "lies":
            accept = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        if request[1] == "refused":
            sock.sendall(b"HTTP/1.1 418 No\r\nContent-Length: 2\r\n\r\nno")
            return True
        if request[1] == "page":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na page")
            return True
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept.encode() +
                     b"\r\n\r\n")
        while True:
            part = reader.read1(65536)
            if not part:
                return False
            sock.sendall(part)


def start(stack):
    STATE["device"] = House()
    stack.config = ("limits:\n  idle_timeout: 3s\ncertificates: wildcard\ndevices:\n")
    for name in ("one", "two"):
        stack.config += (f"  - name: {name}\n    public: true\n"
                         f"    upstream: http://127.0.0.1:{STATE['device'].port}\n")
    stack.start_gateway()
    stack.wait_for_certificate()


def a_gateway_speaks_h2_where_it_is_offered(stack):
    start(stack)
    host = stack.host("one")
    for offer, want in ((("h2",), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1")):
        with tls_connect(stack.port, host, stack.lab.ca, offer) as tls:
            equal(tls.selected_alpn_protocol(), want, f"of {offer}")


def requests_and_answers_pass_whole(stack):
    with H2(stack, stack.host("one")) as conn:
        st = conn.ask(conn.head("/echo", more=[("cookie", "a=1"), ("cookie", "b=2"),
                                               ("x-forwarded-for", "6.6.6.6")]))
        equal(st.status, 200)
        fields = {k.lower(): v for k, v in json.loads(st.body)["fields"].items()}
        equal(fields["cookie"], "a=1; b=2")
        equal(fields["x-forwarded-for"], "127.0.0.1")
        equal(fields["x-forwarded-proto"], "https")
        for name in ("connection", "transfer-encoding", "keep-alive"):
            check(name not in st.fields, f"{name} came through")
        body = os.urandom(3 * MIB)
        for more in ([], [("content-length", str(len(body)))]):
            number = conn.request(conn.head("/upload", "POST", SAME + more), end=False)
            conn.pour(number, body)
            st = conn.answer(number)
            equal(json.loads(st.body)["sha256"], hashlib.sha256(body).hexdigest())
        st = conn.ask(conn.head(f"/big/{5 * MIB}"))
        equal((st.status, len(st.body)), (200, 5 * MIB))


def only_what_is_left_of_a_request_is_reset_behind_its_answer(stack):
    """Not its end, when that comes apart from a body that was whole: old curl then loses the answer."""
    with H2(stack, stack.host("one")) as conn:
        for path, length, reset in (("/upload", "5", None), ("/reject", "6", raw.NO_ERROR)):
            more = SAME + [("content-length", length)]
            number = conn.request(conn.head(path, "POST", more), end=False)
            conn.send(frame(raw.DATA, 0, number, b"hello"))
            st = conn.answer(number)
            conn.ask(conn.head("/"))  # what was sent behind the answer is here
            equal((st.status, st.reset), ({"5": 200, "6": 413}[length], reset), path)
            conn.send(frame(raw.DATA, raw.END_STREAM, number))
        equal(conn.ask(conn.head("/")).status, 200)


def answers_without_a_body_have_none(stack):
    with H2(stack, stack.host("one")) as conn:
        st = conn.ask(conn.head("/head", "HEAD"))
        equal((st.status, st.body, st.fields["content-length"]), (200, b"", "1000"))
        for status in ("204", "304"):
            st = conn.ask(conn.head("/empty/" + status))
            equal((st.status, st.body, st.fields["etag"]), (int(status), b"", '"1"'))
        st = conn.ask(conn.head("/range"))
        equal((st.status, st.body), (206, b"234"))


def interim_heads_streams_and_trailers_come_as_they_are_sent(stack):
    with H2(stack, stack.host("one")) as conn:
        st = conn.ask(conn.head("/interim"))
        equal([h[":status"] for h in st.heads], ["103", "200"])
        st = conn.ask(conn.head("/trickle", more=[("te", "trailers")]))
        equal((st.body, st.trailers), (b"01234", {"sum": "10"}))
        number = conn.request(conn.head("/events", more=[("accept", "text/event-stream")]))
        conn.until(lambda: conn.streams[number].body, 1.5)
        equal(conn.streams[number].body, b"data: 1\n\n")


def connect_head(conn, path, **more):
    return [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
            (":authority", f"{conn.host}:{conn.port}"), (":path", path),
            ("sec-websocket-version", "13"),
            ("origin", more.get("origin", f"https://{conn.host}:{conn.port}"))]


def one_loop_gives_up_what_another_needs(stack):
    """All loops together have 32 connections to a device; one has most of them, and uses none."""
    host = stack.host("one")
    with H2(stack, host) as conn:
        numbers = [conn.request(conn.head("/trickle")) for _ in range(31)]
        equal([conn.answer(n).status for n in numbers], [200] * 31)
        streams = [tls_connect(stack.port, host, stack.lab.ca) for _ in range(12)]
        for tls in streams:
            tls.sendall(f"GET /events HTTP/1.1\r\nHost: {host}:{stack.port}\r\n"
                        "Accept: text/event-stream\r\n\r\n".encode())
        for tls in streams:
            tls.settimeout(5 * lib.SLOW)
            seen = b""
            while b"data: 1" not in seen:
                part = tls.recv(65536)
                check(part, f"it ends after {seen}")
                seen += part
        for tls in streams:
            tls.close()


def a_stream_that_is_reset_ends_at_the_device_at_once(stack):
    device = STATE["device"]
    with H2(stack, stack.host("one")) as conn:
        for _ in range(4):
            numbers = [conn.request(conn.head("/hold")) for _ in range(30)]
            wait_for("all of them at the device", lambda: len(device.held) == 30)
            conn.send(b"".join(frame(raw.RST, 0, n, struct.pack(">I", raw.CANCEL)) for n in numbers))
            wait_for("their end there", lambda: not device.held, 2)
        equal(conn.ask(conn.head("/echo")).status, 200)


def a_websocket_runs_inside(stack):
    with H2(stack, stack.host("one")) as conn:
        conn.until(lambda: conn.settings)
        equal(conn.settings.get(8), 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL")
        number = conn.request(connect_head(conn, "/ws"), end=False)
        st = conn.streams[number]
        conn.until(lambda: st.heads)
        equal(st.status, 200)
        check("sec-websocket-accept" not in st.fields and "upgrade" not in st.fields, st.fields)
        conn.send(frame(raw.DATA, 0, number, b"any bytes"))
        conn.until(lambda: st.body == b"any bytes")
        beside = conn.ask(conn.head("/echo"))
        equal(beside.status, 200, "a request beside it")
        conn.send(frame(raw.DATA, raw.END_STREAM, number, b", the last"))
        conn.answer(number)
        equal(st.body, b"any bytes, the last")


def a_websocket_that_is_not_agreed_upon_does_not_open(stack):
    with H2(stack, stack.host("one")) as conn:
        st = conn.ask(connect_head(conn, "/ws/refused"), end=False)
        equal((st.status, st.body), (418, b"no"))
        st = conn.ask(connect_head(conn, "/ws/page"), end=False)
        equal((st.status, st.body), (502, b"a page"), "success would open it")
        st = conn.ask(connect_head(conn, "/ws/lies"), end=False)
        check(st.status != 200, "a wrong Sec-WebSocket-Accept was taken")
        st = conn.ask(connect_head(conn, "/ws", origin="https://evil.example"), end=False)
        equal(st.status, 403)


def one_connection_serves_every_host_of_its_certificate(stack):
    with H2(stack, stack.host("one")) as conn:
        st = conn.ask(conn.head("/echo", host=stack.host("two")))
        fields = {k.lower(): v for k, v in json.loads(st.body)["fields"].items()}
        equal((st.status, fields["x-forwarded-host"]),
              (200, f"{stack.host('two')}:{stack.port}"))
        for host in ("nobody." + stack.lab.domain, "elsewhere.example"):
            equal(conn.ask(conn.head("/", host=host)).status, 421, host)


BAD_HEADS = [
    # words, fields to add or replace, and what may come: a status, or "reset"
    ("no path", dict(skip=(":path",)), "reset"),
    ("no method", dict(skip=(":method",)), "reset"),
    ("no scheme", dict(skip=(":scheme",)), "reset"),
    ("no authority", dict(skip=(":authority",)), "reset|400"),
    ("a method twice", dict(more=[(":method", "GET")]), "reset"),
    ("a path twice", dict(more=[(":path", "/b")]), "reset"),
    ("a pseudo-field after a field", dict(more=[("a", "b"), (":path", "/b")]), "reset"),
    ("an unknown pseudo-field", dict(more=[(":evil", "1")]), "reset"),
    ("a status", dict(more=[(":status", "200")]), "reset"),
    ("upper case", dict(more=[("Evil", "1")]), "reset|400"),
    ("connection", dict(more=[("connection", "close")]), "reset"),
    ("keep-alive", dict(more=[("keep-alive", "1")]), "reset"),
    ("transfer-encoding", dict(more=[("transfer-encoding", "chunked")]), "reset"),
    ("upgrade", dict(more=[("upgrade", "h2c")]), "reset"),
    ("te: gzip", dict(more=[("te", "gzip")]), "reset"),
    ("CR LF in a value", dict(more=[("a", "b\r\nx-evil: 1")]), "reset|400"),
    ("LF in a value", dict(more=[("a", "b\nx-evil: 1")]), "reset|400"),
    ("NUL in a value", dict(more=[("a", "b\0c")]), "reset|400"),
    ("a space before a value", dict(more=[("a", " b")]), "reset|400"),
    ("CR LF in a name", dict(more=[("a\r\nx-evil", "1")]), "reset|400"),
    ("a colon in a name", dict(more=[("a: b", "1")]), "reset|400"),
    ("an empty name", dict(more=[("", "1")]), "reset|400"),
    ("CR LF in the path", dict(path="/echo HTTP/1.1\r\nx-evil: 1\r\n\r\n"), "reset|400"),
    ("a space in the path", dict(path="/echo HTTP/1.1"), "reset|400"),
    ("an empty path", dict(path=""), "reset|400"),
    ("a relative path", dict(path="echo"), "reset|400"),
    ("an absolute path", dict(path="https://one/echo"), "reset|400"),
    ("a fragment", dict(path="/echo#x"), "reset|400"),
    ("a star for GET", dict(path="*"), "reset|400"),
    ("a method with a space", dict(method="GET /evil"), "reset|400"),
    ("a method with CR LF", dict(method="GET\r\n"), "reset|400"),
    ("a method too long", dict(method="A" * 40), "501"),
    ("CONNECT", dict(method="CONNECT"), "reset|501|400"),
    ("http as the scheme", dict(skip=(":scheme",), more=[]), "reset"),
    ("host that disagrees", dict(more=[("host", "evil.example")]), "400"),
    ("host twice", dict(more=[("host", "a"), ("host", "b")]), "reset|400"),
    ("content-length twice", dict(more=[("content-length", "0"), ("content-length", "1")]),
     "reset|400"),
    ("content-length +0", dict(more=[("content-length", "+0")]), "reset|400"),
    ("content-length that lies", dict(more=[("content-length", "4")]), "reset"),
    ("an expectation", dict(more=[("expect", "miracles")]), "417"),
    ("a path too long", dict(path="/" + "a" * 9000), "414"),
    ("a head too large", dict(more=[("a", "b" * 40000)]), "431|reset"),
    ("too many fields", dict(more=[(f"a{n}", "b") for n in range(150)]), "431"),
]


def heads_that_break_the_rules_reach_no_device(stack):
    seen = len(STATE["device"].seen)
    wrong = []
    for words, change, want in BAD_HEADS:
        args = {k: v for k, v in change.items() if k in ("path", "method", "more", "skip")}
        with H2(stack, stack.host("one")) as conn:
            conn.encoder.huffman = False
            try:
                st = conn.ask(conn.head(**args))
                found = "reset" if st.reset is not None else str(st.status)
            except raw.Ended:
                found = "reset"
            if found not in want.split("|"):
                wrong.append(f"{words}: {found}, not {want}")
            if found != "reset":
                equal(conn.ask(conn.head("/echo")).status, 200, f"after {words}")
                seen += 1
    equal(wrong, [], "heads")
    equal(len(STATE["device"].seen), seen, "requests that the device saw")


def a_hostile_answer_is_never_a_whole_one(stack):
    with H2(stack, stack.host("one")) as conn:
        for kind in EVIL:
            st = conn.ask(conn.head("/evil/" + kind))
            check(st.reset is not None or st.status in (502, 503), f"{kind}: {st.status} {st.body!r}")
            check(st.reset is not None or b"evil" not in st.body, f"{kind} leaks: {st.body!r}")
            if kind.startswith("early-end"):
                equal((st.status, st.reset), (200, raw.INTERNAL), kind)
        equal(conn.ask(conn.head("/echo")).status, 200, "a good request after all that")


def a_stalled_stream_stalls_no_other(stack):
    with H2(stack, stack.host("one")) as conn:
        stalled = conn.request(conn.head(f"/big/{8 * MIB}"))
        conn.streams.pop(stalled)  # it gets no credit of its own any more
        conn.send(frame(raw.WINDOW, 0, 0, struct.pack(">I", MIB)))
        for _ in range(20):
            equal(conn.ask(conn.head("/echo")).status, 200)
        conn.send(frame(raw.RST, 0, stalled, struct.pack(">I", raw.CANCEL)))
        equal(conn.ask(conn.head("/echo")).status, 200, "after it was cancelled")


def what_is_urgent_goes_first(stack):
    update, credit = 16, struct.pack(">I", 30000)  # PRIORITY_UPDATE, RFC 9218 §7.1
    for name, field, path, moved in (
            ("nobody", [], "/echo", b""),
            ("the request's field", [("priority", "u=7")], "/echo", b""),
            ("PRIORITY_UPDATE", [], "/echo", b"u=7"),
            ("the device's field", [], "/urgent/u=0", b"")):
        with H2(stack, stack.host("one")) as conn:
            conn.stingy = True
            big = conn.request(conn.head(f"/big/{MIB}", more=field))
            conn.until(lambda: len(conn.streams[big].body) == 65535)
            if moved:
                conn.send(frame(update, 0, 0, struct.pack(">I", big) + moved))
            small = conn.request(conn.head(path))
            conn.until(lambda: conn.streams[small].heads)
            conn.send(frame(raw.WINDOW, 0, big, credit) + frame(raw.WINDOW, 0, 0, credit))
            conn.until(lambda: conn.streams[small].ended or
                       len(conn.streams[big].body) == 65535 + 30000)
            equal(len(conn.streams[big].body) == 65535, name != "nobody", f"first, by {name}")


def the_connection_says_goodbye(stack):
    with H2(stack, stack.host("one")) as conn:
        number = conn.request(conn.head("/trickle"))
        conn.until(lambda: conn.streams[number].heads)
        stack.gateway.stop()
        try:
            conn.until(lambda: conn.streams[number].ended, 5)
        except raw.Ended:
            pass
        equal(conn.streams[number].body, b"01234", "what was under way")
        equal(conn.goaway and conn.goaway[1], raw.NO_ERROR, "GOAWAY")
    stack.start_gateway()


# ---- floods ----

def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kib_of(pid, word):
    return int(re.search(rf"{word}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def forget_peak(pid):
    try:
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        pass  # not ours to do: then only what exceeds all that was before is seen


def flood(stack, words, code, make, head=None):
    """Sends what make(conn) gives until the connection ends; which must be soon, with `code`, and
    cost little time and memory."""
    gate = stack.gate_pid()
    with H2(stack, stack.host("one")) as conn:
        if head:
            head(conn)
        forget_peak(gate)
        before, begun, peak = cpu_of(gate), time.monotonic(), kib_of(gate, "VmHWM")
        found = conn.pelt(make(conn), 10 * lib.SLOW)
        took, cost = time.monotonic() - begun, cpu_of(gate) - before
        grown = kib_of(gate, "VmHWM") - peak
    print(f"{words}: code {found} after {took:.2f} s, {cost:.2f} CPU-s, {grown} KiB", file=sys.stderr)
    check(found in code, f"{words}: code {found}, not {code}")
    check(took <= 1.0 * lib.SLOW, f"{words}: {took:.2f} s")
    check(cost <= 0.2 * lib.SLOW, f"{words}: {cost:.2f} CPU-s")
    check(grown <= FLOOD_KIB, f"{words}: {grown} KiB more")


def forever(part):
    while True:
        yield part


def rapid_reset(conn):
    number = 1
    while True:
        part = b""
        for _ in range(50):
            part += frame(raw.HEADERS, raw.END_HEADERS | raw.END_STREAM, number,
                          conn.block(conn.head("/echo")))
            part += frame(raw.RST, 0, number, struct.pack(">I", raw.CANCEL))
            number += 2
        yield part


def window_overflow(conn):
    number = 1
    while True:
        part = b""
        for _ in range(50):
            part += frame(raw.HEADERS, raw.END_HEADERS, number, conn.block(conn.head("/upload", "POST", SAME)))
            part += frame(raw.WINDOW, 0, number, struct.pack(">I", 0x7fffffff))
            number += 2
        yield part


def reset_by_error(conn):
    number = 1
    while True:
        part = b""
        for _ in range(50):
            part += frame(raw.HEADERS, raw.END_HEADERS, number, conn.block(conn.head("/upload", "POST", SAME)))
            part += frame(raw.WINDOW, 0, number, struct.pack(">I", 0))
            number += 2
        yield part


def continuations(conn):
    yield frame(raw.HEADERS, 0, 1, conn.block(conn.head("/")))
    yield from forever(frame(raw.CONT, 0, 1, b"\x00\x01a\x01b") * 50)


def references(conn):
    """A long field in the table, then a thousand bytes a head that stand for megabytes."""
    value = "v" * 3900
    yield frame(raw.HEADERS, raw.END_HEADERS | raw.END_STREAM, 1,
                conn.block(conn.head("/", more=[("x", value)])))
    number = 3
    while True:
        block = conn.block(conn.head("/"))
        entry = conn.encoder.encode([("x", value)])
        yield frame(raw.HEADERS, raw.END_HEADERS | raw.END_STREAM, number, block + entry * 1000)
        number += 2


def open_post(conn):
    conn.request(conn.head("/upload", "POST", SAME), end=False)


def floods_end_their_connection_and_harm_nobody(stack):
    good = threading.Event()
    failures, count = [], [0]

    def be_good():
        with H2(stack, stack.host("two")) as conn:
            while not good.is_set():
                st = conn.ask(conn.head("/echo"))
                count[0] += 1
                if st.status != 200:
                    failures.append(st.status)
    beside = threading.Thread(target=be_good)
    beside.start()
    calm, either = (raw.CALM,), (raw.CALM, raw.PROTOCOL, raw.INTERNAL)
    try:
        flood(stack, "rapid reset", calm, rapid_reset)
        flood(stack, "window overflow", calm + (raw.PROTOCOL,), window_overflow)
        flood(stack, "reset by error", calm + (raw.PROTOCOL,), reset_by_error)
        flood(stack, "continuations", either, continuations)
        flood(stack, "references", calm, references)
        flood(stack, "empty data", calm, lambda c: forever(frame(raw.DATA, 0, 1) * 100), open_post)
        flood(stack, "unknown frames", calm, lambda c: forever(frame(77, 0, 0, b"x") * 100))
        flood(stack, "settings", calm,
              lambda c: forever(frame(raw.SETTINGS, payload=setting(4, 65535)) * 50))
        flood(stack, "pings", calm, lambda c: forever(frame(raw.PING, payload=b"12345678") * 50))
        flood(stack, "priorities", calm,
              lambda c: forever(frame(raw.PRIORITY, 0, 3, b"\0\0\0\1\1") * 100))
        flood(stack, "window updates", calm,
              lambda c: forever(frame(raw.WINDOW, 0, 0, b"\0\0\0\1") * 100))
    finally:
        good.set()
        beside.join(20)
    equal(failures, [], "what a good client got")
    check(count[0] > 10, f"a good client got {count[0]} answers")


def who_sends_tiny_pieces_waits_and_is_served(stack):
    """18,000 at once and 5,000 a second: a client of many small messages, which is no flood."""
    gate, pieces = stack.gate_pid(), 34000
    with H2(stack, stack.host("one"), timeout=60) as conn:
        number = conn.request(conn.head("/upload", "POST", SAME), end=False)
        conn.until(lambda: conn.settings)
        forget_peak(gate)
        before, begun, peak = cpu_of(gate), time.monotonic(), kib_of(gate, "VmHWM")
        conn.send(frame(raw.DATA, 0, number, b"x") * pieces)
        conn.send(frame(raw.DATA, raw.END_STREAM, number))
        conn.until(lambda: conn.streams[number].ended)
        took, cost = time.monotonic() - begun, cpu_of(gate) - before
        grown = kib_of(gate, "VmHWM") - peak
        st = conn.streams[number]
        equal(st.status, 200, "the answer")
        check(f"{pieces}".encode() in st.body, st.body)
    print(f"# tiny pieces: {took:.2f} s, {cost:.2f} CPU-s, {grown} KiB", file=sys.stderr)
    check(took >= 2.5, f"it took only {took:.2f} s")
    check(cost <= 0.5 * took * lib.SLOW, f"{cost:.2f} CPU-s")
    check(grown <= FLOOD_KIB, f"{grown} KiB more")


def a_head_that_never_ends_is_waited_for_briefly(stack):
    # head_ms is 10 s by default: only that the wait is bounded is shown here.
    with H2(stack, stack.host("one"), timeout=30) as conn:
        conn.until(lambda: conn.settings)
        conn.send(frame(raw.HEADERS, 0, 1, conn.block(conn.head("/"))))
        equal(conn.end(20 * lib.SLOW), raw.CALM)


def garbage_is_no_connection(stack):
    for bytes_ in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(200), b"PRI * HTTP/2.0\r\n\r\n"
                   b"XX\r\n\r\n"):
        conn = H2(stack, stack.host("one"), preface=False)
        conn.send(bytes_)
        conn.end(5)
    with H2(stack, stack.host("one")) as conn:
        conn.send(frame(raw.HEADERS, raw.END_HEADERS, 2, conn.block(conn.head("/"))))
        equal(conn.end(5), raw.PROTOCOL, "an even stream")
    with H2(stack, stack.host("one")) as conn:
        conn.send(frame(raw.DATA, 0, 0, b"x"))
        equal(conn.end(5), raw.PROTOCOL, "data on the connection")
    with H2(stack, stack.host("one")) as conn:
        conn.send(frame(raw.HEADERS, raw.END_HEADERS, 1, b"\xff" * 50))
        equal(conn.end(5), raw.COMPRESSION, "a block that is not HPACK")


TESTS = [a_gateway_speaks_h2_where_it_is_offered, requests_and_answers_pass_whole,
         only_what_is_left_of_a_request_is_reset_behind_its_answer,
         answers_without_a_body_have_none,
         interim_heads_streams_and_trailers_come_as_they_are_sent,
         one_loop_gives_up_what_another_needs,
         a_stream_that_is_reset_ends_at_the_device_at_once, a_websocket_runs_inside,
         a_websocket_that_is_not_agreed_upon_does_not_open,
         one_connection_serves_every_host_of_its_certificate,
         heads_that_break_the_rules_reach_no_device, a_hostile_answer_is_never_a_whole_one,
         a_stalled_stream_stalls_no_other, what_is_urgent_goes_first, garbage_is_no_connection,
         floods_end_their_connection_and_harm_nobody,
         who_sends_tiny_pieces_waits_and_is_served,
         a_head_that_never_ends_is_waited_for_briefly, the_connection_says_goodbye]

if __name__ == "__main__":
    lib.run(TESTS)
