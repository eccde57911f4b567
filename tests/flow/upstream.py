#!/usr/bin/env python3
"""Devices of gateway.yaml, without an agent: plain and pinned upstreams, bodies of any size at
bounded memory, idle timeouts, and devices that answer with what a browser must never see as a
whole answer.
"""
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time
import zlib

import lib
from lib import BUILD, WORKERS, check, equal, wait_for
from rawdevice import EVIL, IDLE_S, Device
from web import NAVIGATE, Browser, tls_connect

os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
MIB = 1 << 20
STATE = {}


# ---- certificates of devices ----

def openssl(stack, *args):
    subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=stack.folder)


def make_ca(stack, name):
    openssl(stack, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-days", "30", "-keyout", f"{name}.key", "-out", f"{name}.pem")


def device_tls(stack, name, names="IP:127.0.0.1", days="30"):
    """A server context whose certificate the CA `house` signed."""
    openssl(stack, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (stack.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    openssl(stack, "x509", "-req", "-in", f"{name}.csr", "-CA", "house.pem", "-CAkey", "house.key",
            "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stack.folder / f"{name}.pem", stack.folder / f"{name}.key")
    return context


def pin_of(stack, name):
    key = subprocess.run(["openssl", "pkey", "-in", stack.folder / f"{name}.key", "-pubout",
                          "-outform", "DER"], check=True, capture_output=True).stdout
    return hashlib.sha256(key).hexdigest()


def full_backlog(address="127.0.0.1", port=0):
    """A port that takes no connection and refuses none: its queue is full."""
    listener = socket.create_server((address, port), backlog=0)
    held = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        held.append(filler)
    time.sleep(0.2)
    return listener, held


# ---- asking ----

def same(stack, name="plain"):
    return {"Sec-Fetch-Site": "same-origin", "Origin": STATE["browser"].origin(stack.host(name))}


def ask(stack, path, name="plain", method="GET", body=None, headers=None):
    return STATE["browser"].request(method, stack.host(name), path,
                                    {**same(stack, name), **(headers or {})}, body)


def open_request(stack, line, fields=(), name="plain"):
    """A TLS connection on which the head of a request was sent."""
    host = stack.host(name)
    tls = tls_connect(stack.port, host, stack.lab.ca)
    head = [line + " HTTP/1.1", f"Host: {host}:{stack.port}",
            f"Cookie: {STATE['browser'].cookie_header(host)}",
            f"Origin: {STATE['browser'].origin(host)}", *fields]
    tls.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    return tls


def curl(stack, path, *more):
    """The fields of the last head, and the body."""
    host, out = stack.host("plain"), stack.folder / "curl.head"
    done = subprocess.run(
        ["curl", "-s", "--compressed", "--cacert", stack.lab.ca, "-D", out, "--resolve",
         f"{host}:{stack.port}:127.0.0.1", "-b", STATE["browser"].cookie_header(host), "-H",
         "Sec-Fetch-Site: same-origin", *more, f"https://{host}:{stack.port}{path}"],
        capture_output=True, check=True)
    head = out.read_text().lower().strip().split("\n")
    fields = dict(line.strip().split(": ", 1) for line in head[1:])
    return int(head[0].split()[1]), fields, done.stdout


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


class Watch(threading.Thread):
    """The most memory that the gate holds meanwhile."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.pid, self.ending = stack.gate_pid(), threading.Event()
        self.first = self.most = rss_kib(self.pid)

    def run(self):
        while not self.ending.wait(0.02):
            self.most = max(self.most, rss_kib(self.pid))

    def finish(self, most_kib=16 * 1024):
        self.ending.set()
        self.join()
        check(self.most - self.first <= most_kib, f"{self.first} KiB grew to {self.most} KiB")


# ---- the promises ----

def a_gateway_with_such_devices_starts(stack):
    for name in ("house", "stranger"):
        make_ca(stack, name)
    good = device_tls(stack, "good")
    STATE["plain"] = Device()
    STATE["tls"] = Device(good)
    STATE["named"] = Device(device_tls(stack, "named", "DNS:elsewhere.example,IP:192.0.2.1"))
    STATE["expired"] = Device(device_tls(stack, "expired", days="-1"))
    STATE["full"] = full_backlog()
    full = STATE["full"][0].getsockname()[1]
    tls, pin = STATE["tls"].port, pin_of(stack, "good")
    # Silent at 127.0.0.2, and the device at 127.0.0.1, with the same port.
    STATE["both"] = Device()
    STATE["held"] = full_backlog("127.0.0.2", STATE["both"].port)
    rows = [("several", f"[http://127.0.0.2:{STATE['both'].port}, "
                        f"http://127.0.0.1:{STATE['both'].port}]", ""),
            ("plain", f"http://127.0.0.1:{STATE['plain'].port}", ""),
            ("asis", f"http://127.0.0.1:{STATE['plain'].port}", "rewrite: false\n    compress: false"),
            ("pinned", f"https://127.0.0.1:{tls}", f"pin: {pin}"),
            ("mispinned", f"https://127.0.0.1:{tls}", f"pin: {pin_of(stack, 'house')}"),
            ("signed", f"https://127.0.0.1:{tls}", f"ca: {stack.folder}/house.pem"),
            ("missigned", f"https://127.0.0.1:{tls}", f"ca: {stack.folder}/stranger.pem"),
            ("misnamed", f"https://127.0.0.1:{STATE['named'].port}",
             f"ca: {stack.folder}/house.pem"),
            ("expired", f"https://127.0.0.1:{STATE['expired'].port}",
             f"ca: {stack.folder}/house.pem"),
            ("notls", f"https://127.0.0.1:{STATE['plain'].port}", f"pin: {pin}"),
            ("full", f"http://127.0.0.1:{full}", "")]
    stack.config = (f"limits:\n  idle_timeout: {IDLE_S}s\n  upstream_connect: 1s\n"
                    "certificates: wildcard\ndevices:\n")
    for name, url, trust in rows:
        stack.config += f"  - name: {name}\n    upstream: {url}\n"
        stack.config += f"    {trust}\n" if trust else ""
    stack.start_gateway()
    stack.wait_for_certificate()
    browser = STATE["browser"] = Browser(stack, timeout=30)
    browser.set_up(stack.setup_link())
    for name, _, _ in rows:
        page = browser.request("GET", stack.host(name), "/", NAVIGATE)
        for _ in range(2):
            at = page.headers["Location"].split(f":{stack.port}", 1)
            page = browser.request("GET", at[0].removeprefix("https://"), at[1], NAVIGATE)
        equal(page.status, 303, f"the way to {name}")


def unverified_tls_is_no_configuration(stack):
    good = stack.config_text()
    for wrong, words in ((good + "  - name: bare\n    upstream: https://127.0.0.1:1\n", "pin"),
                         (good.replace(f"pin: {pin_of(stack, 'good')}", "pin: 00"), "pin"),
                         (good + "  - name: bare\n    upstream: http://127.0.0.1:1/path\n", "path"),
                         (good + "  - name: plain\n    upstream: http://127.0.0.1:1\n", "plain")):
        path = stack.folder / "wrong.yaml"
        path.write_text(wrong)
        done = subprocess.run([BUILD / "lanthornd", "--config", path, "--check"],
                              capture_output=True, text=True, timeout=20, check=False)
        equal(done.returncode, 78, words)
        check(re.search(r"wrong\.yaml:\d+", done.stderr) and words in done.stderr, done.stderr)


def only_the_right_key_or_name_is_spoken_to(stack):
    for name in ("pinned", "signed"):
        answer = ask(stack, "/echo", name)
        equal(answer.status, 200, name)
    before = {name: len(STATE[name].seen) for name in ("plain", "tls", "named", "expired")}
    for name in ("mispinned", "missigned", "misnamed", "expired", "notls"):
        answer = ask(stack, "/echo", name, headers={"Accept": "text/html"})
        equal(answer.status, 502, name)
        check(b"<h1>" in answer.body and b"evil" not in answer.body, "no page")
    for name, n in before.items():
        seen = STATE[name].seen[n:]
        check(all(method not in ("GET", "POST") for method, _, _ in seen), f"{name} heard {seen}")


def another_address_serves_when_the_first_does_not(stack):
    begun = time.monotonic()
    equal(ask(stack, "/echo", "several").status, 200)
    check(time.monotonic() - begun < 0.9 * lib.SLOW, "it waited for the dead one")


def a_connection_is_used_again(stack):
    for name in ("plain", "pinned"):
        numbers = {json.loads(ask(stack, "/echo", name).body)["connection"] for _ in range(5)}
        check(len(numbers) <= int(WORKERS), f"connections for 5 requests to {name}: {numbers}")


def what_has_no_body_has_none(stack):
    for status in (204, 304):
        answer = ask(stack, f"/empty/{status}")
        equal((answer.status, answer.body, answer.headers["ETag"]), (status, b"", '"1"'))
    answer = ask(stack, "/head", method="HEAD")
    equal((answer.status, answer.headers["Content-Length"], answer.body), (200, "1000", b""))
    equal(len(ask(stack, "/head").body), 1000, "GET after HEAD")
    answer = ask(stack, "/range", headers={"Range": "bytes=2-4"})
    equal((answer.status, answer.headers["Content-Range"], answer.body),
          (206, "bytes 2-4/10", b"234"))
    equal(STATE["plain"].seen[-1][2]["Range"], "bytes=2-4")
    equal(ask(stack, "/until_close").body, b"to the end")


def trailers_reach_the_browser_and_never_the_device(stack):
    with open_request(stack, "GET /trickle", ["TE: trailers"]) as tls:
        raw = b""
        while not raw.endswith(b"\r\n\r\n") or b"\r\n0\r\n" not in raw:
            raw += tls.recv(65536)
        check(re.search(rb"\r\n0\r\n(.*\r\n)*sum: 10\r\n", raw, re.I), raw[-200:])
        equal(re.findall(rb"\r\n1\r\n(\d)\r\n", raw.replace(b"\r\n1\r\n", b"\r\n\r\n1\r\n")),
              [b"0", b"1", b"2", b"3", b"4"], "chunks")
    # Software that merges them into the head would take a forged field for the gateway's word.
    for forbidden, status in (("Lanthorn-User: root\r\n", 200),
                              ("Content-Length: 9\r\n", 400), ("A : b\r\n", 400)):
        with open_request(stack, "POST /upload", ["Transfer-Encoding: chunked"]) as tls:
            tls.sendall(f"4\r\nabcd\r\n0\r\nSum: 4\r\n{forbidden}\r\n".encode())
            answer = http.client.HTTPResponse(tls)
            answer.begin()
            equal(answer.status, status, f"a trailer {forbidden!r}")
            if status == 200:
                seen = json.loads(answer.read())
                equal((seen["bytes"], seen["trailers"]), (4, {}))


def a_device_sets_cookies_for_itself_alone(stack):
    answer = ask(stack, "/cookies")
    equal(answer.headers.get_all("Set-Cookie"), ["own=1; Path=/"])
    for name in ("Alt-Svc", "Clear-Site-Data"):
        equal(answer.headers.get(name), None, name)
    check("max-age=0" not in answer.headers["Strict-Transport-Security"], "HSTS of the device")


def a_device_is_called_by_its_name_alone(stack):
    for name in ("plain", "pinned", "asis"):
        answer = ask(stack, "/moved", name)
        host, fields = f"{stack.host(name)}:{stack.port}", answer.headers
        equal(fields["X-Asked-As"], host, "Host")
        if name == "asis":
            check(fields["Location"].startswith("http://127.0.0.1:"), fields["Location"])
            equal(fields.get_all("Set-Cookie"), None, "for an address")
            continue
        equal((answer.status, fields["Location"]), (302, f"https://{host}/echo?x=1#y"))
        equal(fields["Content-Location"], f"https://{host}/a")
        equal(fields["Refresh"], f"3; url=https://{host}/b")
        equal(fields.get_all("Set-Cookie"), ["own=1; Path=/"])
    seen = json.loads(ask(stack, "/echo", headers={"Forwarded": "for=6.6.6.6", "X-Forwarded-For":
                                                   "6.6.6.6", "X_Forwarded_For": "6.6.6.6"}).body)
    fields = {k.lower(): v for k, v in seen["fields"].items()}
    host = f"{stack.host('plain')}:{stack.port}"
    equal(fields["forwarded"], f'for=127.0.0.1;host="{host}";proto=https')
    equal([fields["x-forwarded-" + k] for k in ("for", "proto", "host")],
          ["127.0.0.1", "https", host])
    check("x_forwarded_for" not in fields, "a forged one")


def a_device_that_leads_in_a_circle_is_told_of(stack):
    for name in ("plain", "asis"):
        answer = ask(stack, "/secure", name, headers={"Accept": "text/html"})
        equal(answer.status, 502)
        check(b"leads in a circle" in answer.body and b"https://" in answer.body, answer.body)
    answer = ask(stack, "/secure", "pinned")  # to which no other address could be given
    equal((answer.status, answer.headers["Location"]),
          (301, f"https://{stack.host('pinned')}:{stack.port}/secure"))


def text_is_compressed_on_its_way(stack):
    text = b"".join(b"<p>line %d</p>\n" % n for n in range(20000))
    for version in ("--http1.1", "--http2"):
        _, fields, body = curl(stack, "/text/20000", version)
        check(body == text, f"{version}: {len(body)} bytes")
        check(fields["content-encoding"] in ("br", "gzip"), str(fields))
    for name, path, more, coded in (
            ("plain", "/text/20000", {}, "gzip"), ("asis", "/text/20000", {}, None),
            ("plain", "/text/20000", {"Accept-Encoding": "identity"}, None),
            ("plain", "/text/20000", {"Sec-Fetch-Site": "none", "Accept-Encoding": "gzip;q=0"}, None),
            ("plain", "/text/10", {}, None), ("plain", f"/big/{MIB}", {}, None),
            ("plain", "/range", {"Range": "bytes=2-4"}, None)):
        answer = ask(stack, path, name, headers={"Accept-Encoding": "gzip", **more})
        equal(answer.headers["Content-Encoding"], coded, f"{name}{path} {more}")
        if coded:
            equal(gzip.decompress(answer.body), text)
            check(len(answer.body) < len(text) / 5, f"{len(answer.body)} bytes")
            equal(answer.headers["ETag"], 'W/"1~lanthorn"')
        if path == "/text/20000" and name == "plain":
            equal(answer.headers["Vary"], "accept-encoding", f"Vary, {more}")


def what_a_browser_has_compressed_is_not_sent_again(stack):
    kept = stack.folder / "curl.etag"
    for version in ("--http1.1", "--http2"):
        status, first, text = curl(stack, "/text/2000", version, "--etag-save", kept)
        equal((status, first["etag"]), (200, 'w/"1~lanthorn"'))
        status, fields, body = curl(stack, "/text/2000", version, "--etag-compare", kept)
        equal((status, body, fields["etag"], fields["vary"]),
              (304, b"", first["etag"], "accept-encoding"), version)
        equal(STATE["plain"].seen[-1][2]["If-None-Match"], '"1"')
        # To continue a part of what was compressed, the device's bytes are of no use.
        status, _, body = curl(stack, "/text/2000", version, "-H", "Range: bytes=5-",
                               "-H", f"If-Range: {kept.read_text().strip()}")
        equal((status, len(body)), (200, len(text)))
        equal(STATE["plain"].seen[-1][2]["Range"], None)
        plain = curl(stack, "/text/2000", version, "-H", "Accept-Encoding: identity",
                     "-H", 'If-None-Match: "1"')
        equal((plain[0], plain[1]["etag"]), (304, '"1"'), "the device's own tag")


def head_has_the_fields_of_get(stack):
    for version in ("--http1.1", "--http2"):
        for path in ("/text/2000", "/text/10"):
            _, get, _ = curl(stack, path, version)
            status, head, body = curl(stack, path, version, "-I")
            equal((status, body[:4]), (200, b"HTTP"), path)
            for name in ("etag", "vary", "content-encoding", "content-length", "accept-ranges"):
                equal(head.get(name), get.get(name), f"{version} {path} {name}")


def slow_text_is_not_held_back(stack):
    undo = zlib.decompressobj(31)
    with open_request(stack, "GET /text/slow", ["Accept-Encoding: gzip"]) as tls:
        answer = http.client.HTTPResponse(tls)
        answer.begin()
        equal(answer.headers["Content-Encoding"], "gzip")
        text = b""
        for n in range(3):
            while not text.endswith(b"bit %d" % n):
                part = answer.read1(4096)
                check(part, f"it ends after {text}")
                text += undo.decompress(part)
            STATE["plain"].go_on.set()
        text += undo.decompress(answer.read())
        check(undo.eof and text == b"bit 0bit 1bit 2", text)


def expect_continue_passes_through(stack):
    expecting = ["Content-Length: 4", "Expect: 100-continue"]
    with open_request(stack, "POST /continue", expecting) as tls:
        begun = time.monotonic()
        first = tls.recv(65536)
        check(first.startswith(b"HTTP/1.1 100"), first)
        check(time.monotonic() - begun >= 0.25, "the gateway itself said it")
        tls.sendall(b"abcd")
        answer = http.client.HTTPResponse(tls)
        answer.begin()
        equal(json.loads(answer.read())["bytes"], 4)
    with open_request(stack, "POST /reject", expecting) as tls:
        check(tls.recv(65536).startswith(b"HTTP/1.1 413"), "a refusal")


def events_come_at_once_and_outlive_the_idle_timeout(stack):
    begun = time.monotonic()
    with open_request(stack, "GET /events") as tls:
        seen = b""
        while b"data: 1" not in seen:
            seen += tls.recv(65536)
        check(time.monotonic() - begun < 1.0 * lib.SLOW, "the first event came late")
        while b"data: 2" not in seen:
            part = tls.recv(65536)
            check(part, "cut in its silence")
            seen += part


def bodies_of_64_mib_take_no_memory(stack):
    size = 64 * MIB
    part = os.urandom(MIB)
    digest = hashlib.sha256(part * 64).hexdigest()
    ask(stack, "/upload", method="POST", body=part)
    ask(stack, f"/big/{4 * MIB}")
    watch = Watch(stack)
    watch.start()
    seen = json.loads(ask(stack, "/upload", method="POST", body=(part for _ in range(64)),
                          headers={"Content-Length": str(size)}).body)
    equal((seen["bytes"], seen["sha256"]), (size, digest), "an upload")
    equal(len(ask(stack, f"/big/{size}").body), size, "a download")
    # The device is fast and the browser does not read at all.
    with open_request(stack, f"GET /big/{size}") as tls:
        time.sleep(1)
        answer = http.client.HTTPResponse(tls)
        answer.begin()
        equal(len(answer.read()), size, "a download with a rest")
    with open_request(stack, f"GET /noise/{size}", ["Accept-Encoding: gzip"]) as tls:
        time.sleep(1)
        answer, undo, got = http.client.HTTPResponse(tls), zlib.decompressobj(31), 0
        answer.begin()
        while part := answer.read(65536):
            got += len(undo.decompress(part))
        equal((got, undo.eof), (size, True), "a compressed one with a rest")
    watch.finish()


def moving_uploads_live_and_idle_ones_end(stack):
    n = 4 * IDLE_S
    with open_request(stack, "POST /upload", [f"Content-Length: {n}"]) as slow, \
            open_request(stack, "POST /upload", ["Content-Length: 10"]) as idle, \
            open_request(stack, "GET /silent") as silent:
        idle.sendall(b"a")
        begun = time.monotonic()
        for _ in range(n):
            time.sleep(0.5)
            slow.sendall(b"a")
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        equal(json.loads(answer.read())["bytes"], n, "the slow one")
        silent.settimeout(IDLE_S * 3 * lib.SLOW)
        answer = http.client.HTTPResponse(silent)
        answer.begin()
        equal(answer.status, 504, "the silent device")
        idle.settimeout(IDLE_S * 3 * lib.SLOW)
        data = b""
        try:
            while part := idle.recv(65536):
                data += part
        except TimeoutError:
            raise lib.Failure("the idle upload is not cut") from None
        except OSError:
            pass
        equal(data, b"", "the idle upload")
        check(time.monotonic() - begun < 6 * IDLE_S * lib.SLOW, "cut too late")


def whole(raw):
    """(status, complete) of the bytes of one answer; the connection has ended after them."""
    class Fake:
        def makefile(self, *_):
            import io
            return io.BytesIO(raw)
    try:
        answer = http.client.HTTPResponse(Fake())
        answer.begin()
        answer.read()
        return answer.status, True
    except (http.client.HTTPException, OSError):
        return None, False


def a_hostile_answer_is_never_a_whole_one(stack):
    for name in EVIL:
        with open_request(stack, f"GET /evil/{name}", ["Connection: close"]) as tls:
            raw = b""
            try:
                while part := tls.recv(65536):
                    raw += part
            except OSError:
                pass
        status, complete = whole(raw)
        if name.startswith("early-end"):
            check(raw.startswith(b"HTTP/1.1 200 "), f"{name}: not even its head: {raw}")
        check(not complete or status in (502, 503), f"{name}: {raw[:300]}")
        if complete:
            check(b"evil" not in raw.split(b"\r\n\r\n", 1)[1], f"{name} leaks: {raw[:300]}")
    equal(ask(stack, "/echo").status, 200, "a good request after all that")


def what_may_have_been_done_is_not_repeated(stack):
    seen = STATE["plain"].seen
    for method, most in (("GET", 2), ("POST", 1), ("PUT", 2)):
        before = len(seen)
        equal(ask(stack, "/die", method=method, body=b"x" if method != "GET" else None).status, 502,
              method)
        tries = len(seen) - before
        check(1 <= tries <= most, f"{method} was sent {tries} times")


def device_of(stack, name):
    return next(d for d in stack.ctl("devices")["devices"] if d["name"] == name)


def the_status_says_what_can_be_reached(stack):
    for name in ("several", "plain", "pinned", "signed"):
        wait_for(f"{name} to be online", lambda: device_of(stack, name)["state"] == "online", 20)
        equal((device_of(stack, name)["online"], device_of(stack, name)["fault"]), (True, None))
    for name, words in (("mispinned", "pinned"), ("full", "cannot connect")):
        wait_for(f"{name} to be offline", lambda: device_of(stack, name)["state"] == "offline", 20)
        seen = device_of(stack, name)
        check(words in seen["fault"] and abs(seen["since"] - time.time()) < 120, str(seen))
    shown = stack.ctl_run("status").stdout
    check(re.search("○ full .*out of reach", shown) and re.search("● plain ", shown), shown)


def a_device_out_of_reach_has_a_page(stack):
    begun = time.monotonic()
    answer = ask(stack, "/", "full", headers={"Accept": "text/html"})
    took = time.monotonic() - begun
    check(answer.status in (502, 503) and b"<h1>" in answer.body, f"status {answer.status}")
    check(0.8 <= took <= 5 * lib.SLOW, f"{took:.1f} s for a connection limit of 1 s")
    STATE["plain"].close()
    def answers():
        answer = ask(stack, "/", headers={"Accept": "text/html"})
        return answer if answer.status == 502 else None
    answer = wait_for("a page for a device that is gone", answers, 5)
    check(b"<h1>" in answer.body and b"plain" in answer.body, "the page does not name it")
    wait_for("plain to be offline", lambda: device_of(stack, "plain")["state"] == "offline", 5)
    check("refused" in device_of(stack, "plain")["fault"], str(device_of(stack, "plain")))
    equal(ask(stack, "/echo", "pinned").status, 200, "another device meanwhile")


lib.run([
    a_gateway_with_such_devices_starts,
    unverified_tls_is_no_configuration,
    only_the_right_key_or_name_is_spoken_to,
    another_address_serves_when_the_first_does_not,
    a_connection_is_used_again,
    what_has_no_body_has_none,
    trailers_reach_the_browser_and_never_the_device,
    a_device_sets_cookies_for_itself_alone,
    a_device_is_called_by_its_name_alone,
    a_device_that_leads_in_a_circle_is_told_of,
    text_is_compressed_on_its_way, what_a_browser_has_compressed_is_not_sent_again,
    head_has_the_fields_of_get,
    slow_text_is_not_held_back,
    expect_continue_passes_through,
    events_come_at_once_and_outlive_the_idle_timeout,
    bodies_of_64_mib_take_no_memory,
    moving_uploads_live_and_idle_ones_end,
    a_hostile_answer_is_never_a_whole_one,
    what_may_have_been_done_is_not_repeated,
    the_status_says_what_can_be_reached,
    a_device_out_of_reach_has_a_page,
])
