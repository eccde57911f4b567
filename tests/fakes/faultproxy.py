"""A certificate authority's front door that misbehaves on demand.

It forwards to the real CA over TLS, Host field and all, so that the URLs the CA makes lead through
here. `mode` decides what each request meets; `where` names the part of the path it applies to.
`orders` does the same for new orders alone, by the first label of the name that is ordered; `hits`
leaves those out, as they may be tried again at any time.
"""
import base64
import http.client
import http.server
import json
import socket
import socketserver
import ssl
import struct
import threading

FLOOD_BYTES = 100_000_000
PASS_ON = ("Content-Type", "Location", "Link", "Replay-Nonce", "Retry-After", "Cache-Control")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.do_handshake()

    def do_any(self):
        proxy = self.server.proxy
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        mode = proxy.mode if proxy.where in self.path else "pass"
        proxy.hits += mode != "pass"
        if self.path == "/order-plz":
            label = self.ordered_label(body)
            mode = proxy.orders.get(label, mode)
            proxy.counts[label] = proxy.counts.get(label, 0) + 1
        getattr(self, "on_" + mode)(body)

    do_GET = do_HEAD = do_POST = do_any

    @staticmethod
    def ordered_label(body):
        payload = json.loads(body)["payload"]
        order = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return order["identifiers"][0]["value"].split(".")[0]

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fetch(self, body, method=None, path=None):
        upstream = http.client.HTTPSConnection("localhost", self.server.proxy.target, timeout=30,
                                               context=self.server.proxy.client)
        try:
            upstream.request(method or self.command, path or self.path, body or None, {
                k: v for k, v in self.headers.items()
                if k.lower() not in ("connection", "content-length")})
            got = upstream.getresponse()
            headers = [(k, v) for k, v in got.getheaders() if k in PASS_ON]
            return got.status, headers, got.read()
        finally:
            upstream.close()

    def on_pass(self, body):
        self.answer(*self.fetch(body))

    def problem(self, status, kind, detail):
        proxy = self.server.proxy
        text = json.dumps({"type": "urn:ietf:params:acme:error:" + kind, "detail": detail,
                           "status": status}).encode()
        _, headers, _ = self.fetch(b"", "HEAD", "/nonce-plz")
        nonce = [(k, v) for k, v in headers if k == "Replay-Nonce"]
        self.answer(status, [("Content-Type", "application/problem+json"),
                             ("Retry-After", proxy.retry_after), *nonce], text)

    def on_limit(self, _):
        self.problem(429, "rateLimited", "too many new orders recently")

    def on_busy(self, _):
        self.answer(503, [("Content-Type", "text/html"),
                          ("Retry-After", self.server.proxy.retry_after)],
                    b"<html>The service is down for maintenance or had an internal error.</html>")

    def on_words(self, _):
        """What a shell, a terminal or a browser might take for its own language."""
        at = self.server.proxy.folder
        self.problem(400, "malformed", f"$(touch {at}/one) `touch {at}/two` ; touch {at}/three\n"
                     "\x1b[31m</p><script>alert(1)</script>")

    def on_reset(self, _):
        raw = self.connection
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.detach_and_close()

    def on_hang(self, _):
        self.server.proxy.released.wait(120)
        self.close_connection = True

    def on_flood(self, _):
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(FLOOD_BYTES))
        self.end_headers()
        part = b" " * 65536
        sent = 0
        while sent < FLOOD_BYTES:
            sent += self.connection.send(part)
            self.server.proxy.flooded = sent

    def on_circle(self, _):
        self.answer(302, [("Location", self.path)], b"")

    def on_foreign(self, body):
        """Another certificate than the one asked for."""
        status, headers, _ = self.fetch(body)
        self.answer(status, headers, self.server.proxy.foreign)

    def on_garbage(self, body):
        status, headers, _ = self.fetch(body)
        self.answer(status, headers, b"\x00\xff<html>no certificate</html>\n" * 40)


class TLSSocket(ssl.SSLSocket):
    def detach_and_close(self):
        """Close the socket below, without TLS's farewell."""
        socket.close(self.detach())


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that went away, and the connections that a mode broke


class FaultProxy:
    """In front of the CA on `target`; cert and key are what it shows, ca what it trusts."""

    def __init__(self, target, cert, key, ca):
        self.target = int(target)
        self.mode, self.where, self.retry_after = "pass", "/", "7200"
        self.hits, self.flooded, self.foreign = 0, 0, b""
        self.orders, self.counts = {}, {}
        self.released = threading.Event()
        self.client = ssl.create_default_context(cafile=str(ca))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.sslsocket_class = TLSSocket
        self.tls.load_cert_chain(cert, key)
        self.port, self.server = 0, None
        self.open()

    def open(self):
        """Listen, on the port of before when there was one."""
        server = Server(("127.0.0.1", self.port), Handler, bind_and_activate=False)
        server.proxy = self
        # The handshake belongs to the connection's thread: a slow peer must not stop the others.
        server.socket = self.tls.wrap_socket(server.socket, server_side=True,
                                             do_handshake_on_connect=False)
        server.server_bind()
        server.server_activate()
        self.port = server.server_address[1]
        self.server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """Nobody listens any more."""
        self.server.shutdown()
        self.server.server_close()

    def misbehave(self, mode, where="/", retry_after="7200"):
        self.hits, self.flooded = 0, 0
        self.where, self.retry_after, self.mode = where, retry_after, mode
