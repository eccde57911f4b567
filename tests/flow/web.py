"""A small browser for flows: TLS that really verifies, cookies a host, forms, redirects, WebSocket.

Names are dialled at 127.0.0.1, as browsers dial names below localhost.
"""
import base64
import dataclasses
import hashlib
import html.parser
import http.client
import json
import os
import socket
import ssl
import struct
import urllib.parse

from lib import check

NAVIGATE = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
            "Accept": "text/html"}


@dataclasses.dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    url: str

    def text(self):
        return self.body.decode(errors="replace")


class Form(html.parser.HTMLParser):
    """The first form of a page: where it goes and the fields it holds."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields, self.open = None, {}, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form" and self.action is None:
            self.action, self.open = attrs.get("action", ""), True
        if tag == "input" and self.open and attrs.get("name"):
            self.fields[attrs["name"]] = attrs.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form":
            self.open = False


def tls_connect(port, host, ca, alpn=("http/1.1",), timeout=20, source="127.0.0.1"):
    """A verified TLS connection that asks for `host`; `source` is the address it comes from."""
    context = ssl.create_default_context(cafile=str(ca))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    raw = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
    try:
        return context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def shown_names(port, host, ca):
    """The DNS names of the certificate that is shown for `host`; it must verify."""
    with tls_connect(port, host, ca) as tls:
        return sorted(v for k, v in tls.getpeercert()["subjectAltName"] if k == "DNS")


class Connection(http.client.HTTPConnection):
    """One keep-alive connection for one host."""

    def __init__(self, browser, host):
        super().__init__(host, browser.port, timeout=browser.timeout)
        self.browser = browser

    def connect(self):
        self.sock = tls_connect(self.port, self.host, self.browser.ca,
                                timeout=self.browser.timeout, source=self.browser.source)


class Browser:
    def __init__(self, stack, timeout=20, source="127.0.0.1"):
        self.source = source
        self.port, self.ca, self.timeout = stack.port, stack.lab.ca, timeout
        self.domain = stack.domain
        self.cookies = {}

    def connection(self, host):
        return Connection(self, host)

    def origin(self, host):
        return f"https://{self.authority(host)}"

    def authority(self, host):
        return host if self.port == 443 else f"{host}:{self.port}"

    def cookie_header(self, host):
        return "; ".join(f"{k}={v}" for k, v in self.cookies.get(host, {}).items())

    def keep_cookies(self, host, headers):
        jar = self.cookies.setdefault(host, {})
        for line in headers.get_all("Set-Cookie") or []:
            pair, _, rest = line.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in rest.lower().replace(" ", ""):
                jar.pop(name.strip(), None)
            else:
                jar[name.strip()] = value.strip()

    def request(self, method, host, path, headers=None, body=None, connection=None):
        """One request; cookies of the host go along and what it sets is kept."""
        own = connection is None
        connection = connection or self.connection(host)
        fields = dict(headers or {})
        if self.cookie_header(host) and "Cookie" not in fields:
            fields["Cookie"] = self.cookie_header(host)
        fields.setdefault("Host", self.authority(host))
        try:
            connection.request(method, path, body, fields)
            got = connection.getresponse()
            answer = Answer(got.status, got.headers, got.read(), self.origin(host) + path)
        finally:
            if own:
                connection.close()
        self.keep_cookies(host, answer.headers)
        return answer

    def open(self, url, most=10):
        """What typing a URL does: a navigation, redirects followed."""
        for _ in range(most):
            at = urllib.parse.urlsplit(url)
            check(at.scheme == "https" and (at.port or 443) == self.port, f"leads away: {url}")
            path = at.path + (f"?{at.query}" if at.query else "")
            answer = self.request("GET", at.hostname, path or "/", NAVIGATE)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = urllib.parse.urljoin(url, answer.headers["Location"])
        raise AssertionError(f"more than {most} redirects, the last to {url}")

    def submit(self, page, **fields):
        """Fill in and send the first form of a page."""
        form = Form(page.text())
        check(form.action is not None, lambda: f"no form at {page.url}: {page.text()[:300]}")
        url = urllib.parse.urljoin(page.url, form.action)
        at = urllib.parse.urlsplit(url)
        origin = self.origin(urllib.parse.urlsplit(page.url).hostname)
        answer = self.request("POST", at.hostname, at.path or "/", {
            **NAVIGATE, "Sec-Fetch-Site": "same-origin", "Origin": origin, "Referer": page.url,
            "Content-Type": "application/x-www-form-urlencoded"},
            urllib.parse.urlencode({**form.fields, **fields}))
        if answer.status in (301, 302, 303):
            return self.open(urllib.parse.urljoin(url, answer.headers["Location"]))
        return answer

    def set_up(self, link, user="admin", password="a calm long password"):
        page = self.open(link)
        check(page.status == 200, f"the setup link answers {page.status}")
        return self.submit(page, name=user, password=password, password2=password)

    def sign_in(self, user="admin", password="a calm long password"):
        page = self.open(self.origin(self.domain) + "/signin")
        return self.submit(page, user=user, password=password)

    def api(self, method, path, body=None, status=200):
        """What the API answers to the gateway's own page."""
        headers = {"Origin": self.origin(self.domain), "Sec-Fetch-Site": "same-origin",
                   "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self.request(method, self.domain, "/api/v1/" + path, headers,
                              None if body is None else json.dumps(body))
        check(answer.status == status, lambda: f"{method} {path}: {answer.status} {answer.text()}")
        return json.loads(answer.body)

    def launcher(self):
        return self.api("GET", "launcher")["tiles"]

    def signed_in(self):
        page = self.request("GET", self.domain, "/", NAVIGATE)
        return page.status == 200 and b'name="password"' not in page.body


class WebSocket:
    """RFC 6455, client side, texts only."""

    def __init__(self, browser, host, path="/ws", headers=None, timeout=20):
        self.sock = tls_connect(browser.port, host, browser.ca, timeout=timeout,
                                source=browser.source)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": f"{host}:{browser.port}", "Upgrade": "websocket",
                  "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
                  "Origin": browser.origin(host), "Cookie": browser.cookie_header(host),
                  **(headers or {})}
        lines = [f"GET {path} HTTP/1.1"] + [f"{k}: {v}" for k, v in fields.items() if v]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.fill()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])
        self.head = head.decode(errors="replace")
        if self.status == 101:
            want = base64.b64encode(hashlib.sha1(
                key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
            check(want in self.head, "Sec-WebSocket-Accept is wrong")

    def fill(self):
        part = self.sock.recv(65536)
        if not part:
            raise ConnectionError("closed")
        self.data += part

    def take(self, n):
        while len(self.data) < n:
            self.fill()
        part, self.data = self.data[:n], self.data[n:]
        return part

    def send(self, text):
        payload, mask = text.encode(), os.urandom(4)
        n = len(payload)
        size = bytes([0x80 | n]) if n < 126 else bytes([0x80 | 126]) + struct.pack(">H", n)
        self.sock.sendall(b"\x81" + size + mask +
                          bytes(c ^ mask[i % 4] for i, c in enumerate(payload)))

    def receive(self):
        """The next text; ConnectionError when the other side closes."""
        first, second = self.take(2)
        n = second & 127
        if n == 126:
            n = struct.unpack(">H", self.take(2))[0]
        payload = self.take(n)
        if first & 15 == 8:
            raise ConnectionError("closed")
        return payload.decode()

    def echo(self, text):
        self.send(text)
        found = self.receive()
        check(found == text, f"the echo is {found!r}, not {text!r}")

    def close(self):
        self.sock.close()
