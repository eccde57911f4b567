#!/usr/bin/env python3
"""The walls between browsers, links and enrolment: decision 4, tried from outside in TLS 1.2 and 1.3.

Whatever a stranger, a browser or another device brings, only the right certificate under its own name
becomes a link; a ticket earned in one role is worth nothing in another.
"""
import base64
import hashlib
import hmac
import json
import re
import select
import socket
import ssl
import subprocess
import time

import lib
from lib import Failure, check, equal, wait_for

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
        raw = socket.create_connection(("127.0.0.1", self.stack.port), 10)
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


def refused(seen, what):
    check(not seen.open, f"{what}: the connection stays open")
    equal(seen.data, b"", f"{what}: data")


def told_no(seen, what, status):
    """A short request is refused, with words for whoever reads the agent's log."""
    check(seen.data.startswith(b"HTTP/1.1 %d " % status), lambda: f"{what}: {seen.data!r}")
    check(b"time 1" not in seen.data, f"{what}: it learns the time")


def each_version(fn):
    def test(stack):
        for version in VERSIONS:
            try:
                fn(stack, version)
            except Failure as error:
                raise Failure(f"{version.name}: {error}") from error
    test.__name__ = fn.__name__
    return test


def two_devices_enrol(stack):
    stack.start_gateway()
    for name in ("tv", "lamp"):
        stack.start_device(name)
        done = stack.enrol(name)
        equal(done.returncode, 0, f"enrol {name}: {done.stderr}")
    wait_for("the browser's certificate", lambda: Peer(stack, VERSIONS[1]).connect(
        stack.domain, HTTP).session, 60)


@each_version
def the_right_certificate_links(stack, version):
    seen = Peer(stack, version, identity(stack, "tv")[0]).connect("tv" + SUFFIX, LINK)
    check(seen.open, f"refused: {seen.why}")
    again = Peer(stack, version, identity(stack, "tv")[0])
    first = again.connect("tv" + SUFFIX, LINK)
    second = again.connect("tv" + SUFFIX, LINK, first.session)
    check(second.open and second.resumed, f"its own ticket does not resume: {second.why}")


@each_version
def no_certificate_is_no_link(stack, version):
    refused(Peer(stack, version).connect("tv" + SUFFIX, LINK), "link")
    refused(Peer(stack, version).connect("tv" + SUFFIX, HTTP, send=request("GET", "/v1/time")),
            "renewal")


@each_version
def a_foreign_certificate_is_no_link(stack, version):
    own = stack.folder / "foreign.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=tv", "-days", "30",
                    "-keyout", own, "-out", f"{own}.crt"], check=True, capture_output=True)
    own.write_text(own.read_text() + (stack.folder / "foreign.pem.crt").read_text())
    refused(Peer(stack, version, own).connect("tv" + SUFFIX, LINK), "link")


@each_version
def a_device_is_not_another(stack, version):
    own = identity(stack, "tv")[0]
    refused(Peer(stack, version, own).connect("lamp" + SUFFIX, LINK), "link as lamp")
    told_no(Peer(stack, version, own).connect("lamp" + SUFFIX, HTTP,
                                              send=request("GET", "/v1/time")), "as lamp", 403)
    refused(Peer(stack, version, own).connect("radio" + SUFFIX, LINK), "link as nobody")


@each_version
def a_browsers_ticket_is_no_link(stack, version):
    peer = Peer(stack, version)
    earned = peer.connect(stack.domain, HTTP, send=request("GET", "/signin", stack.domain))
    check(earned.session, f"the browser got no session: {earned.why}")
    again = peer.connect(stack.domain, HTTP, earned.session)
    check(again.resumed, "the browser's own ticket does not resume")
    refused(peer.connect("tv" + SUFFIX, LINK, earned.session), "link")
    refused(peer.connect("tv" + SUFFIX, HTTP, earned.session, request("GET", "/v1/time")), "renewal")


@each_version
def an_enrolling_ticket_is_no_link(stack, version):
    peer = Peer(stack, version)
    earned = peer.connect("enroll" + SUFFIX, HTTP)
    if earned.session:
        refused(peer.connect("tv" + SUFFIX, LINK, earned.session), "link")


@each_version
def a_devices_ticket_is_not_anothers(stack, version):
    peer = Peer(stack, version, identity(stack, "tv")[0])
    earned = peer.connect("tv" + SUFFIX, LINK)
    check(earned.open and earned.session, f"no session: {earned.why}")
    refused(peer.connect("lamp" + SUFFIX, LINK, earned.session), "link as lamp")
    as_browser = peer.connect(stack.host(), HTTP, earned.session)
    check(not as_browser.resumed, "a link's ticket resumes as a browser")


@each_version
def a_hello_in_single_bytes_is_understood(stack, version):
    context = Peer(stack, version).context
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inward, outward, server_hostname=stack.domain)
    with socket.create_connection(("127.0.0.1", stack.port), 10) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(10):
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                out = outward.read()
                for byte in out:
                    raw.sendall(bytes([byte]))
                    if len(out) < 600:
                        time.sleep(0.0005)
                inward.write(raw.recv(65536))
        else:
            raise Failure("the handshake does not end")
    check(tls.version(), "no handshake")


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


def a_token_binds_to_the_first_key(stack):
    secret = token_secret(stack.token("radio"))
    first, other = new_csr(stack, "radio"), new_csr(stack, "radio", "other")
    equal(enrol(stack, "radio", secret, other, relay=True)[0], 403, "a relayed proof")
    equal(enrol(stack, "radio", bytes(16), other)[0], 403, "another secret")
    status, answer = enrol(stack, "radio", secret, first)
    equal(status, 200, "the first key")
    equal(enrol(stack, "radio", secret, other)[0], 409, "another key")
    status, again = enrol(stack, "radio", secret, first, "-tls1_2")
    equal(status, 200, "the same key again")
    equal(again["ca"], answer["ca"], "CA")


def guessing_is_shut_out(stack):
    stack.token("door")
    csr = new_csr(stack, "door")
    for _ in range(30):
        status = enrol(stack, "door", bytes(16), csr)[0]
        if status == 429:
            return
        equal(status, 403, "a guess")
    raise Failure("30 guesses and no end")


def removal_forbids_for_ever(stack):
    peer = Peer(stack, VERSIONS[1], identity(stack, "lamp")[0])
    earned = peer.connect("lamp" + SUFFIX, LINK)
    check(earned.open, f"refused before: {earned.why}")
    equal(stack.ctl_run("devices", "remove", "lamp").returncode, 0, "lanthornctl")
    refused(peer.connect("lamp" + SUFFIX, LINK), "link")
    refused(peer.connect("lamp" + SUFFIX, LINK, earned.session), "resumed link")
    told_no(peer.connect("lamp" + SUFFIX, HTTP, send=request("GET", "/v1/time")), "time", 410)
    stack.gateway.stop()
    stack.start_gateway()
    refused(peer.connect("lamp" + SUFFIX, LINK), "link after a restart")
    check("lamp" not in json.dumps(stack.ctl("devices")), "lamp is still listed")


lib.run([
    two_devices_enrol,
    the_right_certificate_links,
    no_certificate_is_no_link,
    a_foreign_certificate_is_no_link,
    a_device_is_not_another,
    a_browsers_ticket_is_no_link,
    an_enrolling_ticket_is_no_link,
    a_devices_ticket_is_not_anothers,
    a_hello_in_single_bytes_is_understood,
    a_token_binds_to_the_first_key,
    removal_forbids_for_ever,
    guessing_is_shut_out,
])
