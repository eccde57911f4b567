"""A device's web server by hand: it answers as no library would, wrongly on demand."""
import hashlib
import http.client
import json
import os
import socket
import threading
import time

IDLE_S = 2  # of the gateways that it stands behind

OK = b"HTTP/1.1 200 OK\r\n"
EVIL = {
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 4\n\nevil",
    "bare-lf-in-a-field": OK + b"A: b\nC: d\r\nContent-Length: 4\r\n\r\nevil",
    "two-lengths": OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nevil!",
    "length-list": OK + b"Content-Length: 4, 5\r\n\r\nevil!",
    "length-and-chunked": OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                               b"4\r\nevil\r\n0\r\n\r\n",
    "negative-length": OK + b"Content-Length: -4\r\n\r\nevil",
    "plus-length": OK + b"Content-Length: +4\r\n\r\nevil",
    "unknown-coding": OK + b"Transfer-Encoding: evil\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "chunked-twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "early-end-of-chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n",
    "early-end-inside-a-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n40\r\nevil",
    "bad-chunk-size": OK + b"Transfer-Encoding: chunked\r\n\r\n4g\r\nevil\r\n0\r\n\r\n",
    "huge-chunk-size": OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nevil",
    "early-end-of-length": OK + b"Content-Length: 40\r\n\r\nevil",
    "control-byte": OK + b"A: b\x01c\r\nContent-Length: 4\r\n\r\nevil",
    "nul-byte": OK + b"A: b\0c\r\nContent-Length: 4\r\n\r\nevil",
    "space-before-colon": OK + b"A : b\r\nContent-Length: 4\r\n\r\nevil",
    "obs-fold": OK + b"A: b\r\n c\r\nContent-Length: 4\r\n\r\nevil",
    "no-colon": OK + b"nonsense\r\nContent-Length: 4\r\n\r\nevil",
    "101-unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                   b"evil",
    "100-without-end": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "http-0.9": b"evil",
    "http-2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "status-of-two-digits": b"HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nevil",
    "status-999999": b"HTTP/1.1 999999 OK\r\nContent-Length: 4\r\n\r\nevil",
    "giant-head": OK + b"A: " + b"b" * 200_000 + b"\r\nContent-Length: 4\r\n\r\nevil",
    "many-fields": OK + b"".join(b"A%d: b\r\n" % n for n in range(1000)) + b"\r\n",
    "nothing": b"",
}


class Device:
    """A web server by hand, one thread a connection, so that it can do what no library would."""

    def __init__(self, tls=None, port=0):
        self.tls, self.connections, self.seen = tls, 0, []
        self.go_on = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock, self.connections), daemon=True).start()

    def close(self):
        # shutdown wakes the thread in accept, which close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self, sock, number):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock, sock.makefile("rb") as reader:
                while self.one(sock, reader, number):
                    pass
        except (OSError, ValueError):
            sock.close()

    def one(self, sock, reader, number):
        line = reader.readline().decode()
        if not line:
            return False
        method, path, _ = line.split(" ", 2)
        fields = http.client.parse_headers(reader)
        self.seen.append((method, path, fields))
        name, _, rest = path.strip("/").partition("/")
        return getattr(self, "do_" + name)(sock, reader, (method, rest, fields, number))

    @staticmethod
    def body(reader, fields):
        """(length, SHA-256, trailers) of a request's body, read as it comes."""
        digest, total, trailers = hashlib.sha256(), 0, {}
        if fields.get("Transfer-Encoding"):
            while True:
                n = int(reader.readline().split(b";")[0], 16)
                if n == 0:
                    break
                part = reader.read(n)
                digest.update(part)
                total += len(part)
                reader.readline()
            trailers = dict(http.client.parse_headers(reader))
        left = int(fields.get("Content-Length") or 0)
        while left > 0:
            part = reader.read1(min(left, 65536))
            if not part:
                raise ValueError("early end")
            digest.update(part)
            total += len(part)
            left -= len(part)
        return total, digest.hexdigest(), trailers

    @staticmethod
    def reply(sock, value, more=b""):
        text = json.dumps(value).encode()
        sock.sendall(OK + more + b"Content-Length: %d\r\n\r\n" % len(text) + text)
        return True

    def do_echo(self, sock, reader, request):
        method, _, fields, number = request
        self.body(reader, fields)
        return self.reply(sock, {"connection": number, "method": method, "fields": dict(fields)})

    def do_upload(self, sock, reader, request):
        total, digest, trailers = self.body(reader, request[2])
        return self.reply(sock, {"bytes": total, "sha256": digest, "trailers": trailers})

    def do_continue(self, sock, reader, request):
        time.sleep(0.3)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.do_upload(sock, reader, request)

    def do_reject(self, sock, reader, request):
        sock.sendall(b"HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False

    def do_big(self, sock, reader, request):
        left = int(request[1])
        sock.sendall(OK + b"Content-Length: %d\r\n\r\n" % left)
        part = b"lanthorn" * 8192
        while left > 0:
            sock.sendall(part[:left])
            left -= len(part)
        return True

    def do_events(self, sock, reader, request):
        sock.sendall(OK + b"Content-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        time.sleep(IDLE_S * 2)
        sock.sendall(b"data: 2\n\n")
        return False

    def do_trickle(self, sock, reader, request):
        sock.sendall(OK + b"Transfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n")
        for n in range(5):
            sock.sendall(b"1\r\n%d\r\n" % n)
            time.sleep(0.1)
        sock.sendall(b"0\r\nSum: 10\r\n\r\n")
        return True

    def do_empty(self, sock, reader, request):
        sock.sendall(b"HTTP/1.1 %s X\r\nETag: \"1\"\r\n\r\n" % request[1].encode())
        return True

    def do_head(self, sock, reader, request):
        sock.sendall(OK + b"Content-Length: 1000\r\n\r\n" + (b"" if request[0] == "HEAD" else
                                                            b"x" * 1000))
        return True

    def do_range(self, sock, reader, request):
        sock.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\n"
                     b"Content-Length: 3\r\n\r\n234")
        return True

    def do_cookies(self, sock, reader, request):
        return self.reply(sock, {}, b"Set-Cookie: own=1; Path=/\r\n"
                                    b"Set-Cookie: toss=1; Domain=lan.localhost\r\n"
                                    b"Set-Cookie: toss=2; Path=/;domain = .lan.localhost\r\n"
                                    b"Set-Cookie: toss=3;DOMAIN\r\n"
                                    b"Set-Cookie: __Host-lanthorn=x; Secure; Path=/\r\n"
                                    b"Strict-Transport-Security: max-age=0\r\n"
                                    b"Alt-Svc: h3=\":1\"\r\nClear-Site-Data: \"*\"\r\n")

    def do_text(self, sock, reader, request):
        """A page of so many lines, or "slow": one that comes bit by bit. Tags are compared as text."""
        head = OK + b"Content-Type: text/html\r\nETag: \"1\"\r\nAccept-Ranges: bytes\r\n"
        if request[2].get("If-None-Match") == '"1"':
            sock.sendall(b"HTTP/1.1 304 X\r\nETag: \"1\"\r\n\r\n")
            return True
        if request[1] != "slow":
            text = b"".join(b"<p>line %d</p>\n" % n for n in range(int(request[1])))
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(text) +
                         (b"" if request[0] == "HEAD" else text))
            return True
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for n in range(3):
            sock.sendall(b"5\r\nbit %d\r\n" % n)
            self.go_on.wait(10)
            self.go_on.clear()
        sock.sendall(b"0\r\n\r\n")
        return True

    def do_noise(self, sock, reader, request):
        """Text that cannot be made smaller."""
        part, left = os.urandom(1 << 20), int(request[1])
        sock.sendall(OK + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % left)
        while left > 0:
            sock.sendall(part[:left])
            left -= len(part)
        return True

    def do_moved(self, sock, reader, request):
        """Believes to be what it is called on the LAN."""
        own = f"127.0.0.1:{self.port}"
        text = (f"HTTP/1.1 302 Found\r\nLocation: http://{own}/echo?x=1#y\r\n"
                f"Content-Location: http://{own}/a\r\nRefresh: 3; url=http://{own}/b\r\n"
                f"Set-Cookie: own=1; Domain=127.0.0.1; Path=/\r\n"
                f"Set-Cookie: toss=1; Domain=lan.localhost\r\n"
                f"X-Asked-As: {request[2]['Host']}\r\nContent-Length: 0\r\n\r\n")
        sock.sendall(text.encode())
        return True

    def do_secure(self, sock, reader, request):
        """Wants browsers to come by https, and does not see that they do."""
        sock.sendall(f"HTTP/1.1 301 Moved\r\nLocation: https://{request[2]['Host']}/secure\r\n"
                     "Content-Length: 0\r\n\r\n".encode())
        return True

    def do_until_close(self, sock, reader, request):
        sock.sendall(OK + b"\r\nto the end")
        return False

    def do_silent(self, sock, reader, request):
        reader.read(1)
        return False

    def do_die(self, sock, reader, request):
        return False

    def do_evil(self, sock, reader, request):
        sock.sendall(EVIL[request[1]])
        return False
