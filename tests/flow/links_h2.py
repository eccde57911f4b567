#!/usr/bin/python3
"""Device links over reversed HTTP/2, with python3-h2 as the device: many requests on one link, each at
its own pace, and what becomes of them when the device refuses, breaks off, moves or floods.
"""
import hashlib
import http.client
import json
import pathlib
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import h2.settings
import lib
from h2device import ONLY_H1, Link, dial
from h2raw import CANCEL, H2, RST, frame
from lib import check, equal, wait_for
from linkpeer import identity
from web import Browser, WebSocket

MIB = 1 << 20
STATE = {}
ENHANCE_YOUR_CALM = 11
PING = 6


SAME = {"Sec-Fetch-Site": "same-origin"}


def browser_of(stack):
    """One more tab of the person who is signed in."""
    browser = Browser(stack)
    browser.cookies = STATE["browser"].cookies
    return browser


def get(stack, name, path, method="GET", body=None):
    return browser_of(stack).request(method, stack.host(name), path, SAME, body)


def in_threads(n, fn):
    """What fn returned in each of n threads that ran at once."""
    found = [None] * n
    def one(i):
        found[i] = fn(i)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    return threads, found


def link(stack, name, settings=None):
    """A new link that is in use."""
    made = Link(stack, name, STATE[name], settings)
    if not STATE["browser"].cookies.get(stack.host(name)):
        STATE["browser"].open(STATE["browser"].origin(stack.host(name)) + "/hello")
    wait_for("an answer over the new link", lambda: get(stack, name, "/hello").status == 200 and
             made.seen)
    made.seen.clear()
    return made


def two_devices_link(stack):
    stack.config = "certificates: wildcard\n"
    stack.start_gateway()
    for name in ("tv", "lamp"):
        stack.start_device(name)
        done = stack.enrol(name)
        equal(done.returncode, 0, f"enrol {name}: {done.stderr}")
        STATE[name] = identity(stack, name)[0]
    stack.wait_for_certificate()
    STATE["browser"] = Browser(stack)
    STATE["browser"].set_up(stack.setup_link())
    STATE["link"] = link(stack, "tv")
    STATE["lamp-link"] = link(stack, "lamp")
    answer = get(stack, "tv", "/hello?x=1")
    head = json.loads(answer.body)["head"]
    equal(head[":scheme"], "https", "scheme")
    equal(head[":authority"], f"{stack.host('tv')}:{stack.port}", "authority")
    equal(head[":path"], "/hello?x=1", "path")
    for name in ("connection", "host", "transfer-encoding", "upgrade", "keep-alive"):
        check(name not in head, f"{name} reached the device")


def requests_run_beside_each_other(stack):
    device = STATE["link"]
    device.seen.clear()
    threads, found = in_threads(20, lambda i: get(stack, "tv", f"/hold/{i}"))
    wait_for("all of them at the device", lambda: len(device.held) == 20)
    equal(get(stack, "tv", "/hello").status, 200, "one more beside them")
    device.release()
    for thread in threads:
        thread.join(20)
    equal([a.body for a in found], [b"at last"] * 20, "answers")


def no_more_at_once_than_the_device_takes(stack):
    few = link(stack, "lamp", {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    threads, found = in_threads(8, lambda i: get(stack, "lamp", f"/hold/{i}"))
    most, deadline = 0, time.monotonic() + 20
    while any(t.is_alive() for t in threads) and time.monotonic() < deadline:
        time.sleep(0.05)
        most = max(most, len(few.held))
        few.release()
    equal([a.body for a in found], [b"at last"] * 8, "answers")
    check(0 < most <= 3, f"{most} at once")
    STATE["lamp-link"] = link(stack, "lamp")


def who_does_not_read_holds_up_nobody(stack):
    browser = browser_of(stack)
    slow = browser.connection(stack.host("tv"))
    slow.request("GET", f"/big/{8 * MIB}",
                 headers={**SAME, "Host": browser.authority(stack.host("tv")),
                          "Cookie": browser.cookie_header(stack.host("tv"))})
    time.sleep(0.3)
    for _ in range(3):
        begun = time.monotonic()
        equal(get(stack, "tv", "/hello").status, 200, "a small one beside it")
        check(time.monotonic() - begun < 5, "it had to wait")
        equal(len(get(stack, "tv", f"/big/{4 * MIB}").body), 4 * MIB, "a large one beside it")
    equal(len(slow.getresponse().read()), 8 * MIB, "the slow one, at last")
    slow.close()


def bodies_pass_whole(stack):
    body = bytes(range(256)) * 8192
    answer = get(stack, "tv", "/hello", "POST", body)
    equal(json.loads(answer.body)["sha256"], hashlib.sha256(body).hexdigest(), "what the device got")
    equal(get(stack, "tv", "/trailers").body, b"body", "a body with trailers")
    equal(get(stack, "tv", "/early", "POST", bytes(8 * MIB)).status, 413, "an early answer")
    equal(get(stack, "tv", "/hello").status, 200, "after it")


def websockets_pass(stack):
    browser = browser_of(stack)
    sockets = [WebSocket(browser, stack.host("tv"), "/ws") for _ in range(5)]
    for n, ws in enumerate(sockets):
        equal(ws.status, 101, "status")
        text = b"\x81\x05hello%d" % n # echoed as it is
        ws.sock.sendall(text)
        equal(ws.take(len(text)), text, "the echo")
        ws.close()
    refused = WebSocket(browser, stack.host("tv"), "/ws-refused")
    equal(refused.status, 403, "refused")
    wait_for("the body of the refusal", lambda: refused.data == b"not me" or refused.fill())
    refused.close()


def half_an_answer_is_none(stack):
    for path in ("/break", "/short"):
        try:
            answer = get(stack, "tv", path)
            check(answer.status == 502, f"{path}: {answer.status} {answer.body!r}")
        except (OSError, http.client.HTTPException):
            pass # cut
    equal(get(stack, "tv", "/hello").status, 200, "after it")


def what_browsers_give_up_ends_at_the_device_at_once(stack):
    """Resets free no room for more at once than 100: 5 waves, just below the limit on resets."""
    device, most = STATE["link"], 0
    cookie = STATE["browser"].cookie_header(stack.host("tv"))
    with H2(stack, stack.host("tv")) as conn:
        head = conn.head("/hold/x", more=[("cookie", cookie), ("sec-fetch-site", "same-origin")])
        device.given_up = 0
        for wave in range(1, 6):
            numbers = [conn.request(head) for _ in range(50)]
            wait_for("all of them at the device",
                     lambda: len(device.held) + device.given_up == wave * 50)
            most = max(most, len(device.held))
            conn.send(b"".join(frame(RST, 0, n, struct.pack(">I", CANCEL)) for n in numbers))
            if wave % 2:
                wait_for("their end there", lambda: not device.held, 2)
        wait_for("their end there", lambda: not device.held, 2)
        equal(device.given_up, 250, "resets at the device")
        check(most <= 100, f"{most} at once")
    equal(get(stack, "tv", "/hello").status, 200, "after it")


def what_was_refused_is_asked_again(stack):
    device = STATE["link"]
    device.seen.clear()
    equal(get(stack, "tv", "/refuse-once/a", "POST", b"").body, b"second", "a refused POST")
    equal(len(device.seen), 2, "times asked")
    equal(get(stack, "tv", "/refuse/a").status, 502, "refused again and again")
    equal(len(device.seen), 4, "times asked")


def what_a_dying_link_may_have_done_is_not_repeated(stack):
    device = STATE["link"]
    equal(get(stack, "tv", "/die/post", "POST", b"x").status, 502, "a POST")
    equal(device.seen[-1], ("POST", "/die/post"), "the last request")
    STATE["link"] = link(stack, "tv")
    check(("POST", "/die/post") not in STATE["link"].seen, "it was repeated")
    threads, found = in_threads(1, lambda _: get(stack, "tv", "/die/get"))
    STATE["link"].closed.wait(20)
    STATE["link"] = Link(stack, "tv", STATE["tv"])
    threads[0].join(20)
    equal(found[0].body, b"alive", "a GET")


def the_newest_link_wins_and_the_older_drains(stack):
    old = STATE["link"]
    old.seen.clear()
    threads, found = in_threads(1, lambda _: get(stack, "tv", "/hold/x"))
    wait_for("the request at the older link", lambda: old.held)
    new = STATE["link"] = link(stack, "tv")
    for _ in range(20):
        equal(get(stack, "tv", "/hello").status, 200, "beside it")
    equal(len(new.seen), 20, "over the newest link")
    equal(old.seen, [("GET", "/hold/x")], "over the older link")
    check(not old.closed.is_set(), "the older link is cut")
    old.release()
    threads[0].join(20)
    equal(found[0].body, b"at last", "what was under way")
    wait_for("the older link to close", old.closed.is_set)
    equal(old.goaway, 0, "GOAWAY")


def of_two_links_at_once_one_stays(stack):
    """They come to different loops, each of which hears of the other as the newest."""
    STATE["link"].close()
    for _ in range(20):  # a device may not open many more that no request uses
        threads, found = in_threads(2, lambda _: Link(stack, "tv", STATE["tv"]))
        for thread in threads:
            thread.join(20)
        wait_for("one of them to end", lambda: any(l.closed.is_set() for l in found))
        time.sleep(0.05)  # for the other, which must not
        equal(sum(l.closed.is_set() for l in found), 1, "links that ended")
        for one in found:
            one.close()
    STATE["link"] = link(stack, "tv")


def an_agent_of_reversed_http_1_links_too(stack):
    def protocol(name):
        return next(d for d in stack.ctl("devices")["devices"] if d["name"] == name)["protocol"]

    equal([protocol(name) for name in ("tv", "lamp")], ["h2", "h2"])
    tls = dial(stack, "lamp", STATE["lamp"], ONLY_H1)
    STATE["lamp-link"].close()
    wait_for("the link's kind", lambda: protocol("lamp") == "http/1.1")
    threads, found = in_threads(1, lambda _: get(stack, "lamp", "/hello"))
    tls.settimeout(20)
    asked = tls.recv(65536)
    check(asked.startswith(b"GET /hello HTTP/1.1\r\n"), asked)
    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh1")
    threads[0].join(20)
    equal(found[0].body, b"h1", "answer")
    tls.close()


def the_flooder_is_told_to_calm_down(stack):
    device = Link(stack, "lamp", STATE["lamp"])
    for _ in range(40):
        if not device.send_raw(frame(PING, payload=bytes(8)) * 100):
            break
        time.sleep(0.01)
    wait_for("its link to end", device.closed.is_set)
    equal(device.goaway, ENHANCE_YOUR_CALM, "GOAWAY")


if __name__ == "__main__":
    lib.run([two_devices_link,
             requests_run_beside_each_other,
             no_more_at_once_than_the_device_takes,
             who_does_not_read_holds_up_nobody,
             bodies_pass_whole,
             websockets_pass,
             half_an_answer_is_none,
             what_browsers_give_up_ends_at_the_device_at_once,
             what_was_refused_is_asked_again,
             what_a_dying_link_may_have_done_is_not_repeated,
             the_newest_link_wins_and_the_older_drains,
             of_two_links_at_once_one_stays,
             an_agent_of_reversed_http_1_links_too,
             the_flooder_is_told_to_calm_down])
