"""One request in the hands of a flow, over HTTP/1.1 or HTTP/2 alike: its head, its bytes and its end
are sent when the flow says so, and what has come is seen at once.

A Front is one connection a request over HTTP/1.1, and one for all over HTTP/2.
"""
import socket
import time

import h2raw as raw
from h2raw import H2, frame
from lib import check
from web import tls_connect

PATIENCE_S = 20


class H1Asked:
    """A request and what came for it, from a connection of its own."""

    def __init__(self, front, head, chunked):
        self.chunked, self.data, self.heads = chunked, b"", []
        self.body, self.trailers, self.ended, self.cut = b"", None, False, False
        self.no_body, self.size, self.left = head.startswith("HEAD "), None, None
        self.tls = tls_connect(front.port, front.host, front.ca, timeout=PATIENCE_S)
        self.tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls.sendall((head + "\r\n").encode())

    def send(self, part):
        self.tls.sendall(b"%x\r\n%s\r\n" % (len(part), part) if self.chunked else part)

    def end(self):
        if self.chunked:
            self.tls.sendall(b"0\r\n\r\n")

    def fill(self):
        try:
            part = self.tls.recv(65536)
        except TimeoutError:
            raise AssertionError("nothing comes") from None
        except OSError:
            part = b""
        self.data += part
        if not part:
            self.ended = True
            self.cut = not (self.heads and self.size == "close")
        return part

    def line(self):
        while b"\r\n" not in self.data:
            if not self.fill():
                return None
        line, _, self.data = self.data.partition(b"\r\n")
        return line

    def fields_of_block(self):
        fields = []
        while line := self.line():
            name, _, value = line.partition(b":")
            fields.append((name.decode().lower(), value.strip().decode()))
        return fields

    def step(self):
        """Takes a little more of the answer."""
        if not self.heads or self.heads[-1][0] < 200 and self.heads[-1][0] != 101:
            line = self.line()
            if line is None:
                return
            status = int(line.split(b" ", 2)[1])
            self.heads.append((status, self.fields_of_block()))
            if status >= 200 or status == 101:
                self.frame_body(status)
        elif self.size == "chunked":
            self.chunk()
        else:
            self.take(self.left)

    def frame_body(self, status):
        fields = dict(self.heads[-1][1])
        if self.no_body or status in (204, 304):
            self.ended = True
        elif "transfer-encoding" in fields:
            self.size = "chunked"
        elif "content-length" in fields:
            self.size, self.left = "length", int(fields["content-length"])
            self.ended = self.left == 0
        else:
            self.size = "close"

    def take(self, most):
        if not self.data and not self.fill():
            return
        part = self.data if most is None else self.data[:most]
        self.data = self.data[len(part):]
        self.body += part
        if self.left is not None:
            self.left -= len(part)
            self.ended = self.ended or self.left == 0 and self.size == "length"

    def chunk(self):
        if not self.left:
            line = self.line()
            if line is None:
                return
            self.left = int(line.split(b";")[0], 16)
            if self.left == 0:
                self.trailers = dict(self.fields_of_block())
                self.ended = True
            return
        self.take(self.left)
        if self.left == 0:
            self.line()

    def close(self):
        self.tls.close()


class H2Asked:
    """The same for one stream."""

    def __init__(self, conn, fields, end):
        self.conn = conn
        self.number = conn.request(fields, end=end)
        self.st = conn.streams[self.number]
        self.cut = False

    heads = property(lambda self: [(int(h[":status"]), [(k, v) for k, v in h.items()
                                                        if k != ":status"])
                                   for h in self.st.heads if ":status" in h])
    body = property(lambda self: self.st.body)
    trailers = property(lambda self: self.st.trailers)
    ended = property(lambda self: self.st.ended or self.cut)

    def why(self):
        return f"by {self.st.reset}, GOAWAY {self.conn.goaway}"

    def send(self, part):
        self.conn.send(frame(raw.DATA, 0, self.number, part))

    def end(self):
        self.conn.send(frame(raw.DATA, raw.END_STREAM, self.number))

    def step(self):
        try:
            self.conn.read()
        except TimeoutError:
            raise AssertionError("nothing comes") from None
        except raw.Ended:
            self.cut = True
        self.cut = self.cut or self.st.reset not in (None, raw.NO_ERROR)

    def close(self):
        if not self.st.ended and not self.cut:
            self.conn.reply(frame(raw.RST, 0, self.number, raw.CANCEL.to_bytes(4, "big")))


class Asked:
    """What both have in common."""

    def __init__(self, way):
        self.way = way
        self.send, self.end, self.close = way.send, way.end, way.close

    def __str__(self):
        more = self.way.why() if isinstance(self.way, H2Asked) else ""
        return f"{self.heads}, {len(self.body)} bytes {self.body[-200:]!r}, " \
            f"{'cut' if self.way.cut else 'not cut'} {more}"

    def until(self, claim, what="what was to come"):
        stop = time.monotonic() + PATIENCE_S
        while not claim():
            check(not self.way.ended, lambda: f"{what}: it ended, {self}")
            check(time.monotonic() < stop, lambda: f"{what}: not in time, {self}")
            self.way.step()
        return self

    def read_to(self, part):
        return self.until(lambda: part in self.way.body, part)

    def head(self):
        """The final head: (status, fields as a dict)."""
        self.until(lambda: any(s >= 200 or s == 101 for s, _ in self.way.heads), "a head")
        status, fields = self.way.heads[-1]
        return status, dict(fields)

    def rest(self):
        """Reads it all; self, whose `whole` says whether the answer was complete."""
        stop = time.monotonic() + PATIENCE_S
        while not self.way.ended:
            check(time.monotonic() < stop, "the answer does not end")
            self.way.step()
        return self

    heads = property(lambda self: self.way.heads)
    body = property(lambda self: self.way.body)
    trailers = property(lambda self: self.way.trailers)
    whole = property(lambda self: self.way.ended and not self.way.cut)
    status = property(lambda self: self.way.heads[-1][0] if self.way.heads else None)
    fields = property(lambda self: dict(self.way.heads[-1][1]))


class Front:
    """Requests to one host of the stack's gateway; `version` is "h1" or "h2"."""

    def __init__(self, stack, name, version, cookie=""):
        self.host, self.port, self.ca = stack.host(name), stack.port, stack.lab.ca
        self.version, self.cookie, self.open = version, cookie, []
        self.conn = H2(stack, self.host, timeout=PATIENCE_S) if version == "h2" else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for asked in self.open:
            asked.close()
        if self.conn:
            self.conn.tls.close()

    def own(self, method):
        """Fields of a script of the own page."""
        return [("sec-fetch-site", "same-origin")] + \
            ([("origin", f"https://{self.host}:{self.port}")] if method != "GET" else []) + \
            ([("cookie", self.cookie)] if self.cookie else [])

    def ask(self, path, method="GET", more=(), body=False):
        """Sends a head; with `body`, what is sent follows until end()."""
        fields = self.own(method) + list(more)
        if self.conn:
            way = H2Asked(self.conn, self.conn.head(path, method, fields), not body)
        else:
            counted = any(k == "content-length" for k, _ in fields)
            if body and not counted:
                fields.append(("transfer-encoding", "chunked"))
            head = [f"{method} {path} HTTP/1.1", f"host: {self.host}:{self.port}"]
            head += [f"{k}: {v}" for k, v in fields]
            way = H1Asked(self, "\r\n".join(head) + "\r\n", body and not counted)
        return self.keep(way)

    def upgrade(self, path):
        """Asks for a WebSocket, as this version does."""
        fields = [("origin", f"https://{self.host}:{self.port}"), ("sec-websocket-version", "13")]
        fields += [("cookie", self.cookie)] if self.cookie else []
        if self.conn:
            fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                      (":authority", f"{self.host}:{self.port}"), (":path", path)] + fields
            return self.keep(H2Asked(self.conn, fields, False))
        head = [f"GET {path} HTTP/1.1", f"host: {self.host}:{self.port}", "upgrade: websocket",
                "connection: upgrade", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]
        head += [f"{k}: {v}" for k, v in fields]
        return self.keep(H1Asked(self, "\r\n".join(head) + "\r\n", False))

    def keep(self, way):
        self.open.append(way)
        return Asked(way)
