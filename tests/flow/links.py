#!/usr/bin/env python3
"""The walls between browsers, links and enrolment: decision 4, tried from outside in TLS 1.2 and 1.3.

Whatever a stranger, a browser or another device brings, only the right certificate under its own name
becomes a link; a ticket earned in one role is worth nothing in another.
"""
import json
import socket
import ssl
import subprocess
import time

import lib
from lib import Failure, check, equal, wait_for
from linkpeer import HTTP, LINK, SUFFIX, VERSIONS, Peer, enrol, identity, new_csr, request
from linkpeer import token_secret


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
