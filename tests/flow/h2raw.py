"""HTTP/2 by hand, so that it can do what no client library would: frames as bytes, heads by hpack."""
import socket
import ssl
import struct
import time

import hpack

from web import tls_connect

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL, INTERNAL, FLOW, CLOSED, FRAME_SIZE, REFUSED, CANCEL, COMPRESSION, CALM = \
    0, 1, 2, 3, 5, 6, 7, 8, 9, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + \
        struct.pack(">I", stream) + payload


def setting(key, value):
    return struct.pack(">HI", key, value)


class Ended(Exception):
    """The connection is over."""


class H2:
    """One connection to `host` of the stack's gateway."""

    def __init__(self, stack, host, settings=b"", preface=True, timeout=20):
        self.host, self.port = host, stack.port
        self.tls = tls_connect(stack.port, host, stack.lab.ca, ("h2", "http/1.1"), timeout)
        assert self.tls.selected_alpn_protocol() == "h2", self.tls.selected_alpn_protocol()
        self.tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.kept, self.next_id = b"", 1
        self.streams, self.goaway, self.settings = {}, None, {}
        self.stingy = False  # no credit for what comes
        self.credit, self.initial = {0: 65535}, 65535  # what the other side takes from us
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def send(self, data):
        self.tls.sendall(data)

    def reply(self, data):
        """What the protocol wants of us; that nobody takes it any more is seen in reading."""
        try:
            self.tls.sendall(data)
        except OSError:
            pass

    def head(self, path="/", method="GET", more=(), host=None, skip=()):
        fields = [(":method", method), (":scheme", "https"),
                  (":authority", f"{host or self.host}:{self.port}"), (":path", path)]
        return [f for f in fields if f[0] not in skip] + list(more)

    def block(self, fields):
        return self.encoder.encode(fields)

    def request(self, fields, end=True, body=None):
        """Sends a head, and a body if there is one; returns the stream's number."""
        number = self.next_id
        self.next_id += 2
        self.streams[number] = Stream()
        flags = END_HEADERS | (END_STREAM if end and body is None else 0)
        self.send(frame(HEADERS, flags, number, self.block(fields)))
        if body is not None:
            for at in range(0, len(body), 16384):
                self.send(frame(DATA, 0, number, body[at:at + 16384]))
            self.send(frame(DATA, END_STREAM, number) if end else b"")
        return number

    def fill(self, most=65536):
        try:
            part = self.tls.recv(most)
        except (ssl.SSLWantReadError, TimeoutError):
            raise
        except OSError as error:
            raise Ended from error
        if not part:
            raise Ended
        self.kept += part

    def read(self):
        """The next frame: (kind, flags, stream, payload), already taken account of."""
        while len(self.kept) < 9 or len(self.kept) < 9 + int.from_bytes(self.kept[:3], "big"):
            self.fill()
        length = int.from_bytes(self.kept[:3], "big")
        kind, flags = self.kept[3], self.kept[4]
        stream = int.from_bytes(self.kept[5:9], "big") & 0x7fffffff
        payload, self.kept = self.kept[9:9 + length], self.kept[9 + length:]
        self.note(kind, flags, stream, payload)
        return kind, flags, stream, payload

    def note(self, kind, flags, number, payload):
        st = self.streams.get(number)
        head = dict(self.decoder.decode(payload)) if kind == HEADERS else None
        if kind == SETTINGS and not flags & ACK:
            self.settings.update(struct.iter_unpack(">HI", payload))
            self.initial = self.settings.get(4, 65535)
            self.reply(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.reply(frame(PING, ACK, payload=payload))
        elif kind == WINDOW:
            self.credit[number] = self.credit.get(number, self.initial) + \
                int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
        elif st and kind == HEADERS:
            st.heads.append(head)
        elif st and kind == DATA:
            st.body += payload
            if payload and not self.stingy:
                credit = struct.pack(">I", len(payload))
                self.reply(frame(WINDOW, 0, 0, credit) + frame(WINDOW, 0, number, credit))
        elif st and kind == RST:
            st.reset = int.from_bytes(payload, "big")
        if st and (kind == RST or flags & END_STREAM and kind in (HEADERS, DATA)):
            st.ended = True

    def pour(self, number, body, end=True):
        """DATA to its end, within the windows that the other side gives."""
        self.until(lambda: self.settings)
        for at in range(0, len(body), 16384):
            part = body[at:at + 16384]
            self.credit.setdefault(number, self.initial)
            self.until(lambda: min(self.credit[0], self.credit[number]) >= len(part))
            self.credit[0] -= len(part)
            self.credit[number] -= len(part)
            last = end and at + 16384 >= len(body)
            self.send(frame(DATA, END_STREAM if last else 0, number, part))

    def until(self, claim, seconds=20):
        end = time.monotonic() + seconds
        while not claim():
            assert time.monotonic() < end, "waited too long"
            self.read()

    def answer(self, number, seconds=20):
        """The stream when it is over."""
        self.until(lambda: self.streams[number].ended, seconds)
        return self.streams[number]

    def ask(self, *args, **kwargs):
        return self.answer(self.request(*args, **kwargs))

    def end(self, seconds=5):
        """Reads until the connection is over; the code of its GOAWAY, None without one."""
        stop = time.monotonic() + seconds
        try:
            while time.monotonic() < stop:
                self.read()
        except Ended:
            return self.goaway[1] if self.goaway else None
        raise AssertionError("the connection goes on")


    def pelt(self, parts, seconds):
        """Sends them, and takes what comes, until the connection is over; the code of its GOAWAY."""
        stop, rest = time.monotonic() + seconds, b""
        self.tls.setblocking(False)
        try:
            while time.monotonic() < stop:
                busy = False
                try:
                    rest = rest or next(parts)
                    rest = rest[self.tls.send(rest):]
                    busy = True
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
                except OSError:
                    rest, parts = b"", iter(lambda: b"", None)  # it hears no more, but may speak
                try:
                    while True:
                        self.read()
                except ssl.SSLWantReadError:
                    time.sleep(0 if busy else 0.002)
        except Ended:
            return self.goaway[1] if self.goaway else None
        raise AssertionError("the connection goes on")


class Stream:
    def __init__(self):
        self.heads, self.body, self.reset, self.ended = [], b"", None, False

    @property
    def status(self):
        finals = [h for h in self.heads if h.get(":status", "1")[0] != "1"]
        return int(finals[0][":status"]) if finals else None

    @property
    def fields(self):
        return next(h for h in self.heads if h.get(":status", "1")[0] != "1")

    @property
    def trailers(self):
        return next((h for h in self.heads if ":status" not in h), None)
