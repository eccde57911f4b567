#!/usr/bin/env python3
"""The TLS front as a stranger meets it: which alert, which version, which certificate. The walls
between links, browsers and enrolment are tried by links.py.
"""
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import lib
from lib import check, equal, wait_for
from web import shown_names, tls_connect

LINK = b"\x04\xc6\x96\xc9\xa5"
LINK_H2 = b"\x04\xd5\x87\xc9\xa5"
HTTP = b"\x08http/1.1"
SUFFIX = ".link.lanthorn.internal"
UNRECOGNIZED_NAME, NO_APPLICATION_PROTOCOL, PROTOCOL_VERSION = 112, 120, 70
STATE = {}


def s_client(stack, *args, seconds=10):
    """What `openssl s_client` says of one connection."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{stack.port}", *args],
                          input="", capture_output=True, text=True, timeout=seconds * lib.SLOW,
                          check=False)
    return done.stdout + done.stderr


def alert_of(text):
    found = re.search(r"SSL alert number (\d+)", text)
    return int(found[1]) if found else None


def refused_with(stack, number, *args):
    text = s_client(stack, *args)
    equal(alert_of(text), number, f"alert for {args}")
    check("BEGIN CERTIFICATE" not in text, f"a certificate for {args}")


def hello(name, alpn):
    """The bytes of a ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context._set_alpn_protocols(alpn)  # pylint: disable=protected-access
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def handshake(stack, name, alpn):
    """(alert or error, chosen protocol) of a handshake with literal ALPN bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context._set_alpn_protocols(alpn)  # pylint: disable=protected-access
    raw = socket.create_connection(("127.0.0.1", stack.port), 10)
    try:
        with context.wrap_socket(raw, server_hostname=name) as tls:
            return None, tls.selected_alpn_protocol()
    except OSError as error:  # Python has no name for this alert: its number is in the words
        return repr(error), None
    finally:
        raw.close()


def before_the_first_certificate_there_is_only_an_alert(stack):
    # The CA stands still, so that this state lasts.
    pebble = int((stack.folder / "lab/run/pebble.pid").read_text())
    os.kill(pebble, signal.SIGSTOP)
    try:
        stack.start_gateway()
        for version in ("-tls1_2", "-tls1_3"):
            for name in (stack.domain, "tv." + stack.domain, "example.com", "localhost"):
                refused_with(stack, UNRECOGNIZED_NAME, "-servername", name, version)
            refused_with(stack, UNRECOGNIZED_NAME, "-noservername", version)
        check(stack.ctl("status"), "the API meanwhile")
    finally:
        os.kill(pebble, signal.SIGCONT)
    stack.wait_for_certificate()


def an_unknown_name_gets_the_alert_later_too(stack):
    for version in ("-tls1_2", "-tls1_3"):
        for name in ("unknown." + stack.domain, "a.b." + stack.domain, "example.com",
                     "xn--nxasmq6b." + stack.domain):
            refused_with(stack, UNRECOGNIZED_NAME, "-servername", name, version)
        refused_with(stack, UNRECOGNIZED_NAME, "-noservername", version)
    # The name of an address is no name (RFC 6066, section 3).
    refused_with(stack, UNRECOGNIZED_NAME, "-servername", "127.0.0.1")
    check(shown_names(stack.port, stack.domain.upper(), stack.lab.ca), "names are told by case")


def old_versions_and_weak_ciphers_are_refused(stack):
    for version in ("-tls1", "-tls1_1"):
        text = s_client(stack, version, "-servername", stack.domain, "-cipher", "ALL:@SECLEVEL=0")
        equal(alert_of(text), PROTOCOL_VERSION, version)
    for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "NULL",
                   "ECDHE-ECDSA-AES256-SHA384"):
        text = s_client(stack, "-tls1_2", "-servername", stack.domain, "-cipher",
                        cipher + ":@SECLEVEL=0")
        check("BEGIN CERTIFICATE" not in text, f"{cipher} is accepted")
    text = s_client(stack, "-tls1_2", "-servername", stack.domain)
    check("Secure Renegotiation IS supported" in text, "no secure renegotiation")
    check("Compression: NONE" in text, "compression")
    check("Server Temp Key: X25519" in text or "ECDH" in text, "no forward secrecy")


def renegotiation_is_refused(stack):
    child = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect",
                              f"127.0.0.1:{stack.port}", "-servername", stack.domain],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    try:
        time.sleep(1)
        child.stdin.write(b"R\n")
        child.stdin.flush()
        out, _ = child.communicate(timeout=10 * lib.SLOW)
    finally:
        child.kill()
    check(b"RENEGOTIATING" in out, "nothing was tried")
    check(out.count(b"depth=") <= 2 and (b"no renegotiation" in out or b"error" in out),
          out[-500:])


def alpn_is_answered_or_refused(stack):
    # What the gateway speaks depends on its version; what it does not must be refused.
    for alpn in (b"\x04spdy", b"\x08http/0.9", LINK, LINK_H2, b"\x02h3"):
        reason, _ = handshake(stack, stack.domain, alpn)
        check(reason and re.search("application.protocol|1120", reason, re.I),
              f"{alpn}: {reason}")
    equal(handshake(stack, stack.domain, b"\x04spdy" + HTTP), (None, "http/1.1"))
    equal(handshake(stack, stack.domain, None), (None, None), "no ALPN")
    for name, alpn in (("tv" + SUFFIX, b"\x04spdy"), ("enroll" + SUFFIX, LINK),
                       ("enroll" + SUFFIX, b"\x02h2"), ("enroll" + SUFFIX, b"\x04spdy")):
        reason, chosen = handshake(stack, name, alpn)
        check(reason and chosen is None, f"{name} {alpn}: {chosen}")
    text = s_client(stack, "-servername", stack.domain, "-alpn", "spdy/3")
    equal(alert_of(text), NO_APPLICATION_PROTOCOL, "alert")


def a_hello_in_pieces_or_never_ending_is_borne(stack):
    for size in (1, 7):
        whole = hello(stack.domain, HTTP)
        with socket.create_connection(("127.0.0.1", stack.port), 10) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(whole), size):
                raw.sendall(whole[at:at + size])
                time.sleep(0.0005)
            answer = raw.recv(5)
            equal(answer[:1], b"\x16", f"the answer to a hello in pieces of {size}")
    # One that stops half way does not keep the next from being served.
    half = [socket.create_connection(("127.0.0.1", stack.port), 10) for _ in range(50)]
    for raw in half:
        raw.sendall(whole[:len(whole) // 2])
    tls_connect(stack.port, stack.domain, stack.lab.ca).close()
    for raw in half:
        raw.close()
    for junk in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70000),
                 b"\x80\x2e\x01\x03\x01", bytes(100)):
        with socket.create_connection(("127.0.0.1", stack.port), 10) as raw:
            raw.settimeout(20)
            try:
                raw.sendall(junk)
                data = raw.recv(65536)
                check(b"HTTP" not in data, "an answer in plain text")
                check(not data or data[:1] == b"\x15", f"{data[:20]} for {junk[:10]}")
            except ConnectionError:
                pass


def its_own_tickets_resume(stack):
    for version in ("-tls1_2", "-tls1_3"):
        kept = stack.folder / "session"
        child = subprocess.Popen(["openssl", "s_client", version, "-connect",
                                  f"127.0.0.1:{stack.port}", "-servername", stack.domain,
                                  "-sess_out", kept], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("a session", lambda: kept.exists() and kept.stat().st_size > 100)
        child.communicate(timeout=10)
        text = s_client(stack, version, "-servername", stack.domain, "-sess_in", str(kept))
        check("Reused, TLSv1" in text, f"{version} does not resume")
        # Under the name of a link it must not resume, nor be served without a certificate.
        child = subprocess.run(["openssl", "s_client", version, "-connect",
                                f"127.0.0.1:{stack.port}", "-servername", "tv" + SUFFIX, "-alpn",
                                "http/1.1", "-sess_in", kept, "-ign_eof"],
                               input="GET /v1/time HTTP/1.1\r\nHost: tv\r\n\r\n", text=True,
                               capture_output=True, timeout=20, check=False)
        check("Reused, TLSv1" not in child.stdout, f"{version}: a browser's ticket is a link's")
        check("HTTP/1.1" not in child.stdout.split("---")[-1], "an answer to nobody")
        kept.unlink()


def a_removed_device_stays_out_across_a_killed_gate(stack):
    stack.add_device("tv")
    wait_for("a link of tv", lambda: any(d["name"] == "tv" and d["links"] > 0
                                         for d in stack.ctl("devices")["devices"]))
    equal(stack.ctl_run("devices", "remove", "tv").returncode, 0, "remove")
    old = stack.gate_pid()
    stack.expect_crashes.add(("gate", "signal=9"))
    os.kill(old, signal.SIGKILL)
    wait_for("a new gate", lambda: stack.gate_pid() not in (None, old))
    wait_for("its API", lambda: stack.ctl("status"))
    time.sleep(1.5)
    equal([d for d in stack.ctl("devices")["devices"] if d["name"] == "tv"], [], "devices")
    stack.agents["tv"].expect_code += (1, 2, 75, 77, 78)
    # The same name again is another device; the old key opens nothing of it.
    agent, fresh = stack.agents["tv"], stack.token("tv")
    check(fresh, "no token")
    check(agent.alive() or agent.child.returncode in agent.expect_code, "the agent crashed")
    time.sleep(1)
    equal([d["links"] for d in stack.ctl("devices")["devices"] if d["name"] == "tv"], [0], "links")


lib.run([
    before_the_first_certificate_there_is_only_an_alert,
    an_unknown_name_gets_the_alert_later_too,
    old_versions_and_weak_ciphers_are_refused,
    renegotiation_is_refused,
    alpn_is_answered_or_refused,
    a_hello_in_pieces_or_never_ending_is_borne,
    its_own_tickets_resume,
    a_removed_device_stays_out_across_a_killed_gate,
])
