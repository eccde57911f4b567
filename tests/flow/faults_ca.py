#!/usr/bin/env python3
"""A certificate authority that fails in every way: cause and remedy are shown, the wait is the one
that it asked for, the old certificates stay, no proof stays in DNS, and all recovers by a word.
"""
import pathlib
import re
import subprocess
import sys
import time

import lib
from lib import check, equal, wait_for
from web import tls_connect

sys.path.insert(0, str(lib.TOP / "tests/fakes"))
from faultproxy import FLOOD_BYTES, FaultProxy  # noqa: E402

# A host a fault, since one host may be asked for only once a minute.
HOSTS = ["limit", "busy", "plain", "down", "reset", "circle", "flood", "foreign", "garbage", "hang",
         "words"]
ORDERED = {}


class Bench(lib.Stack):
    def __init__(self):
        super().__init__(config="devices:\n" + "".join(
            f"  - name: {name}\n    upstream: http://127.0.0.1:9\n" for name in HOSTS))
        pebble = self.lab.folder / "pebble"
        self.proxy = FaultProxy(self.lab.acme_port, pebble / "cert.pem", pebble / "key.pem",
                                self.lab.acme_ca)
        self.lab.settings["acme_directory"] = f"https://localhost:{self.proxy.port}/dir"
        self.sections["acme"] = "  timeout: 30s\n"
        self.serials = {}

    def certificate(self, name):
        for cert in self.ctl("certs")["certificates"]:
            if cert["id"] == name:
                return cert
        raise lib.Failure(f"no certificate {name}")

    def shown_serial(self, name):
        with tls_connect(self.port, self.host(name), self.lab.ca) as tls:
            return tls.getpeercert()["serialNumber"].lower()

    def order(self, name):
        done = self.ctl_run("renew", name)
        check(done.returncode == 0, f"renew {name}: {done.stdout} {done.stderr}")
        ORDERED[name] = time.monotonic()

    def txt(self):
        found = [self.lab.dig("_acme-challenge." + self.host(name), "TXT") for name in HOSTS]
        return [x for x in found if x]


def fails(stack, name, cls, words, most=20):
    """See the failure of an order: whose fault, why, what to do; returns when it is tried again."""
    cert = wait_for(f"the failure of {name}", lambda: (
        lambda c: c["failure"] and c)(stack.certificate(name)), most)
    failure = cert["failure"]
    equal(failure["class"], cls, f"class ({failure['text']})")
    check(re.search(words, failure["text"]), f"{words!r} is not in {failure['text']!r}")
    check(len(failure["remedy"]) > 30, f"remedy: {failure['remedy']!r}")
    check(failure["text"].isprintable(), repr(failure["text"]))
    shown = " ".join(stack.ctl_run("certs").stdout.split())
    for part in (failure["text"], failure["remedy"]):
        check(" ".join(part.split()) in shown, f"lanthornctl certs does not say {part!r}:\n{shown}")
    equal(stack.shown_serial(name), stack.serials[name], f"the certificate served for {name}")
    check(cert["valid"], "the old certificate is not valid any more")
    return moment(cert["next_try"]) - moment(failure["at"])


def moment(text):
    if isinstance(text, (int, float)):
        return text
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def near(wait, least, most):
    check(least - 2 <= wait <= most + 2, f"next try in {wait:.0f} s, not in {least} to {most}")


def every_host_has_its_certificate(stack):
    stack.start_gateway()
    wait_for("certificates", lambda: all(
        c["state"] == "held" for c in stack.ctl("certs")["certificates"]), 60)
    for name in HOSTS:
        stack.serials[name] = stack.shown_serial(name)
        equal(stack.certificate(name)["serial"].lower().lstrip("0"),
              stack.serials[name].lstrip("0"), f"serial of {name}")
    wait_for("no proof left", lambda: not stack.txt())


def they_survive_a_steward_that_lost_its_memory(stack):
    # Which also lets a host be ordered again before its minute is over.
    equal(stack.gateway.stop(), 0, "exit code")
    for path in (stack.folder / "state/steward").glob("steward.db*"):
        path.unlink()
    stack.start_gateway()
    for name in HOSTS:
        equal(stack.shown_serial(name), stack.serials[name], f"the certificate served for {name}")


def a_limit_is_waited_out_as_asked(stack):
    # The slow ones begin here, and are looked at later.
    stack.proxy.orders = {"limit": "limit", "busy": "busy", "reset": "reset", "hang": "hang"}
    for name in ("hang", "reset", "limit", "busy"):
        stack.order(name)
    near(fails(stack, "limit", "limit", "limits how often.*too many new orders recently"),
         7200, 7200)
    equal(stack.proxy.counts["limit"], 2, "orders of a CA that wants fewer")


def maintenance_is_waited_out_as_asked(stack):
    near(fails(stack, "busy", "ca", "maintained.*HTTP status 503"), 7200, 7200)
    equal(stack.proxy.counts["busy"], 2, "orders of a CA that is busy")


def a_directory_in_maintenance_is_no_wrong_url(stack):
    stack.proxy.misbehave("busy", "/dir", "900")
    stack.order("plain")
    near(fails(stack, "plain", "ca", "maintained.*HTTP status 503"), 900, 900)


def a_circle_of_redirects_is_not_followed(stack):
    stack.proxy.misbehave("circle", "/dir")
    stack.order("circle")
    near(fails(stack, "circle", "ca", "sends us elsewhere.*HTTP status 302"), 60, 66)
    equal(stack.proxy.hits, 1, "requests in the circle")


def an_endless_answer_is_survived(stack):
    stack.proxy.misbehave("flood", "/dir")
    stack.order("flood")
    near(fails(stack, "flood", "ca", "not what ACME promises", 40), 60, 66)
    check(stack.proxy.flooded >= FLOOD_BYTES, "the answer was not sent whole")


def another_certificate_is_refused(stack):
    path = stack.folder / "foreign.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-out", path,
                    "-subj", "/", "-addext", "subjectAltName=DNS:" + stack.host("foreign")],
                   check=True, capture_output=True, timeout=30)
    stack.proxy.foreign = path.read_bytes()
    stack.proxy.misbehave("foreign", "/certZ/")
    stack.order("foreign")
    near(fails(stack, "foreign", "ca", "not for our key", 30), 60, 66)


def rubbish_in_place_of_a_certificate_is_refused(stack):
    stack.proxy.misbehave("garbage", "/certZ/")
    stack.order("garbage")
    near(fails(stack, "garbage", "ca", "certificate", 30), 60, 66)


def a_reset_connection_is_told(stack):
    stack.proxy.misbehave("pass")
    near(fails(stack, "reset", "network", "cannot be reached.*(receiving|reset)", 40), 60, 66)


def an_authority_that_is_down_is_told(stack):
    stack.proxy.close()
    try:
        stack.order("down")
        near(fails(stack, "down", "network", "cannot be reached.*connect", 40), 60, 66)
    finally:
        stack.proxy.open()


def a_hanging_authority_is_ended(stack):
    near(fails(stack, "hang", "ca", "hangs, or acme.timeout is too short", 45), 60, 66)
    here = str(stack.folder).encode()
    left = [p.parent.name for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if b"uacme" in read(p) and here in read(p)]
    equal(left, [], "processes left of uacme")
    wait_for("no proof left", lambda: not stack.txt())


def hostile_words_are_shown_and_never_obeyed(stack):
    stack.proxy.folder = stack.folder
    stack.proxy.orders["words"] = "words"
    stack.order("words")
    fails(stack, "words", "ca", r"\$\(touch ")
    made = [name for name in ("one", "two", "three") if (stack.folder / name).exists()]
    equal(made, [], "files that the words made")


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def all_recover_by_a_word(stack):
    stack.proxy.orders = {}
    # The minutes of the others would be waited for too long.
    names = ["limit", "busy", "plain", "circle", "flood", "foreign"]
    for name in names:
        time.sleep(max(0.0, 61 - (time.monotonic() - ORDERED[name])))
        stack.order(name)
    for name in names:
        # The program's own next try may have come first; the word then asks too early.
        cert = wait_for(f"a new certificate for {name}", lambda name=name: (
            lambda c: c["serial"].lower() != stack.serials[name] and c["valid"] and
            (c["failure"] or {"class": "limit"})["class"] == "limit" and c)(
                stack.certificate(name)), 30)
        equal(stack.shown_serial(name).lstrip("0"), cert["serial"].lower().lstrip("0"), name)
    wait_for("no proof left", lambda: not stack.txt())


lib.run([
    every_host_has_its_certificate,
    they_survive_a_steward_that_lost_its_memory,
    a_limit_is_waited_out_as_asked,
    maintenance_is_waited_out_as_asked,
    a_directory_in_maintenance_is_no_wrong_url,
    a_circle_of_redirects_is_not_followed,
    an_endless_answer_is_survived,
    another_certificate_is_refused,
    rubbish_in_place_of_a_certificate_is_refused,
    a_reset_connection_is_told,
    an_authority_that_is_down_is_told,
    a_hanging_authority_is_ended,
    hostile_words_are_shown_and_never_obeyed,
    all_recover_by_a_word,
], Bench)
