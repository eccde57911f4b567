#!/usr/bin/env python3
"""Certificates renew by themselves and by order, and nobody who is connected notices.

The CA's certificates last 160 s, so that half of it, the schedule's moment, comes after the minute
that lies between two orders of the same names.
"""
import pathlib
import re
import subprocess
import sys
import time

import lib
from lib import Stack, check, equal, wait_for
from web import Browser, WebSocket, tls_connect

LIFE_S = 160
PING_S = 4
STATE = {}


def make():
    stack = Stack(validity=LIFE_S)
    stack.config = "devices:\n  - name: nas\n    upstream: http://127.0.0.1:9\n"
    return stack


def certs(stack):
    return {c["id"]: c for c in stack.ctl("certs")["certificates"]}


def shown(stack, name):
    """Serial number (hex) of what is served for a device, or "@base"."""
    host = stack.domain if name == "@base" else stack.host(name)
    with tls_connect(stack.port, host, stack.lab.ca) as tls:
        return tls.getpeercert()["serialNumber"].lower().lstrip("0")


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True,
                          timeout=20).stdout


def on_disk(stack, name):
    """(serial, key) of the file; key and certificate must belong together."""
    path = stack.folder / f"state/gate/certs/{name}.pem"
    equal(path.stat().st_mode & 0o777, 0o600, f"mode of {path.name}")
    # One read, since a renewal replaces the file between two.
    copy = stack.folder / "copy.pem"
    copy.write_bytes(path.read_bytes())
    key = openssl("pkey", "-in", copy, "-pubout")
    equal(openssl("x509", "-in", copy, "-noout", "-pubkey"), key, f"key of {path.name}")
    serial = openssl("x509", "-in", copy, "-noout", "-serial").strip().partition("=")[2]
    return serial.lower().lstrip("0"), key


class Visitor:
    """A keep-alive connection and a WebSocket, both open since before the renewal."""

    def __init__(self, stack):
        self.stack, self.host = stack, stack.host("tv")
        self.browser = Browser(stack)
        Browser(stack).set_up(stack.setup_link())
        self.browser.sign_in()
        self.browser.open(self.browser.origin(self.host) + "/")
        self.line = self.browser.connection(self.host)
        self.ask()
        self.held = self.line.sock
        self.socket = WebSocket(self.browser, self.host)
        self.at = 0

    def ask(self):
        answer = self.browser.request(
            "GET", self.host, "/api/state", connection=self.line,
            headers={"Sec-Fetch-Site": "same-origin", "Origin": self.browser.origin(self.host)})
        equal(answer.status, 200, "on the open connection")

    def ping(self):
        if time.monotonic() < self.at:
            return
        self.at = time.monotonic() + PING_S
        self.ask()
        check(self.line.sock is self.held, "the connection was replaced")
        self.socket.echo("still here")


def each_name_gets_its_certificate(stack):
    stack.start_gateway()
    stack.add_device("tv")
    wait_for("three certificates", lambda: len(certs(stack)) == 3 and
             all(c["state"] == "held" for c in certs(stack).values()), 40)
    STATE["begun"] = {name: cert["not_before"] for name, cert in certs(stack).items()}
    STATE["due"] = {name: cert["next_renewal"] for name, cert in certs(stack).items()}
    STATE["first"] = {name: on_disk(stack, name) for name in certs(stack)}
    for name, (serial, _) in STATE["first"].items():
        equal(shown(stack, name), serial, f"serial of {name}")
        equal(certs(stack)[name]["serial"].lower().lstrip("0"), serial, f"{name} in the API")
    STATE["visitor"] = Visitor(stack)


def the_schedule_is_half_of_a_short_life(stack):
    for name, cert in certs(stack).items():
        life = cert["not_after"] - cert["not_before"]
        check(LIFE_S - 2 <= life <= LIFE_S, f"{name}: good for {life} s")
        into = cert["next_renewal"] - cert["not_before"]
        check(life / 2 - life / 30 - 1 <= into <= life / 2 + 1, f"{name}: renews after {into} s")
    text = stack.ctl_run("certs").stdout
    check("renewal" in text and "valid until" in text, text)


def a_minute_lies_between_two_orders_of_the_same_names(stack):
    equal(stack.ctl_run("renew", "nas").returncode, 0, "lanthornctl renew")
    failure = wait_for("why it waits", lambda: certs(stack)["nas"]["failure"], 10)
    equal(failure["class"], "limit")
    check("issued" in failure["text"] and failure["remedy"], failure)
    wait_s = certs(stack)["nas"]["next_try"] - STATE["begun"]["nas"]
    check(50 <= wait_s <= 70, f"next try {wait_s} s after the first")
    equal(shown(stack, "nas"), STATE["first"]["nas"][0], "what nas shows meanwhile")


def an_unknown_certificate_cannot_be_renewed(stack):
    done = stack.ctl_run("renew", "nobody")
    check(done.returncode != 0 and "nobody" in done.stderr, done.stderr)


def what_was_asked_for_comes_before_the_schedule(stack):
    first, due = STATE["first"], STATE["due"]
    # As old as that of nas; @base has had one for longer.
    while shown(stack, "nas") == first["nas"][0]:
        check(time.time() < due["tv"], "nas was not renewed when asked")
        STATE["visitor"].ping()
        time.sleep(0.25)
    equal(on_disk(stack, "nas")[0], shown(stack, "nas"), "serial of nas")
    check(on_disk(stack, "nas")[1] != first["nas"][1], "nas has its old key")
    for name in ("tv", "@base"):
        serial = shown(stack, name)
        check(serial == first[name][0] or time.time() >= due[name], f"{name} was not asked for")
    equal(certs(stack)["nas"]["failure"], None, "failure")


def every_other_renews_by_itself_and_nobody_notices(stack):
    first, left = STATE["first"], {"tv", "@base"}
    deadline = time.monotonic() + 60
    while left:
        check(time.monotonic() < deadline, f"not renewed: {left}")
        STATE["visitor"].ping()
        for name in sorted(left):
            serial, key = on_disk(stack, name)
            if serial == first[name][0]:
                equal(key, first[name][1], f"the key of the unchanged {name}")
                continue
            begun = time.monotonic()
            wait_for(f"the new certificate of {name} at a handshake",
                     lambda name=name, serial=serial: shown(stack, name) == serial, 1, 0.01)
            print(f"{name}: served {time.monotonic() - begun:.3f} s after", flush=True,
                  file=sys.stderr)
            check(key != first[name][1], f"{name} has its old key")
            left.remove(name)
        time.sleep(0.1)
    STATE["visitor"].at = 0
    STATE["visitor"].ping()


def each_renewal_came_at_its_time(stack):
    now = certs(stack)
    for name in ("tv", "@base"):
        into = now[name]["not_before"] - STATE["begun"][name]
        check(LIFE_S / 2 - LIFE_S / 30 - 1 <= into <= LIFE_S / 2 + 6, f"{name}: after {into} s")
        equal((now[name]["state"], now[name]["failure"]), ("held", None), name)


def nothing_is_left_over(stack):
    wait_for("only certificates", lambda: sorted(
        p.name for p in (stack.folder / "state/gate/certs").iterdir()) ==
        ["@base.pem", "nas.pem", "tv.pem"], 5)
    for host in (stack.domain, stack.host("tv"), stack.host("nas")):
        wait_for("no proof", lambda host=host: not stack.lab.dig(f"_acme-challenge.{host}", "TXT"))
    keys = re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY", "".join(
        p.read_text(errors="replace") for p in pathlib.Path(stack.folder / "state/steward").rglob(
            "*.csr")) + stack.gateway.text())
    equal(keys, [], "keys outside the gate")


lib.run([
    each_name_gets_its_certificate,
    the_schedule_is_half_of_a_short_life,
    a_minute_lies_between_two_orders_of_the_same_names,
    an_unknown_certificate_cannot_be_renewed,
    what_was_asked_for_comes_before_the_schedule,
    every_other_renews_by_itself_and_nobody_notices,
    each_renewal_came_at_its_time,
    nothing_is_left_over,
], make)
