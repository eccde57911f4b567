#!/usr/bin/python3
"""Streams that people notice, each over HTTP/1.1 and HTTP/2, through a link and to an upstream: what
a device sends arrives before more of it comes, what it says of ranges, trailers, interim answers and
upgrades passes as it is. Order is the measure, not time: the device goes on when another request
tells it that the part before has been seen.
"""
import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import lib
from front import Front
from lib import check, equal
from rawdevice import OK, Device
from web import Browser

STATE = {}
FILE = bytes(range(256)) * 40
ETAG = b'"v1"'
FRAME = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 6\r\n\r\n"
REFUSALS = {
    "403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: tired\r\n\r\nno",
    "426": b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
           b"Sec-WebSocket-Version: 8\r\nContent-Length: 2\r\n\r\nno",
    "200": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Why: tired\r\n\r\na page",
}


def chunk(part):
    return b"%x\r\n%s\r\n" % (len(part), part)


class Stage(Device):
    """A device that waits for its audience."""

    def __init__(self):
        super().__init__()
        self.seen_parts = {}

    def part_was_seen(self, stream):
        return self.seen_parts.setdefault(stream, threading.Semaphore(0))

    def do_saw(self, sock, reader, request):
        self.part_was_seen(request[1]).release()
        return self.reply(sock, {})

    def wait_for_audience(self, stream):
        if not self.part_was_seen(stream).acquire(timeout=30):
            raise ValueError("nobody saw it")

    def play(self, sock, stream, head, parts, end=b""):
        """Sends a part only when the one before has been seen."""
        sock.sendall(head)
        for part in parts:
            sock.sendall(part)
            self.wait_for_audience(stream)
        sock.sendall(end)

    def do_sse(self, sock, reader, request):
        self.play(sock, request[1], OK + b"Content-Type: text/event-stream\r\n\r\n",
                  [b"data: %d\n\n" % n for n in range(5)])
        return False

    def do_chunked(self, sock, reader, request):
        self.play(sock, request[1], OK + b"Content-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n",
                  [chunk(b"data: %d\n\n" % n) for n in range(5)], b"0\r\n\r\n")
        return True

    def do_mjpeg(self, sock, reader, request):
        # The delimiter of the next frame is what makes browsers show one.
        self.play(sock, request[1],
                  OK + b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n",
                  [FRAME + b"jpeg-%d\r\n--frame" % n for n in range(5)])
        return False

    def do_quiet(self, sock, reader, request):
        """The head alone, and nothing behind it yet."""
        self.play(sock, request[1], OK + b"Content-Length: 5\r\n\r\n", [b""], b"ended")
        return True

    def do_file(self, sock, reader, request):
        fields = request[2]
        wanted = fields.get("Range", "")
        if fields.get("If-Range", ETAG.decode()) != ETAG.decode():
            wanted = ""
        ranges = [tuple(map(int, r.split("-"))) for r in wanted.removeprefix("bytes=").split(",")
                  if r]
        common = b"ETag: " + ETAG + b"\r\nAccept-Ranges: bytes\r\n"
        size = len(FILE)
        if any(first >= size for first, _ in ranges):
            sock.sendall(b"HTTP/1.1 416 X\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n"
                         % size)
        elif len(ranges) == 1:
            first, last = ranges[0]
            sock.sendall(b"HTTP/1.1 206 X\r\n" + common + b"Content-Range: bytes %d-%d/%d\r\n"
                         b"Content-Length: %d\r\n\r\n" % (first, last, size, last - first + 1) +
                         FILE[first:last + 1])
        elif ranges:
            body = b"".join(b"--gap\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (a, b, size) +
                            FILE[a:b + 1] + b"\r\n" for a, b in ranges) + b"--gap--\r\n"
            sock.sendall(b"HTTP/1.1 206 X\r\n" + common + b"Content-Type: multipart/byteranges; "
                         b"boundary=gap\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        else:
            sock.sendall(OK + common + b"Content-Length: %d\r\n\r\n" % size +
                         (b"" if request[0] == "HEAD" else FILE))
        return True

    def do_grpc(self, sock, reader, request):
        """Each message of a chunked body is answered before the next is read."""
        fields = request[2]
        sock.sendall(OK + b"Content-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n"
                     b"Trailer: grpc-status, grpc-message\r\n\r\n")
        while size := int(reader.readline(), 16):
            sock.sendall(chunk(reader.read(size)[::-1]))
            reader.readline()
        reader.readline()
        te = fields.get("TE", "none").encode()
        sock.sendall(b"0\r\ngrpc-status: 5\r\ngrpc-message: te is " + te + b"\r\n\r\n")
        return True

    def do_early(self, sock, reader, request):
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        self.wait_for_audience(request[1])
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")
        self.wait_for_audience(request[1])
        return self.reply(sock, {})

    def do_expect(self, sock, reader, request):
        self.wait_for_audience(request[1])
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.do_upload(sock, reader, request)

    def do_half(self, sock, reader, request):
        """An answer that breaks off, whose beginning and end the gateway sees at once."""
        gate = STATE["gate"]()
        os.kill(gate, signal.SIGSTOP)
        try:
            sock.sendall(OK + b"Content-Length: 40\r\n\r\nhalf")
            sock.shutdown(socket.SHUT_RDWR)
            time.sleep(0.1)  # for an agent in between
        finally:
            os.kill(gate, signal.SIGCONT)
        return False

    def do_refuse(self, sock, reader, request):
        sock.sendall(REFUSALS[request[1]])
        return True


def start(stack):
    stage = STATE["stage"] = Stage()
    STATE["gate"], STATE["stack"] = stack.gate_pid, stack
    stack.config = ("certificates: wildcard\ndevices:\n"
                    f"  - name: wired\n    upstream: http://127.0.0.1:{stage.port}\n")
    stack.start_gateway()
    stack.wait_for_certificate()
    stack.devices["linked"] = stage.port
    done = stack.enrol("linked")
    equal(done.returncode, 0, f"enrol: {done.stderr}")
    stack.start_agent("linked")
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    for name in ("wired", "linked"):
        lib.wait_for(f"the way to {name}", lambda name=name: browser.open(
            browser.origin(stack.host(name)) + "/file").status == 200)


def each_way(fn):
    """The test on both fronts and both ways to the device."""
    def test(stack):
        for name in ("wired", "linked"):
            for version in ("h1", "h2"):
                cookie = STATE["browser"].cookie_header(stack.host(name))
                try:
                    with Front(stack, name, version, cookie) as front:
                        fn(front, f"{name}-{version}")
                except Exception as error:
                    raise lib.Failure(f"{version} to {name}: {error!r}") from error
    test.__name__ = fn.__name__
    return test


def a_gateway_with_both_kinds_of_device(stack):
    start(stack)


def saw(front, stream):
    equal(front.ask(f"/saw/{stream}").rest().status, 200, "the request beside it")


@each_way
def events_arrive_before_the_next_is_sent(front, way):
    for kind in ("sse", "chunked"):
        asked = front.ask(f"/{kind}/{kind}-{way}", more=[("accept", "text/event-stream")])
        for n in range(5):
            asked.read_to(b"data: %d\n\n" % n)
            saw(front, f"{kind}-{way}")
        equal(asked.rest().whole, True, f"{kind}: a whole answer")
        equal(asked.body, b"".join(b"data: %d\n\n" % n for n in range(5)), kind)


@each_way
def pictures_of_a_camera_arrive_one_by_one(front, way):
    asked = front.ask(f"/mjpeg/mjpeg-{way}")
    equal(asked.head()[1]["content-type"], "multipart/x-mixed-replace; boundary=frame")
    for n in range(5):
        asked.read_to(b"jpeg-%d\r\n--frame" % n)
        saw(front, f"mjpeg-{way}")
    equal(asked.rest().whole, True, "a whole answer")


@each_way
def a_head_arrives_before_its_body(front, way):
    asked = front.ask(f"/quiet/quiet-{way}")
    equal(asked.head()[0], 200)
    equal(asked.body, b"", "a body")
    saw(front, f"quiet-{way}")
    equal(asked.rest().body, b"ended")


@each_way
def ranges_are_the_devices_own(front, way):
    def ask(method="GET", **fields):
        return front.ask("/file", method, [(k.replace("_", "-"), v)
                                           for k, v in fields.items()]).rest()
    one = ask(range="bytes=100-299")
    equal((one.status, one.fields["content-range"], one.body),
          (206, f"bytes 100-299/{len(FILE)}", FILE[100:300]))
    many = ask(range="bytes=0-9,500-509")
    equal((many.status, many.fields["content-type"]), (206, "multipart/byteranges; boundary=gap"))
    check(FILE[500:510] + b"\r\n--gap--\r\n" in many.body, many.body)
    beyond = ask(range="bytes=999999-9999999")
    equal((beyond.status, beyond.fields["content-range"], beyond.body),
          (416, f"bytes */{len(FILE)}", b""))
    equal(ask(range="bytes=1-2", if_range='"v1"').body, FILE[1:3], "If-Range, the same")
    old = ask(range="bytes=1-2", if_range='"v0"')
    equal((old.status, len(old.body)), (200, len(FILE)), "If-Range, another")
    head = ask("HEAD")
    equal((head.status, head.fields["content-length"], head.fields["etag"], head.body),
          (200, str(len(FILE)), ETAG.decode(), b""))


@each_way
def an_answer_without_a_body_ends_with_its_head(front, way):
    for status in (204, 304):
        asked = front.ask(f"/empty/{status}").rest()
        equal((asked.status, asked.body, asked.fields["etag"], asked.whole),
              (status, b"", '"1"', True))


@each_way
def calls_with_trailers_run_both_ways_at_once(front, way):
    asked = front.ask("/grpc", "POST", [("content-type", "application/grpc"), ("te", "trailers")],
                      body=True)
    equal(asked.head()[1]["content-type"], "application/grpc", "the head, before any message")
    for n in range(4):
        asked.send(b"message %d" % n)
        asked.read_to((b"message %d" % n)[::-1])
    asked.end()
    asked.rest()
    equal(asked.whole, True, "a whole answer")
    equal(asked.trailers, {"grpc-status": "5", "grpc-message": "te is trailers"}, "trailers")


@each_way
def interim_answers_come_when_they_are_sent(front, way):
    asked = front.ask(f"/early/early-{way}")
    for n, link in enumerate(("</a.css>; rel=preload", "</b.css>; rel=preload")):
        asked.until(lambda n=n: len(asked.heads) > n, "an early hint")
        status, fields = asked.heads[n]
        equal((status, dict(fields)["link"]), (103, link))
        saw(front, f"early-{way}")
    equal(asked.head()[0], 200)


@each_way
def a_body_waits_for_the_devices_word(front, way):
    asked = front.ask(f"/expect/expect-{way}", "POST",
                      [("expect", "100-continue"), ("content-length", "4")], body=True)
    saw(front, f"expect-{way}")
    asked.until(lambda: asked.heads, "100")
    equal(asked.heads[0][0], 100)
    asked.send(b"abcd")
    if front.version == "h2":
        asked.end()
    equal(json.loads(asked.rest().body)["bytes"], 4)


@each_way
def a_refused_upgrade_is_the_devices_own_answer(front, way):
    for status in ("403", "426"):
        asked = front.upgrade("/refuse/" + status).rest()
        equal((asked.status, asked.body, asked.whole), (int(status), b"no", True), "refused")
        if status == "403":
            equal(asked.fields["x-why"], "tired")
        else:
            equal(asked.fields["sec-websocket-version"], "8")
    asked = front.upgrade("/refuse/200").rest()
    # Over HTTP/2, of browser or link, any success would open it (RFC 8441 §5).
    wanted = (200,) if way == "wired-h1" else (200, 502) if front.version == "h1" else (502,)
    check(asked.status in wanted and asked.body == b"a page", str(asked))
    equal(front.ask("/file").rest().status, 200, "the next request")


@each_way
def an_answer_that_breaks_off_is_shown_so(front, way):
    del way
    asked = front.ask("/half").rest()
    # A reset that is known before the head has left takes it back over HTTP/2.
    check(asked.status == 200 or front.version == "h2", "an empty reply")
    equal(asked.whole, False, "an end")
    with Front(STATE["stack"], front.host.split(".")[0], front.version, front.cookie) as again:
        equal(again.ask("/file").rest().status, 200, "the next request")


TESTS = [a_gateway_with_both_kinds_of_device, events_arrive_before_the_next_is_sent,
         pictures_of_a_camera_arrive_one_by_one, a_head_arrives_before_its_body,
         ranges_are_the_devices_own, an_answer_without_a_body_ends_with_its_head,
         calls_with_trailers_run_both_ways_at_once, interim_answers_come_when_they_are_sent,
         a_body_waits_for_the_devices_word, a_refused_upgrade_is_the_devices_own_answer,
         an_answer_that_breaks_off_is_shown_so]

if __name__ == "__main__":
    lib.run(TESTS)
