"""A device's agent by hand, over reversed HTTP/2 (python3-h2): it answers from the link itself, and can
stall, refuse, die or flood.
"""
import hashlib
import json
import select
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from linkpeer import SUFFIX

BOTH = b"\x04\xd5\x87\xc9\xa5\x04\xc6\x96\xc9\xa5"
ONLY_H1 = b"\x04\xc6\x96\xc9\xa5"
REFUSED_STREAM = 7


def dial(stack, name, own, alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(own)
    # The bytes of these names are no text, which the public call insists on.
    context._set_alpn_protocols(alpn)  # pylint: disable=protected-access
    raw = socket.create_connection(("127.0.0.1", stack.port), 20)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname=name + SUFFIX)


class Link:
    """One link. Requests are answered by its own thread; `seen` has them as they came."""
    died = set()

    def __init__(self, stack, name, own, settings=None):
        self.tls = dial(stack, name, own, BOTH)
        self.lock = threading.RLock()
        self.closed = threading.Event()
        self.goaway = None
        self.seen, self.held, self.requests = [], {}, {}
        self.given_up = 0  # streams that the gateway has reset
        self.pending = {}  # stream: bytes that wait for the window
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8"))
        codes = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            codes.ENABLE_CONNECT_PROTOCOL: 1, codes.MAX_CONCURRENT_STREAMS: 100,
            **(settings or {})})
        self.h2.initiate_connection()
        self.flush()
        threading.Thread(target=self.run, daemon=True).start()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.tls.sendall(data)

    def close(self):
        """At once, without close_notify: what a device that dies does."""
        self.closed.set()
        try:
            socket.socket.shutdown(self.tls, socket.SHUT_RDWR)
        except OSError:
            pass

    def read(self):
        """What is there; an OpenSSL connection is for one thread at a time."""
        if not self.tls.pending() and not select.select([self.tls], [], [], 0.1)[0]:
            return True
        with self.lock:
            self.tls.settimeout(0)
            try:
                data = self.tls.recv(65536)
            except ssl.SSLWantReadError:
                return True
            finally:
                self.tls.settimeout(20)
            for event in self.h2.receive_data(data):
                self.take(event)
            self.flush()
        return bool(data)

    def run(self):
        try:
            while not self.closed.is_set() and self.read():
                pass
        except (OSError, ValueError, h2.exceptions.ProtocolError):
            pass
        finally:
            with self.lock:
                self.closed.set()
                self.tls.close()

    def send_raw(self, data):
        """False: the link has ended."""
        with self.lock:
            try:
                self.tls.sendall(data)
            except OSError:
                return False
        return not self.closed.is_set()

    # ---- what comes ----

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = (dict(event.headers), bytearray())
            if self.path(event.stream_id).startswith("/early"):
                self.answer(event.stream_id, b"too much", "413")
            elif dict(event.headers).get(":method") == "CONNECT":
                self.connect(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.data(event.stream_id, event.data)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended(event.stream_id)
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in list(self.pending):
                self.pour(stream)
        elif isinstance(event, h2.events.StreamReset):
            self.pending.pop(event.stream_id, None)
            self.held.pop(event.stream_id, None)
            self.given_up += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
            # python3-h2 would take no more; RFC 9113 §6.8 lets streams end.
            self.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN

    def path(self, stream):
        return self.requests[stream][0][":path"]

    def data(self, stream, data):
        head, body = self.requests[stream]
        if head[":method"] == "CONNECT":
            self.send(stream, data)
        else:
            body += data

    def ended(self, stream):
        head, _ = self.requests[stream]
        if head[":method"] == "CONNECT":
            self.send(stream, b"", end=True)
            return
        self.seen.append((head[":method"], self.path(stream)))
        getattr(self, "do_" + self.path(stream).split("?")[0].split("/")[1].replace("-", "_"))(stream)

    def connect(self, stream):
        if self.path(stream) == "/ws-refused":
            self.answer(stream, b"not me", "403")
        else:
            self.h2.send_headers(stream, [(":status", "200")])

    # ---- what goes ----

    def send(self, stream, data, end=False):
        kept, _ = self.pending.get(stream, (b"", False))
        self.pending[stream] = (kept + data, end)
        self.pour(stream)

    def pour(self, stream):
        data, end = self.pending.pop(stream)
        while data:
            n = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size,
                    len(data))
            if n <= 0:
                self.pending[stream] = (data, end)
                return
            self.h2.send_data(stream, data[:n])
            data = data[n:]
        if end:
            self.h2.end_stream(stream)

    def answer(self, stream, body, status="200", more=()):
        self.h2.send_headers(stream, [(":status", status), ("content-length", str(len(body))),
                                      *more])
        self.send(stream, body, end=True)

    def release(self):
        with self.lock:
            for stream in list(self.held):
                del self.held[stream]
                self.answer(stream, b"at last")
            self.flush()

    # ---- the paths ----

    def do_hello(self, stream):
        head, body = self.requests[stream]
        self.answer(stream, json.dumps({
            "head": {k: v for k, v in head.items()}, "len": len(body),
            "sha256": hashlib.sha256(body).hexdigest()}).encode())

    def do_hold(self, stream):
        self.held[stream] = True

    def do_big(self, stream):
        self.answer(stream, bytes(int(self.path(stream).split("/")[2])))

    def do_refuse_once(self, stream):
        if len([s for s in self.seen if s[1] == self.path(stream)]) > 1:
            self.answer(stream, b"second")
        else:
            self.h2.reset_stream(stream, REFUSED_STREAM)

    def do_refuse(self, stream):
        self.h2.reset_stream(stream, REFUSED_STREAM)

    def do_break(self, stream):
        self.h2.send_headers(stream, [(":status", "200")])
        self.h2.send_data(stream, b"half of")
        self.h2.reset_stream(stream, 2)

    def do_short(self, stream):
        self.h2.send_headers(stream, [(":status", "200"), ("content-length", "40")])
        self.h2.send_data(stream, b"evil", end_stream=True)

    def do_trailers(self, stream):
        self.h2.send_headers(stream, [(":status", "200")])
        self.h2.send_data(stream, b"body")
        self.h2.send_headers(stream, [("sum", "1")], end_stream=True)

    def do_die(self, stream):
        """Once for each path, whatever the link."""
        if self.path(stream) in Link.died:
            self.answer(stream, b"alive")
        else:
            Link.died.add(self.path(stream))
            self.close()
