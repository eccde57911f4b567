#!/usr/bin/python3
"""lanthorn-agent over reversed HTTP/2: the test gateway chooses it, and what comes to its tap speaks
HTTP/2 itself with the agent: curl, h2load, and python3-h2.
"""
import base64
import hashlib
import pathlib
import re
import select
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import h2.config
import h2.connection
import h2.events
import h2.settings

import agent
import lib
from agent import BIG, BIG_SHA256, BLOCK, RSS_MOST_KIB, Bench, Gate, Page, Service
from lib import TOP, check, equal, wait_for

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Talk(Page):
    """The device's own web service, with a WebSocket and answers that break off."""

    def do_GET(self):
        if self.path == "/ws":
            self.websocket()
        elif self.path == "/ws-refused":
            self.send_response(403)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"not me")
        elif self.path == "/breaks-off":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        elif self.path == "/waits":
            self.server.waiting.acquire()
            self.answer(b"at last")
        else:
            super().do_GET()

    def websocket(self):
        self.close_connection = True
        key = self.headers["Sec-WebSocket-Key"]
        digest = hashlib.sha1((key + GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        while data := self.connection.recv(65536):
            self.connection.sendall(data)


class Link:
    """One connection to the tap, and so one link of the agent, with python3-h2 in the gateway's place."""

    def __init__(self, gate):
        self.socket = socket.create_connection(("127.0.0.1", gate.tap), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.heads, self.bodies, self.ended, self.resets = {}, {}, set(), {}
        self.settings, self.goaway, self.closed, self.received = {}, False, False, 0
        self.flush()
        self.until(lambda: self.settings)

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path, *more, end=True):
        stream = self.h2.get_next_available_stream_id()
        fields = dict([(":method", "GET"), (":scheme", "https"), (":authority", "tv"),
                       (":path", path), *more])
        self.h2.send_headers(stream, list(fields.items()), end_stream=end)
        self.bodies[stream] = bytearray()
        self.flush()
        return stream

    def websocket(self, path):
        return self.ask(path, (":method", "CONNECT"), (":protocol", "websocket"), end=False)

    def send(self, stream, data, end=False):
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def take(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({k: v.new_value for k, v in event.changed_settings.items()})
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = True
            # python3-h2 would take no more; RFC 9113 §6.8 lets streams end.
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def take_what_is_there(self):
        while select.select([self.socket], [], [], 0)[0]:
            before = self.received
            self.until(lambda: self.received > before)

    def until(self, done):
        while not done():
            data = self.socket.recv(65536)
            self.received += len(data)
            if not data:
                self.closed = True
                check(done(), "the link was closed")
                return
            for event in self.h2.receive_data(data):
                self.take(event)
            self.flush()

    def answer(self, stream):
        self.until(lambda: stream in self.ended or stream in self.resets)
        return self.heads.get(stream, {}).get(b":status"), bytes(self.bodies[stream])

    def close(self):
        self.socket.close()


class Device(Bench):
    def __init__(self):
        super().__init__()
        self.service = Service()
        self.service.server.RequestHandlerClass = Talk
        self.service.server.waiting = agent.threading.Semaphore(0)
        self.gate = Gate(self, "--h2")
        self.enrol("tv", self.gate.token)
        self.agent = super().run("tv")
        self.wait_linked("tv")


def curl(gate, path, *args):
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "120", *args,
                           f"http://127.0.0.1:{gate.tap}{path}"], capture_output=True, check=True)
    return done.stdout


def one_link_of_http_2_is_kept(bench):
    status = bench.status("tv")
    equal((status["protocol"], status["idle"], status["busy"], status["streams"]),
          ("h2", 1, 0, 0), status)
    time.sleep(0.3)
    equal(len(bench.gate.said("link")), 1, "links")


def a_request_reaches_the_service(bench):
    equal(curl(bench.gate, "/"), b"page one")
    wait_for("another link", lambda: len(bench.gate.said("link")) == 2)
    check("resumed=1" in bench.gate.said("link"), "the session was not resumed")
    equal(curl(bench.gate, "/until-close"), BLOCK * 50)


def sixteen_requests_share_a_link(bench):
    link = Link(bench.gate)
    equal(link.settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS], 16)
    equal(link.settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL], 1)
    begun = time.monotonic()
    streams = [link.ask("/slow") for _ in range(16)]
    equal([link.answer(s) for s in streams], [(b"200", b"slow")] * 16)
    took = time.monotonic() - begun
    check(took < 16 * 0.3 / 2, f"one after the other: {took} s")
    link.close()


def websockets_pass_by_rfc_8441(bench):
    link = Link(bench.gate)
    stream = link.websocket("/ws")
    link.until(lambda: stream in link.heads)
    equal(link.heads[stream][b":status"], b"200")
    for size in (1, 5, 20000):
        got = len(link.bodies[stream])
        for at in range(0, size, 16000):
            link.send(stream, BLOCK[at:min(at + 16000, size)])
        link.until(lambda: len(link.bodies[stream]) == got + size)
        equal(link.bodies[stream][got:], BLOCK[:size], "echo")
    link.send(stream, b"", end=True)
    link.until(lambda: stream in link.ended)
    equal(link.answer(link.websocket("/ws-refused")), (b"403", b"not me"))
    equal(link.answer(link.websocket("/"))[0], b"502", "an answer that is no upgrade")
    link.close()


def an_answer_that_breaks_off_is_reset(bench):
    link = Link(bench.gate)
    stream = link.ask("/breaks-off")
    equal(link.answer(stream), (b"200", b"hello"))
    check(stream not in link.ended and link.resets == {stream: 2}, link.resets)
    equal(link.answer(link.ask("/")), (b"200", b"page one"), "the next stream")
    link.close()


def a_service_that_is_down_becomes_a_502(bench):
    port = bench.service.port
    bench.service.stop()
    link = Link(bench.gate)
    status, body = link.answer(link.ask("/"))
    equal((status, len(body)), (b"502", 48))
    bench.service = Service("one", port)
    bench.service.server.RequestHandlerClass = Talk
    bench.service.server.waiting = agent.threading.Semaphore(0)
    equal(link.answer(link.ask("/")), (b"200", b"page one"))
    link.close()


def a_goaway_brings_a_new_link_while_the_old_one_drains(bench):
    link = Link(bench.gate)
    stream = link.ask("/waits")
    wait_for("the stream", lambda: bench.status("tv")["streams"] == 1)
    before = len(bench.gate.said("link"))
    link.socket.sendall(b"\0\0\x08\x07\0\0\0\0\0" + bytes(8))  # GOAWAY, by hand: h2 would close
    wait_for("a new link", lambda: len(bench.gate.said("link")) == before + 1)
    equal(curl(bench.gate, "/"), b"page one", "over the new link")
    bench.service.server.waiting.release()
    equal(link.answer(stream), (b"200", b"at last"))
    link.until(lambda: link.closed)
    link.close()
    wait_for("calm", lambda: bench.status("tv")["idle"] == 1)


def sighup_changes_the_protocol(bench):
    bench.config("tv", link="h1")
    bench.agent.child.send_signal(agent.signal.SIGHUP)
    wait_for("the refusal", lambda: "no link" in bench.agent.text())
    bench.config("tv")
    bench.agent.child.send_signal(agent.signal.SIGHUP)
    wait_for("a link again", lambda: bench.status("tv").get("protocol") == "h2", 30)
    equal(curl(bench.gate, "/"), b"page one")


def sigterm_lets_a_stream_end(bench):
    link = Link(bench.gate)
    stream = link.ask("/waits")
    wait_for("the stream", lambda: bench.status("tv")["streams"] == 1)
    bench.agent.child.terminate()
    link.until(lambda: link.goaway)
    bench.service.server.waiting.release()
    equal(link.answer(stream), (b"200", b"at last"))
    link.close()
    equal(bench.agent.child.wait(6), 0, "the exit code")


def sixty_four_mib_both_ways_in_less_than_12_mib(bench):
    text = (TOP / "device-agent/README.md").read_text()
    command = re.search(r"```sh\n(awk [^`]*?-lnghttp2.*?)```", text, re.S)[1]
    subprocess.run(["sh", "-euc", command.replace("-o lanthorn-agent", f"-o {bench.small}")],
                   cwd=TOP, check=True, timeout=240)
    gate = Gate(bench, "--h2", folder="gate-small")
    bench.enrol("small", gate.token)
    process = bench.run("small", program=bench.small)
    bench.wait_linked("small")
    equal(curl(gate, "/"), b"page one")
    idle = agent.rss_kib(process.pid)
    link = Link(gate)
    link.h2.increment_flow_control_window(1 << 20)
    up = link.ask("/", (":method", "PUT"), ("content-length", str(BIG)), end=False)
    down = link.ask("/big")
    left = BIG
    while left:
        link.until(lambda: link.h2.local_flow_control_window(up) > 0)
        n = min(left, link.h2.local_flow_control_window(up), 16384)
        at = (BIG - left) % len(BLOCK)
        n = min(n, len(BLOCK) - at)
        left -= n
        link.send(up, BLOCK[at:at + n], end=left == 0)
        link.take_what_is_there()
    equal(link.answer(up), (b"200", BIG_SHA256.encode()), "upload")
    link.until(lambda: down in link.ended)
    equal(hashlib.sha256(link.bodies[down]).hexdigest(), BIG_SHA256, "download")
    link.close()
    most = agent.rss_kib(process.pid)
    print(f"# {idle} KiB resident after a request, at most {most} KiB", flush=True)
    check(most < RSS_MOST_KIB, f"{most} KiB resident")
    equal(process.stop(), 0)
    gate.stop()


if __name__ == "__main__":
    lib.run([
        one_link_of_http_2_is_kept,
        a_request_reaches_the_service,
        sixteen_requests_share_a_link,
        websockets_pass_by_rfc_8441,
        an_answer_that_breaks_off_is_reset,
        a_service_that_is_down_becomes_a_502,
        a_goaway_brings_a_new_link_while_the_old_one_drains,
        sighup_changes_the_protocol,
        sigterm_lets_a_stream_end,
        sixty_four_mib_both_ways_in_less_than_12_mib,
    ], make=Device)
