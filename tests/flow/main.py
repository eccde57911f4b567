#!/usr/bin/env python3
"""The main job, end to end: names, certificates, enrolment, sign-in, pages, WebSockets, removal."""
import json
import os
import signal
import ssl
import time

import lib
from lib import check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket, shown_names, tls_connect

STATE = {}


def before_the_first_certificate_tls_says_unrecognized_name(stack):
    stack.start_gateway()
    # The first certificate takes a moment; whatever is seen until then must be that alert.
    seen = set()
    deadline = time.monotonic() + 60 * lib.SLOW
    while time.monotonic() < deadline:
        try:
            tls_connect(stack.port, stack.domain, stack.lab.ca).close()
            break
        except ssl.SSLError as error:
            seen.add(error.reason)
        time.sleep(0.02)
    else:
        raise lib.Failure(f"no certificate for {stack.domain}; seen {seen}")
    check(seen <= {"TLSV1_UNRECOGNIZED_NAME"}, f"alerts: {seen}")
    check(seen, "the first certificate was there before anybody could ask")


def the_bridge_covers_base_and_wildcard(stack):
    equal(shown_names(stack.port, stack.domain, stack.lab.ca),
          sorted([stack.domain, "*." + stack.domain]))


def an_unknown_name_gets_no_certificate(stack):
    for name in ("unknown." + stack.domain, "example.com"):
        try:
            tls_connect(stack.port, name, stack.lab.ca).close()
            raise lib.Failure(f"a certificate for {name}")
        except ssl.SSLError as error:
            equal(error.reason, "TLSV1_UNRECOGNIZED_NAME", name)


def a_device_enrols_and_links(stack):
    stack.add_device("tv", "Television")
    wait_for("a link of tv", lambda: any(d["name"] == "tv" and d["links"] > 0
                                         for d in devices(stack)))


def devices(stack):
    found = stack.ctl("devices")
    return found["devices"] if isinstance(found, dict) else found


def its_name_is_in_dns(stack):
    wait_for("tv in DNS", lambda: stack.lab.dig(stack.host("tv")) == ["127.0.0.1"])


def its_own_certificate_replaces_the_bridge(stack):
    host = stack.host("tv")
    wait_for("a certificate for tv alone",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 60)


def no_challenge_record_is_left(stack):
    for name in (stack.domain, stack.host("tv")):
        wait_for(f"no TXT at {name}",
                 lambda name=name: stack.lab.dig("_acme-challenge." + name, "TXT") == [])


def a_stranger_is_sent_to_sign_in(stack):
    browser = Browser(stack)
    page = browser.request("GET", stack.host("tv"), "/", NAVIGATE)
    equal(page.status, 302)
    check(page.headers["Location"].startswith(browser.origin(stack.domain) + "/signin"),
          page.headers["Location"])
    page = browser.open(browser.origin(stack.host("tv")) + "/")
    check('name="password"' in page.text(), "no sign-in form")


def a_script_without_a_session_gets_401(stack):
    browser = Browser(stack)
    for method, path in (("GET", "/api/state"), ("POST", "/api/state"), ("GET", "/")):
        answer = browser.request(method, stack.host("tv"), path,
                                 {"Origin": browser.origin(stack.host("tv"))})
        equal(answer.status, 401, f"{method} {path}")
        check("json" in answer.headers["Content-Type"], "no JSON")
    equal(WebSocket(browser, stack.host("tv")).status, 401, "WebSocket")


def the_setup_link_makes_the_first_account_once(stack):
    link = stack.setup_link()
    Browser(stack).set_up(link)
    again = Browser(stack).open(link)
    check('name="password2"' not in again.text(), "the link works a second time")


def a_wrong_password_opens_nothing(stack):
    browser = Browser(stack)
    browser.sign_in(password="not the password")
    check(not browser.signed_in(), "signed in")


def one_sign_in_opens_launcher_and_device(stack):
    browser = STATE["browser"] = Browser(stack)
    browser.sign_in()
    check('src="/app.js"' in browser.open(browser.origin(stack.domain) + "/").text(), "no page")
    equal([tile["host"] for tile in browser.launcher()], [stack.host("tv")], "the launcher")
    page = browser.open(browser.origin(stack.host("tv")) + "/")
    equal(page.status, 200)
    equal(page.url, browser.origin(stack.host("tv")) + "/", "where the code flow ends")
    check("Television" in page.text(), "not the device's page")


def same(stack, name="tv"):
    browser = STATE["browser"]
    return {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin(stack.host(name))}


def gateway_cookies_and_forged_fields_stay_outside(stack):
    browser = STATE["browser"]
    forged = {**same(stack), "X-Forwarded-For": "192.0.2.66", "X-Forwarded-User": "root",
              "Forwarded": "for=192.0.2.66", "Remote-User": "root", "Lanthorn-User": "root",
              "Cookie": browser.cookie_header(stack.host("tv")) + "; own=1"}
    seen = json.loads(browser.request("GET", stack.host("tv"), "/headers", forged).body)
    check("__Host-" not in json.dumps(seen), seen)
    equal(seen["headers"].get("cookie"), "own=1", "the device's own cookie")
    for word in ("192.0.2.66", "root"):
        check(word not in json.dumps(seen["headers"]), f"{word} arrives: {seen}")


def bodies_pass_whole_both_ways(stack):
    browser = STATE["browser"]
    body = os.urandom(3_000_000)
    answer = browser.request("POST", stack.host("tv"), "/upload", same(stack), body)
    equal(json.loads(answer.body)["bytes"], len(body), "length")
    answer = browser.request("POST", stack.host("tv"), "/upload", same(stack),
                             iter([body[:1000], body[1000:]]))
    equal(json.loads(answer.body)["bytes"], len(body), "chunked")
    answer = browser.request("GET", stack.host("tv"), "/big?bytes=5000000", same(stack))
    equal(len(answer.body), 5_000_000, "download")


def a_websocket_echoes(stack):
    socket = WebSocket(STATE["browser"], stack.host("tv"))
    equal(socket.status, 101)
    socket.echo("hello")
    socket.echo("x" * 60000)
    STATE["socket"] = socket


def a_killed_steward_drops_nothing_and_returns(stack):
    browser = STATE["browser"]
    line = browser.connection(stack.host("tv"))
    equal(browser.request("GET", stack.host("tv"), "/api/state", same(stack),
                          connection=line).status, 200)
    held = line.sock
    old = stack.steward_pid()
    stack.expect_crashes.add(("steward", "signal=9"))
    os.kill(old, signal.SIGKILL)
    STATE["socket"].echo("still here")
    equal(browser.request("GET", stack.host("tv"), "/api/state", same(stack),
                          connection=line).status, 200)
    check(line.sock is held, "the connection was replaced")
    wait_for("a new steward", lambda: (stack.steward_pid() or old) != old)
    # It has to issue again, not only to exist.
    stack.add_device("lamp", "Lamp")
    host = stack.host("lamp")
    wait_for("a certificate for lamp alone",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 60)
    STATE["socket"].echo("and still")
    line.close()


def two_devices_answer_as_themselves(stack):
    browser = STATE["browser"]
    for name, title in (("tv", "Television"), ("lamp", "Lamp")):
        page = browser.open(browser.origin(stack.host(name)) + "/")
        check(f"<h1>{title}</h1>" in page.text(), f"{name} shows another page")


def a_sibling_is_refused(stack):
    browser = STATE["browser"]
    foreign = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
               "Origin": browser.origin(stack.host("lamp"))}
    for method in ("GET", "POST", "OPTIONS"):
        equal(browser.request(method, stack.host("tv"), "/api/state", foreign).status, 403, method)
        equal(browser.request(method, stack.domain, "/", foreign).status, 403, method)
    socket = WebSocket(browser, stack.host("tv"),
                       headers={"Origin": browser.origin(stack.host("lamp"))})
    equal(socket.status, 403, "WebSocket")


def removal_ends_links_within_a_second(stack):
    socket = STATE["socket"]
    socket.echo("before")
    done = stack.ctl_run("devices", "remove", "tv")
    begun = time.monotonic()
    equal(done.returncode, 0, f"lanthornctl {done.stderr}")
    socket.sock.settimeout(10)
    try:
        socket.receive()
        raise lib.Failure("the WebSocket goes on")
    except (ConnectionError, OSError, ssl.SSLError) as error:
        took = time.monotonic() - begun
        check(not isinstance(error, TimeoutError) and took <= 1.0 * lib.SLOW, f"{took:.2f} s")
    check(all(d["name"] != "tv" for d in devices(stack)), "tv is still listed")


def a_removed_device_never_links_again(stack):
    # The agent goes on trying with its old certificate; its name is free but not its to take.
    stack.agents["tv"].stop()
    stack.start_agent("tv")
    time.sleep(1)
    check(all(d["name"] != "tv" for d in devices(stack)), "tv is back")
    browser = STATE["browser"]
    try:
        answer = browser.request("GET", stack.host("tv"), "/", NAVIGATE)
        check(answer.status == 421, f"status {answer.status}")
    except ssl.SSLError as error:
        equal(error.reason, "TLSV1_UNRECOGNIZED_NAME")
    stack.agents["tv"].expect_code += (1, 2, 75, 77, 78)


def sign_out_ends_every_host(stack):
    browser = STATE["browser"]
    socket = WebSocket(browser, stack.host("lamp"))
    socket.echo("open")
    browser.request("POST", stack.domain, "/signout",
                    {**NAVIGATE, "Sec-Fetch-Site": "same-origin",
                     "Origin": browser.origin(stack.domain)})
    socket.sock.settimeout(10)
    try:
        socket.receive()
        raise lib.Failure("the WebSocket goes on")
    except TimeoutError:
        raise lib.Failure("the WebSocket stays open") from None
    except (ConnectionError, OSError):
        pass
    answer = browser.request("GET", stack.host("lamp"), "/api/state", same(stack, "lamp"))
    equal(answer.status, 401)


def names_of_removed_devices_leave_dns(stack):
    wait_for("tv out of DNS", lambda: stack.lab.dig(stack.host("tv")) == [])


lib.run([
    before_the_first_certificate_tls_says_unrecognized_name,
    the_bridge_covers_base_and_wildcard,
    an_unknown_name_gets_no_certificate,
    a_device_enrols_and_links,
    its_name_is_in_dns,
    its_own_certificate_replaces_the_bridge,
    no_challenge_record_is_left,
    a_stranger_is_sent_to_sign_in,
    a_script_without_a_session_gets_401,
    the_setup_link_makes_the_first_account_once,
    a_wrong_password_opens_nothing,
    one_sign_in_opens_launcher_and_device,
    gateway_cookies_and_forged_fields_stay_outside,
    bodies_pass_whole_both_ways,
    a_websocket_echoes,
    a_killed_steward_drops_nothing_and_returns,
    two_devices_answer_as_themselves,
    a_sibling_is_refused,
    removal_ends_links_within_a_second,
    a_removed_device_never_links_again,
    names_of_removed_devices_leave_dns,
    sign_out_ends_every_host,
])
