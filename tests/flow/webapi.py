#!/usr/bin/env python3
"""The API as the gateway's own page uses it: every route by right and wrong persons, each answer held
against the OpenAPI document, the stream of events, sessions, passwords, and the files of the pages.
"""
import gzip
import http.client
import json
import socket
import subprocess
import threading
import time

import lib
from lib import WORKERS, Failure, Skip, check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket, tls_connect

STATE = {}
GOOD = "a calm long password"
OTHER = "another calm password"


# ---- the document ----

def resolve(schema):
    name = schema.get("$ref", "").rpartition("/")[2]
    return STATE["doc"]["components"]["schemas"][name] if name else schema


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "null": type(None)}


def fits(value, schema, where):
    schema = resolve(schema)
    if "anyOf" in schema:
        if value is None:
            return
        schema = resolve(schema["anyOf"][0])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    check(any(type(value) is TYPES[t] for t in types), f"{where}: {value!r} is no {types}")
    if value is None:
        return
    check(value in schema.get("enum", [value]), f"{where}: {value!r} is no word of it")
    if isinstance(value, list):
        for item in value:
            fits(item, schema["items"], where + "[]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        check(set(schema.get("required", [])) <= set(value), f"{where} lacks a member: {value}")
        if schema.get("additionalProperties") is False:
            check(set(value) <= set(known), f"{where}: {set(value) - set(known)} unknown")
        for key in set(value) & set(known):
            fits(value[key], known[key], f"{where}.{key}")


def pattern_of(path):
    parts = path.split("?")[0].split("/")
    for pattern in STATE["doc"]["paths"]:
        wanted = pattern[1:].split("/")
        if len(wanted) == len(parts) and all(w == p or w[0] == "{" for w, p in zip(wanted, parts)):
            return pattern
    raise Failure(f"no path of the document is {path}")


def ask(browser, method, path, body=None, status=200):
    """Ask as the page does, and hold the answer against the document."""
    answer = browser.api(method, path, body, status)
    responses = STATE["doc"]["paths"][pattern_of(path)][method.lower()]["responses"]
    response = responses["2XX" if status < 300 else "default"]
    fits(answer, response["content"]["application/json"]["schema"], f"{method} {path}")
    STATE["asked"].add((method, pattern_of(path)))
    return answer


def of(items, name):
    return next(item for item in items if item["name"] == name)


# ---- the stream ----

class Events:
    """What a page hears."""

    def __init__(self, browser, last_id=None):
        self.sock = tls_connect(browser.port, browser.domain, browser.ca, timeout=30)
        more = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.sock.sendall((
            f"GET /api/v1/events HTTP/1.1\r\nHost: {browser.domain}:{browser.port}\r\n"
            f"Cookie: {browser.cookie_header(browser.domain)}\r\nSec-Fetch-Site: same-origin\r\n"
            f"Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n{more}\r\n").encode())
        self.answer = http.client.HTTPResponse(self.sock)
        self.answer.begin()
        self.ended_at = None
        self.heard, self.texts = set(), []
        if self.answer.status == 200:
            threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for line in self.answer:
                self.texts.append(line.decode())
                if line.startswith(b"data: "):
                    self.heard.update(json.loads(line[6:])["what"])
        except (OSError, http.client.HTTPException):
            pass
        self.ended_at = time.monotonic()
        self.close()

    def hears(self, *words):
        wait_for(f"events {words}", lambda: set(words) <= self.heard)
        self.heard.clear()

    def close(self):
        """Now, although the thread still reads."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def ends_within_a_second(events, begun):
    wait_for("the end of the stream", lambda: events.ended_at, 10)
    took = events.ended_at - begun
    check(took <= lib.SLOW, f"only after {took:.2f} s")
    events.close()


# ---- promises ----

def a_gateway_with_two_people_starts(stack):
    printed = subprocess.run([lib.BUILD / "lanthornd", "--print-openapi"], capture_output=True,
                             check=True, timeout=30)
    STATE.update(doc=json.loads(printed.stdout), printed=printed.stdout, asked=set())
    stack.start_device("plain")
    stack.config = (f"devices:\n  - name: plain\n"
                    f"    upstream: http://127.0.0.1:{stack.devices['plain']}\n")
    stack.start_gateway()
    stack.wait_for_certificate()
    admin = STATE["admin"] = Browser(stack)
    admin.set_up(stack.setup_link())
    done = ask(admin, "POST", "users", {"name": "ada", "display": "Ada"}, 201)
    ada = STATE["ada"] = Browser(stack)
    page = ada.open(done["link"])
    equal(ada.submit(page, password=GOOD, password2=GOOD).status, 200, "ada's invitation")
    equal(ask(admin, "GET", "openapi.json"), STATE["doc"], "the document served")


def the_types_of_the_pages_are_current(stack):
    if not (lib.TOP / "src/ui/node_modules/openapi-typescript").exists():
        raise Skip("what makes the types is not installed: npm ci in src/ui")
    done = subprocess.run(["node", lib.TOP / "src/ui/types.mjs", "--check"], timeout=60,
                          input=STATE["printed"], capture_output=True, check=False)
    equal(done.returncode, 0, done.stderr.decode())


def strangers_and_people_get_no_more_than_theirs(stack):
    stranger, ada = Browser(stack), STATE["ada"]
    body = {"post": {}, "put": {}, "patch": {}}
    for path, methods in STATE["doc"]["paths"].items():
        for method, operation in methods.items():
            at = path[1:].replace("{name}", "admin").replace("{device}", "plain")
            at = at.replace("{id}", "1")
            who = operation["x-who"]
            answer = ask(stranger, method.upper(), at, body.get(method),
                         403 if who == "local" else 401)
            check(answer["error"]["message"], "no words")
            if who != "user":
                ask(ada, method.upper(), at, body.get(method), 403)
    for path in ("me", "launcher", "me/sessions"):
        ask(ada, "GET", path)
    equal(ask(ada, "GET", "launcher")["tiles"], [], "what is open to ada")
    equal(ask(ada, "GET", "me")["admin"], False)
    for path in ("nothing", "users/", "devices/plain/pair/x"):
        equal(STATE["admin"].api("GET", path, None, 404)["error"]["code"], "unknown", path)


def other_sites_change_nothing(stack):
    admin = STATE["admin"]
    own = admin.origin(stack.domain)
    sibling = admin.origin(stack.host("plain"))
    for fields in ({"Origin": sibling, "Sec-Fetch-Site": "same-site"},
                   {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
                   {"Origin": "https://evil.example"}, {"Origin": "null"}, {},
                   {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}):
        for method, path in (("POST", "users"), ("POST", "me/sign-out"), ("DELETE", "users/ada"),
                             ("PATCH", "users/ada"), ("PUT", "users/ada/devices/plain"),
                             ("POST", "reload")):
            answer = admin.request(method, stack.domain, "/api/v1/" + path,
                                   {**fields, "Content-Type": "application/json"},
                                   '{"name":"eve"}')
            equal(answer.status, 403, f"{method} {path} {fields}")
    for path in ("status", "events"):
        answer = admin.request("GET", stack.domain, "/api/v1/" + path,
                               {"Origin": sibling, "Sec-Fetch-Site": "same-site"})
        equal(answer.status, 403, f"a sibling reads {path}")
        check(not answer.headers.get("Access-Control-Allow-Origin"), "CORS is open")
    answer = admin.request("POST", stack.domain, "/api/v1/users",
                           {"Origin": own, "Sec-Fetch-Site": "same-origin",
                            "Content-Type": "text/plain"}, '{"name":"eve"}')
    equal(answer.status, 415, "a body that a form could send")
    equal([u["name"] for u in ask(admin, "GET", "users")["users"]], ["ada", "admin"])


def a_device_is_seen_to_pair_enrol_and_link(stack):
    admin, ada = STATE["admin"], STATE["ada"]
    events = STATE["events"] = Events(admin)
    equal(events.answer.status, 200)
    equal(events.answer.headers["Content-Type"], "text/event-stream")
    hers = STATE["her events"] = Events(ada)
    pairing = ask(admin, "POST", "devices", {"name": "tv", "title": "Living room"}, 201)
    check(pairing["token"] in pairing["command"], pairing["command"])
    events.hears("devices", "launcher", "certificates")
    device = of(ask(admin, "GET", "devices")["devices"], "tv")
    equal((device["state"], device["online"]), ("waiting", False))
    equal(device["pairing_expires"], pairing["expires"])
    again = ask(admin, "POST", "devices/tv/pair")
    check(again["token"] != pairing["token"], "the same token")
    check(not hers.heard, f"ada hears of what is not hers: {hers.heard}")
    ask(admin, "PUT", "users/ada/devices/tv")
    hers.hears("launcher", "me")
    events.hears("people")
    equal([t["state"] for t in ask(ada, "GET", "launcher")["tiles"]], ["waiting"])
    stack.start_device("tv", "Television")
    done = stack.enrol("tv", again["token"])
    equal(done.returncode, 0, done.stderr)
    events.hears("devices")
    hers.hears("launcher")
    device = of(ask(admin, "GET", "devices")["devices"], "tv")
    equal((device["state"], device["pairing_expires"]), ("enrolled", None))
    stack.start_agent("tv")
    hers.hears("launcher")
    wait_for("tv online", lambda: ask(ada, "GET", "launcher")["tiles"][0]["state"] == "online")
    device = of(ask(admin, "GET", "devices")["devices"], "tv")
    check(device["links"] > 0 and device["since"] and device["peer"], device)
    stack.agents["tv"].stop()
    hers.hears("launcher")
    wait_for("tv offline", lambda: ask(ada, "GET", "launcher")["tiles"][0]["state"] == "offline")
    tile = ask(ada, "PATCH", "devices/tv", {"title": "x"}, 403) and \
        ask(admin, "PATCH", "devices/tv", {"title": "Küche"})
    equal(tile["title"], "Küche")
    hers.hears("launcher")


def certificates_and_status_say_how_it_stands(stack):
    admin, events = STATE["admin"], STATE["events"]
    stack.wait_for_certificate("tv")
    certs = wait_for("tv's certificate", lambda: [
        c for c in ask(admin, "GET", "certs")["certificates"] if c["id"] == "tv" and c["valid"]])
    events.heard.clear()
    equal(ask(admin, "POST", "certs/tv/renew", status=202)["id"], "tv")
    events.hears("certificates")
    equal(ask(admin, "POST", "certs/tv/renew", status=429)["error"]["code"], "too_soon")
    # It is there since a moment only: a new one, or why not yet and what to do.
    wait_for("what came of it", lambda: any(
        c["id"] == "tv" and (c["failure"] or {}).get("class") == "limit" and c["failure"]["remedy"]
        or c["id"] == "tv" and c["serial"] != certs[0]["serial"]
        for c in ask(admin, "GET", "certs")["certificates"]), 60)
    status = ask(admin, "GET", "status")
    served = [c["not_after"] for c in status["certificates"] if c["valid"]]
    equal(status["trusted_until"], min(served), "trusted until")
    equal([n["name"] for n in status["names"] if n["published"]][0], stack.domain)
    check(ask(admin, "GET", "logs?lines=5")["lines"], "no log")
    equal(ask(admin, "POST", "reload")["restart_needed_for"], [])
    events.hears("status")
    equal(ask(admin, "GET", "dns/test", status=404)["error"]["code"], "unknown")
    ask(admin, "POST", "dns/test", status=202)
    wait_for("the DNS test", lambda: ask(admin, "GET", "dns/test")["state"] == "passed", 60)


def sessions_are_shown_and_ended(stack):
    admin, ada, hers = STATE["admin"], STATE["ada"], STATE["her events"]
    second = Browser(stack, source="127.0.0.2")
    second.sign_in("ada", GOOD)
    hers.hears("me")
    equal(second.open(second.origin(stack.host("tv")) + "/").status, 503, "tv is away")
    shown = ask(ada, "GET", "me/sessions")["sessions"]
    equal(sorted(s["current"] for s in shown), [False, True])
    other = next(s for s in shown if not s["current"])
    equal((other["address"], other["devices"], other["script"]), ("127.0.0.2", ["tv"], False))
    equal(ask(admin, "GET", "users/ada/sessions")["sessions"][0]["current"], False)
    ask(admin, "DELETE", f"me/sessions/{other['id']}", status=404)
    events = Events(second)
    begun = time.monotonic()
    ask(ada, "DELETE", f"me/sessions/{other['id']}")
    ends_within_a_second(events, begun)
    ask(second, "GET", "me", status=401)
    equal(Events(second).answer.status, 401, "a stream without a session")
    second.sign_in("ada", GOOD)
    ask(ada, "POST", "me/sign-out")
    ask(second, "GET", "me", status=401)
    ask(ada, "GET", "me")


def a_password_is_changed_by_who_knows_it(stack):
    ada, second = STATE["ada"], Browser(stack)
    second.sign_in("ada", GOOD)
    equal(ask(ada, "POST", "me/password", {"old": "wrong", "new": OTHER}, 403)["error"]["code"],
          "wrong_password")
    ask(ada, "POST", "me/password", {"old": GOOD, "new": "ada"}, 422)
    ask(ada, "GET", "me")
    events = Events(second)
    begun = time.monotonic()
    ask(ada, "POST", "me/password", {"old": GOOD, "new": OTHER})
    wait_for("the end of the other session", lambda: events.ended_at, 10)
    check(events.ended_at - begun < 10, "it goes on")
    ask(ada, "GET", "me")
    ask(second, "GET", "me", status=401)
    equal(second.sign_in("ada", GOOD).status, 403, "the old password")
    equal(second.sign_in("ada", OTHER).status, 200, "the new password")


def rights_change_and_the_last_admin_stays(stack):
    admin, ada, hers = STATE["admin"], STATE["ada"], STATE["her events"]
    for method, path, body in (("PATCH", "users/admin", {"admin": False}),
                               ("PATCH", "users/admin", {"disabled": True}),
                               ("DELETE", "users/admin", None)):
        equal(ask(admin, method, path, body, 409)["error"]["code"], "last_admin")
    hers.heard.clear()
    equal(ask(admin, "PATCH", "users/ada", {"admin": True})["admin"], True)
    hers.hears("me")
    ask(ada, "GET", "users")
    ask(ada, "DELETE", "users/ada/devices/tv")
    hers.hears("people")
    begun = time.monotonic()
    ask(admin, "PATCH", "users/ada", {"admin": False})
    ends_within_a_second(hers, begun)
    ask(ada, "GET", "me", status=401)
    check(ask(admin, "POST", "users/ada/invite", status=201)["link"], "no link")
    check(of(ask(admin, "GET", "users")["users"], "ada")["invite_expires"], "no invitation")
    ada.sign_in("ada", OTHER)
    events = Events(ada)
    begun = time.monotonic()
    ask(admin, "PATCH", "users/ada", {"disabled": True})
    ends_within_a_second(events, begun)
    equal(ada.sign_in("ada", OTHER).status, 403, "disabled")
    ask(admin, "PATCH", "users/ada", {"disabled": False})
    ada.sign_in("ada", OTHER)
    ask(admin, "POST", "users/ada/sign-out")
    ask(ada, "GET", "me", status=401)
    ask(admin, "DELETE", "users/ada")
    ask(admin, "DELETE", "devices/tv")


def streams_are_counted_and_come_back(stack):
    admin = STATE["admin"]
    STATE["events"].close()
    streams = []
    for _ in range(4 * int(WORKERS) + 1):  # four a session on each loop
        stream = wait_for("a stream", lambda: (s := Events(admin)).answer.status in (200, 429) and s)
        if stream.answer.status == 429:
            break
        streams.append(stream)
    check(len(streams) >= 4, f"{len(streams)} streams at once")
    equal(stream.answer.status, 429)
    check(int(stream.answer.headers["Retry-After"]) >= 10, "no Retry-After")
    for stream in streams:
        stream.close()
    back = wait_for("a stream", lambda: (s := Events(admin, "7")).answer.status == 200 and s)
    back.hears("launcher", "me", "devices", "certificates", "people", "status")
    STATE["events"] = back


def every_route_was_asked_by_someone(stack):
    rest = {("PUT", "/dns/secrets/{name}"), ("POST", "/setup"),
            ("POST", "/users/{name}/devices/{device}/token"), ("GET", "/events"),
            ("DELETE", "/users/{name}/sessions/{id}")}
    all_of_them = {(method.upper(), path) for path, methods in STATE["doc"]["paths"].items()
                   for method in methods}
    equal(all_of_them - STATE["asked"] - rest, set(), "routes nobody asked")


def the_files_of_the_pages_are_cached_and_packed(stack):
    admin, stranger = STATE["admin"], Browser(stack)
    for path in ("/app.js", "/app.css", "/favicon.svg"):
        plain = stranger.request("GET", stack.domain, path)
        equal(plain.status, 200, path)
        check("Content-Encoding" not in plain.headers, "packed for who did not ask")
        packed = stranger.request("GET", stack.domain, path, {"Accept-Encoding": "gzip"})
        equal(packed.headers["Content-Encoding"], "gzip", path)
        equal(gzip.decompress(packed.body), plain.body, path)
        again = stranger.request("GET", stack.domain, path, {
            "Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
        equal((again.status, again.body), (304, b""), path)
    page = admin.open(admin.origin(stack.domain) + "/certificates")
    check("default-src 'none'" in page.headers["Content-Security-Policy"], "no policy")
    check("unsafe" not in page.headers["Content-Security-Policy"], "an open policy")
    check("Set-Cookie" not in page.headers, "a cookie")
    page = stranger.request("GET", stack.domain, "/devices/tv", NAVIGATE)
    equal(page.headers["Location"], "/signin?to=/devices/tv")
    page = stranger.open(stranger.origin(stack.domain) + "/people")
    page = stranger.submit(page, user="admin", password=GOOD)
    equal(page.url, stranger.origin(stack.domain) + "/people", "back where it began")


def streams_end_when_the_gateway_stops(stack):
    begun = time.monotonic()
    stack.gateway.stop()
    took = time.monotonic() - begun
    wait_for("the end of the stream", lambda: STATE["events"].ended_at)
    check(took < 5 * lib.SLOW, f"stopping took {took:.1f} s")
    text = "".join(STATE["events"].texts)
    check(text.startswith("retry: 2000\nid: 1\nevent: change\n"), text[:100])


if __name__ == "__main__":
    lib.run([
        a_gateway_with_two_people_starts,
        the_types_of_the_pages_are_current,
        strangers_and_people_get_no_more_than_theirs,
        other_sites_change_nothing,
        a_device_is_seen_to_pair_enrol_and_link,
        certificates_and_status_say_how_it_stands,
        sessions_are_shown_and_ended,
        a_password_is_changed_by_who_knows_it,
        rights_change_and_the_last_admin_stays,
        streams_are_counted_and_come_back,
        every_route_was_asked_by_someone,
        the_files_of_the_pages_are_cached_and_packed,
        streams_end_when_the_gateway_stops,
    ])
