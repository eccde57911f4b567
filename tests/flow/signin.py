#!/usr/bin/env python3
"""Sign-in from outside: one-time links, limits, the code flow, cookies, the guard, grants, ends.

The two devices are given in gateway.yaml, so that nothing here depends on agents. Guesses come from
loopback addresses of their own, since an address that guesses is shut out for a while.
"""
import http.client
import json
import os
import pathlib
import signal
import sqlite3
import time
import urllib.parse

import lib
from lib import Failure, check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket, shown_names, tls_connect

GOOD = "a calm long password"
STATE = {}


def raw(stack, sni, text, alpn=("http/1.1",)):
    """The status and the rest of the answer to literal bytes."""
    with tls_connect(stack.port, sni, stack.lab.ca, alpn) as tls:
        tls.sendall(text.encode("latin-1"))
        answer = http.client.HTTPResponse(tls)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def location(answer):
    return urllib.parse.urlsplit(answer.headers["Location"] or "")


def cookie_line(answer, name):
    lines = [v for v in answer.headers.get_all("Set-Cookie") or [] if v.startswith(name + "=")]
    equal(len(lines), 1, f"Set-Cookie of {name}")
    value, *rest = [part.strip() for part in lines[0].split(";")]
    return value.partition("=")[2], sorted(part.lower() for part in rest)


def same_origin(browser, host):
    return {"Origin": browser.origin(host), "Sec-Fetch-Site": "same-origin"}


def ends_within_a_second(sock, begun):
    sock.sock.settimeout(10)
    try:
        sock.receive()
    except TimeoutError:
        raise Failure("the WebSocket goes on") from None
    except (ConnectionError, OSError):
        took = time.monotonic() - begun
        check(took <= lib.SLOW, f"only after {took:.2f} s")
        return
    raise Failure("the WebSocket goes on")


def a_gateway_with_two_devices_starts(stack):
    for name in ("tv", "lamp"):
        stack.start_device(name)
    stack.config = "devices:\n" + "".join(
        f"  - name: {name}\n    upstream: http://127.0.0.1:{port}\n"
        for name, port in stack.devices.items())
    stack.start_gateway()
    for name in (None, "tv", "lamp"):
        stack.wait_for_certificate(name)


def only_a_valid_setup_link_opens(stack):
    browser = Browser(stack, source="127.0.0.2")
    # An hour cannot be waited for; the row says when a link ends.
    expired = stack.setup_link()
    equal(browser.open(expired).status, 200, "a fresh link")
    with sqlite3.connect(database(stack), timeout=10) as db:
        db.execute("UPDATE invites SET expires_at = ?", (int(time.time()) - 1,))
    db.close()
    equal(browser.open(expired).status, 410, "an expired link")
    STATE["spare"], link = stack.setup_link(), stack.setup_link()
    wrong = link[:-4] + ("AAAA" if not link.endswith("AAAA") else "BBBB")
    for url in (wrong, link.split("?")[0], link.split("=")[0] + "=", STATE["spare"],
                link.replace("/setup", "/invite")):
        equal(browser.open(url).status, 410, url)
    equal(browser.open(link).status, 200, "the newest link")
    STATE["link"] = link


def database(stack):
    for path in pathlib.Path(stack.folder / "state/gate").iterdir():
        if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3":
            return path
    raise Failure("no database of the gate")


def weak_passwords_are_refused_with_words(stack):
    browser = Browser(stack)
    for name, first, second, words in (
            ("admin", "short", "short", "at least"),
            ("admin", "x" * 300, "x" * 300, "at most"),
            ("adminadmin", "AdminAdmin", "AdminAdmin", "must not be the name"),
            ("admin", GOOD, GOOD + ".", "differ"),
            ("Ad min", GOOD, GOOD, "small letters")):
        page = browser.open(STATE["link"])
        page = browser.submit(page, name=name, password=first, password2=second)
        equal(page.status, 400, words)
        check(words in page.text(), lambda: f"{words!r} is not said: {page.text()}")
        check(first not in page.text() or first == "short", "the page shows the password")
    check(not browser.cookies.get(stack.domain), "a cookie was set")


def the_first_admin_closes_every_setup_link(stack):
    browser = Browser(stack)
    page = browser.set_up(STATE["link"])
    equal(page.status, 200, "after set-up")
    stranger = Browser(stack, source="127.0.0.3")
    equal(stranger.open(STATE["link"]).status, 410, "the used link")
    page = stranger.open(STATE["spare"])
    if page.status == 200:
        page = stranger.submit(page, name="second", password=GOOD, password2=GOOD)
    check(page.status >= 400, f"the other link: {page.status}")
    check(not stranger.signed_in(), "a second admin")
    done = stack.ctl_run("setup")
    equal(done.returncode, 1, "lanthornctl setup")
    check("administrator already" in done.stderr and "invite" in done.stderr, done.stderr)
    check("another name" not in done.stderr, done.stderr)


def a_wrong_password_gets_a_page_and_nothing_else(stack):
    browser = Browser(stack, source="127.0.0.4")
    known = browser.sign_in("admin", "not this one")
    unknown = browser.sign_in("nobody", "not this one")
    for page in (known, unknown):
        equal(page.status, 403)
        check("do not match" in page.text(), "no words")
        check(not page.headers.get("Set-Cookie"), "a cookie")
        check("not this one" not in page.text(), "the password is shown")
    equal(known.text(), unknown.text().replace("nobody", "admin"), "the two pages")
    equal(sorted(k for k in known.headers), sorted(k for k in unknown.headers), "their headers")


def five_tries_for_an_account_and_address(stack):
    browser = Browser(stack, source="127.0.0.5")
    for n in range(5):
        equal(browser.sign_in("admin", f"guess number {n}").status, 403, f"guess {n + 1}")
    page = browser.sign_in()
    equal(page.status, 429, "the right password after five wrong")
    check(0 < int(page.headers["Retry-After"]) <= 900, page.headers["Retry-After"])
    check("wait" in page.text(), "no words")
    elsewhere = Browser(stack, source="127.0.0.6")
    elsewhere.sign_in()
    check(elsewhere.signed_in(), "another address is shut out too")


def twenty_tries_for_an_address(stack):
    browser = Browser(stack, source="127.0.0.7")
    seen = [browser.sign_in(f"user{n}", "wrong and long").status for n in range(30)]
    equal(seen, [403] * 20 + [429] * 10)
    with sqlite3.connect(database(stack), timeout=10) as db:
        trail = [row[0] for row in db.execute(
            "SELECT outcome FROM audit WHERE object = '127.0.0.7' ORDER BY id")]
    db.close()
    # A flood of tries cannot push everything else out of the audit trail.
    equal(trail, ["refused"] * 19 + ["too many tries"], "the audit trail")
    page = browser.sign_in()
    equal(page.status, 429, "another account from there")
    check(int(page.headers["Retry-After"]) > 0, "no Retry-After")


def a_device_sends_a_navigation_to_sign_in(stack):
    browser = Browser(stack)
    tv = stack.host("tv")
    page = browser.request("GET", tv, "/api/state?a=1", NAVIGATE)
    equal(page.status, 302)
    value, attributes = cookie_line(page, "__Host-ls")
    equal(attributes, ["httponly", "max-age=300", "path=/", "samesite=lax", "secure"])
    check(len(value) >= 22, f"{len(value)} characters of state")
    at = location(page)
    query = urllib.parse.parse_qs(at.query)
    equal((at.hostname, at.path, query["host"], query["to"]),
          (stack.domain, "/signin", [tv], ["/api/state?a=1"]))
    check(value not in page.headers["Location"], "the cookie itself is in the URL")


def anything_else_gets_401_and_json(stack):
    browser = Browser(stack)
    tv = stack.host("tv")
    own = same_origin(browser, tv)
    for method, fields in (
            ("GET", {}), ("GET", {**own, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}),
            ("POST", own), ("PUT", own), ("DELETE", own), ("OPTIONS", own),
            ("GET", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}), ("HEAD", {})):
        answer = browser.request(method, tv, "/", fields)
        equal(answer.status, 401, f"{method} {fields}")
        check(not answer.headers.get("Location"), "a redirect")
        check(not answer.headers.get("Set-Cookie"), "a cookie")
        equal(answer.headers.get_content_type(), "application/json", f"{method} type")
        if method != "HEAD":
            equal(json.loads(answer.body)["error"]["code"], 401)
    equal(WebSocket(browser, tv).status, 401, "WebSocket")


def begin(stack, browser, name="tv", path="/"):
    """Navigate to a device and follow sign-in up to, not into, the device's callback URL."""
    page = browser.request("GET", stack.host(name), path, NAVIGATE)
    equal(page.status, 302)
    at = location(page)
    page = browser.request("GET", stack.domain, f"{at.path}?{at.query}", NAVIGATE)
    return callback(page)


def callback(page):
    check(page.status in (302, 303), f"status {page.status}")
    at = location(page)
    equal(at.path, "/.lanthorn/cb")
    return at


def one_code_one_host_one_browser_once(stack):
    browser = STATE["browser"] = Browser(stack)
    browser.sign_in()
    tv, lamp = stack.host("tv"), stack.host("lamp")
    at = begin(stack, browser)
    equal(at.hostname, tv)
    path = f"{at.path}?{at.query}"
    other = Browser(stack)
    other.cookies = {tv: {}}
    equal(other.request("GET", tv, path, NAVIGATE).status, 403, "without the state cookie")
    # A code that was shown in the wrong browser may be dead; the next is begun anew.
    at = begin(stack, browser)
    path = f"{at.path}?{at.query}"
    other.request("GET", tv, "/", NAVIGATE)
    check("__Host-ls" in other.cookies[tv], "no state cookie")
    equal(other.request("GET", tv, path, NAVIGATE).status, 403, "in another browser")
    check("__Host-lanthorn" not in other.cookies[tv], "a session in another browser")
    at = begin(stack, browser)
    path = f"{at.path}?{at.query}"
    browser.request("GET", lamp, "/", NAVIGATE)
    browser.cookies[lamp]["__Host-ls"] = browser.cookies[tv]["__Host-ls"]
    equal(browser.request("GET", lamp, path, NAVIGATE).status, 403, "on another host")
    at = begin(stack, browser)
    path = f"{at.path}?{at.query}"
    kept = browser.cookies[tv]["__Host-ls"]
    page = browser.request("GET", tv, path, NAVIGATE)
    equal((page.status, page.headers["Location"]), (303, "/"), "the code")
    value, attributes = cookie_line(page, "__Host-lanthorn")
    check(len(value) >= 22, "a short session cookie")
    attributes = [a for a in attributes if not a.startswith("max-age=")]
    equal(attributes, ["httponly", "path=/", "samesite=lax", "secure"])
    equal(cookie_line(page, "__Host-ls")[0], "", "the state cookie is taken back")
    browser.cookies[tv]["__Host-ls"] = kept
    again = Browser(stack)
    again.cookies = {tv: {"__Host-ls": kept}}
    equal(again.request("GET", tv, path, NAVIGATE).status, 403, "a second time")
    browser.open(browser.origin(lamp) + "/")


def the_way_back_is_only_a_path(stack):
    browser = STATE["browser"]
    tv = stack.host("tv")
    for to, ends in (("//evil.example/", "/"), ("https://evil.example/", "/"), ("\\\\evil", "/"),
                     ("/\\evil", "/"), ("/a\r\nSet-Cookie: x=1", "/"), ("javascript:alert(1)", "/"),
                     ("/a b", "/"), ("", "/"), ("/ok?x=%2f&y=1", "/ok?x=%2f&y=1")):
        page = browser.request("GET", tv, "/", {**NAVIGATE, "Cookie": "own=1"})
        query = urllib.parse.parse_qs(location(page).query)
        query = urllib.parse.urlencode({"host": tv, "state": query["state"][0], "to": to})
        page = browser.request("GET", stack.domain, "/signin?" + query, NAVIGATE)
        if "\r" in to:  # no form of ours holds that: not even the host is believed
            equal((page.status, page.headers["Location"]), (303, "/"), "control bytes")
            continue
        at = callback(page)
        equal(urllib.parse.parse_qs(at.query)["to"], [ends], f"at sign-in, {to!r}")
        code = urllib.parse.parse_qs(at.query)["code"][0]
        query = urllib.parse.urlencode({"code": code, "to": to})
        page = browser.request("GET", tv, "/.lanthorn/cb?" + query, NAVIGATE)
        equal((page.status, page.headers["Location"]), (303, ends), f"at the callback, {to!r}")
        check(not page.headers.get("x") and b"evil" not in page.body, "it leaks into the answer")
    for host in ("evil.example", "a.evil." + stack.domain, stack.domain, "x" * 300, "tv"):
        query = urllib.parse.urlencode({"host": host, "state": "A" * 43, "to": "/"})
        page = browser.request("GET", stack.domain, "/signin?" + query, NAVIGATE)
        equal((page.status, page.headers["Location"]), (303, "/"), host)


def the_guard_stands_between_siblings(stack):
    browser = STATE["browser"]
    tv, lamp, base = stack.host("tv"), stack.host("lamp"), stack.domain
    cors = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    image = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    document = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    table = [
        (403, "GET", {"Sec-Fetch-Site": "same-site", **cors}),
        (403, "GET", {"Sec-Fetch-Site": "cross-site", **image}),
        (403, "POST", {"Sec-Fetch-Site": "same-site", **document,
                       "Origin": browser.origin(lamp)}),
        (403, "GET", {"Sec-Fetch-Site": "cross-site", **document,
                      "Sec-Fetch-Dest": "iframe"}),
        (403, "GET", {"Sec-Fetch-Site": "unheard-of"}),
        (403, "OPTIONS", {"Sec-Fetch-Site": "same-site", **cors}),
        (403, "GET", {"Origin": browser.origin(lamp)}),
        (403, "POST", {"Origin": browser.origin(lamp)}),
        (403, "POST", {"Origin": "null"}),
        (403, "POST", {"Origin": browser.origin(tv).replace("https", "http")}),
        (403, "POST", {"Origin": f"https://{tv}:1"}),
        (403, "POST", {"Origin": browser.origin(tv) + ".evil.example"}),
        (403, "POST", {}), (403, "PUT", {}), (403, "DELETE", {}), (403, "PATCH", {}),
        (200, "GET", {}),
        (200, "GET", {"Sec-Fetch-Site": "cross-site", **document}),
        (200, "POST", {"Origin": browser.origin(tv)}),
        (200, "POST", same_origin(browser, tv)),
    ]
    for status, method, fields in table:
        answer = browser.request(method, tv, "/headers", fields)
        equal(answer.status, status, f"{method} {fields}")
    for fields in ({"Sec-Fetch-Site": "same-site", **cors}, {"Origin": browser.origin(tv)}, {}):
        answer = browser.request("POST", base, "/signout", fields)
        equal(answer.status, 403, f"sign-out from {fields}")
    for origin in (browser.origin(lamp), browser.origin(base), "null", "", "https://evil.example"):
        equal(WebSocket(browser, tv, headers={"Origin": origin}).status, 403,
              f"WebSocket from {origin!r}")


def what_is_the_gateways_stays_there(stack):
    browser = STATE["browser"]
    tv = stack.host("tv")
    jar = browser.cookie_header(tv)
    forged = {**same_origin(browser, tv), "Cookie": f"a=1; {jar}; b=2; __Host-ls=x",
              "X-Forwarded-For": "192.0.2.66", "X-Forwarded-Host": "evil.example",
              "X-Forwarded-Proto": "http", "X-Forwarded-User": "root", "X_Forwarded_User": "root",
              "Forwarded": "for=192.0.2.66", "X-Real-IP": "192.0.2.66", "Remote-User": "root",
              "Lanthorn-User": "root", "Lanthorn_Token": "root", "lanthorn_user": "root",
              "Connection": "close, X-Drop", "X-Drop": "root", "Proxy-Connection": "root"}
    seen = json.loads(browser.request("GET", tv, "/headers", forged).body)
    text = json.dumps(seen)
    for word in ("__Host-", "192.0.2.66", "root", "evil.example"):
        check(word not in text, f"{word} reaches the device: {text}")
    fields = {}
    for name, value in zip(seen["raw"][::2], seen["raw"][1::2]):
        fields.setdefault(name.lower(), []).append(value)
    equal(fields["cookie"], ["a=1; b=2"])
    equal(fields["x-forwarded-for"], ["127.0.0.1"])
    equal(fields["x-forwarded-proto"], ["https"])
    equal(fields["lanthorn-user"], ["admin"])
    equal(fields["host"], [f"{tv}:{stack.port}"])
    refused = Browser(stack).request("GET", tv, "/headers", {"Lanthorn-Token": "root"})
    equal(refused.status, 401, "a made-up token")
    kept = browser.request("GET", tv, "/evil", same_origin(browser, tv))
    equal(kept.headers.get_all("Set-Cookie"), ["own=1; Path=/"], "what a device may set")


def the_gateways_own_paths_are_never_forwarded(stack):
    browser = STATE["browser"]
    tv = stack.host("tv")
    for path in ("/.lanthorn/", "/.lanthorn/headers", "/.lanthorn/cb", "/.lanthorn/x?y"):
        for method in ("GET", "POST"):
            answer = browser.request(method, tv, path, same_origin(browser, tv))
            check(answer.status in (403, 404, 405), f"{method} {path}: {answer.status}")
            check(b"This device has no such page" not in answer.body, f"{path} was forwarded")


def an_unknown_host_is_421(stack):
    session = f"Cookie: {STATE['browser'].cookie_header(stack.host('tv'))}\r\n"
    for host in ("unknown." + stack.domain, "evil.example", "127.0.0.1", "tv",
                 f"tv.{stack.domain}.", "a.tv." + stack.domain):
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\n{session}\r\n"
        status, _, body = raw(stack, stack.domain, request)
        equal(status, 421, host)
        check(b"Television" not in body, "a device answers")


def a_known_host_needs_a_certificate_that_covers_it(stack):
    tv, lamp, base = stack.host("tv"), stack.host("lamp"), stack.domain
    for host in (tv, lamp):
        wait_for(f"a certificate for {host} alone",
                 lambda host=host: shown_names(stack.port, host, stack.lab.ca) == [host], 60)
    session = f"Cookie: {STATE['browser'].cookie_header(lamp)}\r\n"
    request = f"GET /headers HTTP/1.1\r\nHost: {lamp}:{stack.port}\r\n{session}\r\n"
    equal(raw(stack, tv, request)[0], 421, "lamp on tv's connection")
    equal(raw(stack, lamp, request)[0], 200, "lamp on its own")
    equal(sorted(shown_names(stack.port, base, stack.lab.ca)), sorted([base, "*." + base]))
    equal(raw(stack, base, request)[0], 200, "lamp under the wildcard")


def a_session_is_for_one_host(stack):
    browser = STATE["browser"]
    tv, lamp, base = stack.host("tv"), stack.host("lamp"), stack.domain
    for name in (lamp, base):
        cookie = {"Cookie": "__Host-lanthorn=" + browser.cookies[name]["__Host-lanthorn"]}
        answer = browser.request("GET", tv, "/headers", {**same_origin(browser, tv), **cookie})
        equal(answer.status, 401, f"the cookie of {name}")
    cookie = {"Cookie": "__Host-lanthorn=" + browser.cookies[tv]["__Host-lanthorn"]}
    answer = browser.request("GET", base, "/", {**NAVIGATE, **cookie})
    equal(answer.status, 303, "tv's cookie at base")


def an_invited_person_sees_only_what_is_open(stack):
    done = stack.ctl("users", "add", "ada")
    link = done["link"]
    ada = STATE["ada"] = Browser(stack)
    page = ada.open(link)
    equal(page.status, 200, "the invitation")
    page = ada.submit(page, password=GOOD, password2=GOOD)
    equal(page.status, 200, "after the invitation")
    equal(ada.launcher(), [], "the launcher lists what is not open")
    equal(Browser(stack, source="127.0.0.8").open(link).status, 410, "the invitation again")
    page = ada.open(ada.origin(stack.host("tv")) + "/")
    equal(page.status, 403, "a device that is not open")
    check("not been opened" in page.text(), "no words")


def allow_opens_and_deny_ends_within_a_second(stack):
    ada = STATE["ada"]
    tv = stack.host("tv")
    equal(stack.ctl_run("users", "allow", "ada", "tv").returncode, 0, "allow")
    equal(stack.ctl_run("users", "allow", "ada", "nothing").returncode, 1, "allow an unknown one")
    page = ada.open(ada.origin(tv) + "/")
    equal((page.status, page.url), (200, ada.origin(tv) + "/"))
    equal([tile["host"] for tile in ada.launcher()], [tv], "the launcher")
    sock = WebSocket(ada, tv)
    sock.echo("open")
    equal(stack.ctl_run("users", "deny", "ada", "tv").returncode, 0, "deny")
    ends_within_a_second(sock, time.monotonic())
    equal(ada.request("GET", tv, "/headers", same_origin(ada, tv)).status, 401, "after deny")
    ada.sign_in("ada")
    equal(ada.open(ada.origin(tv) + "/").status, 403, "after deny, signed in anew")


def a_removed_person_is_gone(stack):
    ada = STATE["ada"]
    tv = stack.host("tv")
    stack.ctl("users", "allow", "ada", "tv")
    equal(ada.open(ada.origin(tv) + "/").status, 200)
    sock = WebSocket(ada, tv)
    sock.echo("open")
    left = stack.ctl("users", "invite", "ada")["link"]
    equal(stack.ctl_run("users", "remove", "ada").returncode, 0, "remove")
    ends_within_a_second(sock, time.monotonic())
    equal(ada.sign_in("ada").status, 403, "signing in")
    equal(Browser(stack, source="127.0.0.9").open(left).status, 410, "an invitation of hers")
    equal(stack.ctl_run("users", "remove", "ada").returncode, 1, "removing her again")


def a_session_outlives_the_gate_process(stack):
    browser = STATE["browser"]
    tv = stack.host("tv")
    old = stack.gate_pid()
    stack.expect_crashes.add(("gate", "signal=9"))
    os.kill(old, signal.SIGKILL)
    wait_for("a new gate", lambda: stack.gate_pid() not in (None, old))
    answer = wait_for("an answer", lambda: browser.request("GET", tv, "/headers",
                                                           same_origin(browser, tv)), 20)
    equal(answer.status, 200)


def signing_out_ends_all_of_it_within_a_second(stack):
    browser = STATE["browser"]
    sockets = [WebSocket(browser, stack.host(name)) for name in ("tv", "lamp")]
    for sock in sockets:
        sock.echo("open")
    answer = browser.request("POST", stack.domain, "/signout",
                             {**NAVIGATE, **same_origin(browser, stack.domain)})
    equal(answer.status, 303)
    begun = time.monotonic()
    equal(cookie_line(answer, "__Host-lanthorn")[0], "", "the cookie is taken back")
    for sock in sockets:
        ends_within_a_second(sock, begun)
    for name in ("tv", "lamp"):
        host = stack.host(name)
        answer = browser.request("GET", host, "/headers", same_origin(browser, host))
        equal(answer.status, 401, name)
    check(not browser.signed_in(), "still signed in")


lib.run([
    a_gateway_with_two_devices_starts,
    only_a_valid_setup_link_opens,
    weak_passwords_are_refused_with_words,
    the_first_admin_closes_every_setup_link,
    a_wrong_password_gets_a_page_and_nothing_else,
    five_tries_for_an_account_and_address,
    twenty_tries_for_an_address,
    a_device_sends_a_navigation_to_sign_in,
    anything_else_gets_401_and_json,
    one_code_one_host_one_browser_once,
    the_way_back_is_only_a_path,
    the_guard_stands_between_siblings,
    what_is_the_gateways_stays_there,
    the_gateways_own_paths_are_never_forwarded,
    an_unknown_host_is_421,
    a_known_host_needs_a_certificate_that_covers_it,
    a_session_is_for_one_host,
    an_invited_person_sees_only_what_is_open,
    allow_opens_and_deny_ends_within_a_second,
    a_removed_person_is_gone,
    a_session_outlives_the_gate_process,
    signing_out_ends_all_of_it_within_a_second,
])
