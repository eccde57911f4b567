"""A client of the gateway's private side, for flows: links, tickets and enrolment by hand, in the TLS
version that a flow names. What it sends is its own, so it can lie.
"""
import base64
import hashlib
import hmac
import re
import select
import socket
import ssl
import subprocess
import time

import lib
from lib import Failure, check

LINK = b"\x04\xc6\x96\xc9\xa5"
HTTP = b"\x08http/1.1"
SUFFIX = ".link.lanthorn.internal"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def pem(der_base64):
    return ssl.DER_cert_to_PEM_cert(base64.b64decode(der_base64))


def identity(stack, name):
    """Where the certificate, with the key, and the CA of an enrolled device are: two PEM files."""
    folder = stack.folder / f"agent-{name}"
    lines = dict(line.split(" ", 1) for line in (folder / "identity").read_text().splitlines())
    own, ca = stack.folder / f"{name}.pem", stack.folder / f"{name}-ca.pem"
    own.write_text(pem(lines["cert"]) + (folder / "key").read_text())
    ca.write_text(pem(lines["ca"]))
    return own, ca


class Peer:
    """A client that keeps one OpenSSL context, so that a session can be tried under any name."""

    def __init__(self, stack, version, own=None):
        self.stack = stack
        self.source = "127.0.0.1"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.minimum_version = self.context.maximum_version = version
        if own:
            self.context.load_cert_chain(own)

    def connect(self, name, alpn, session=None, send=b""):
        """(still open, session, resumed) half a second after the handshake, or why it failed."""
        # The bytes of the link's ALPN are no text, which the public call insists on.
        self.context._set_alpn_protocols(alpn)  # pylint: disable=protected-access
        raw = socket.create_connection(("127.0.0.1", self.stack.port), 10,
                                       (self.source, 0))
        try:
            tls = self.context.wrap_socket(raw, server_hostname=name, session=session)
        except (OSError, ssl.SSLError) as error:
            raw.close()
            return Seen(False, None, False, repr(error))
        with tls:
            tls.settimeout(0.5 * lib.SLOW)
            data, still_open, why = b"", True, ""
            try:
                if send:
                    tls.sendall(send)
                while True:
                    part = tls.recv(65536)
                    if not part:
                        still_open = False
                        break
                    data += part
            except TimeoutError:
                pass
            except (OSError, ssl.SSLError) as error:
                still_open, why = False, repr(error)
            return Seen(still_open, tls.session, tls.session_reused, why, data)


class Seen:
    def __init__(self, still_open, session, resumed, why, data=b""):
        self.open, self.session, self.resumed = still_open, session, resumed
        self.why, self.data = why, data


def request(method, path, host="tv" + SUFFIX, body=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}").encode()


def token_secret(token):
    """The secret of a token: the 16 bytes before the 8 of the expiry."""
    text = token.removeprefix("lt1.")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return raw[-24:-8]


def new_csr(stack, name, key="key"):
    path = stack.folder / f"{name}.{key}"
    if not path.exists():
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                        path], check=True, capture_output=True)
    return subprocess.run(["openssl", "req", "-new", "-key", path, "-subj", f"/CN={name}",
                           "-outform", "DER"], check=True, capture_output=True).stdout


def enrol(stack, name, secret, csr, version="-tls1_3", relay=False):
    """(status, answer's lines) of one enrolment with s_client, which knows the exporter."""
    child = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{stack.port}", "-servername",
         "enroll" + SUFFIX, "-alpn", "http/1.1", "-ign_eof", "-keymatexport",
         "EXPORTER-lanthorn-enrol-1", "-keymatexportlen", "32", version],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        text = read_until(child, rb"Keying material: ([0-9A-F]{64})")
        exported = bytes.fromhex(re.search(r"Keying material: ([0-9A-F]{64})", text)[1])
        if relay:
            exported = bytes(32)
        proof = hmac.new(secret, b"lanthorn-enrol-1" + exported + hashlib.sha256(csr).digest(),
                         "sha256").hexdigest()
        body = f"device {name}\nproof {proof}\ncsr {base64.b64encode(csr).decode()}\n"
        child.stdin.write(request("POST", "/v1/enrol", "enroll" + SUFFIX, body))
        child.stdin.flush()
        text += child.communicate(timeout=20)[0].decode(errors="replace")
    finally:
        child.kill()
        child.wait()
    status = re.search(r"HTTP/1.1 (\d+)", text)
    check(status, lambda: f"no answer: {text[-500:]}")
    return int(status[1]), dict(re.findall(r"^(cert|ca|name) (\S+)\r?$", text, re.M))


def read_until(child, pattern):
    seen, deadline = b"", time.monotonic() + 15
    while not re.search(pattern, seen):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
            raise Failure(f"not seen: {pattern!r} in {seen[-300:]!r}")
        part = child.stdout.read1(65536)
        if not part:
            raise Failure(f"closed: {seen[-300:]!r}")
        seen += part
    return seen.decode(errors="replace")
