#!/usr/bin/env python3
"""A dead authority, a damaged file, a wrong clock: nothing storms, and what is held goes on serving.

The authority is reached through a relay that counts connections and can be down.
"""
import glob
import socket
import struct
import threading
import time

import lib
from lib import Stack, check, equal, wait_for
from web import Browser, tls_connect

PRELOAD = "/usr/lib/*/faketime/libfaketimeMT.so.1"
NAMES = ["nas", "cam"]
STATE = {}


class Relay:
    """In front of the authority: counts who comes, and resets all of them when it is down."""

    def __init__(self, port):
        self.target, self.up, self.count = int(port), True, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            self.count += 1
            if not self.up:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Bench(Stack):
    def __init__(self):
        super().__init__()
        self.relay = Relay(self.lab.acme_port)
        self.names = list(NAMES)

    def config_text(self):
        text = super().config_text()
        check(self.lab.acme_directory in text, "no directory in the configuration")
        text = text.replace(self.lab.acme_directory, f"https://localhost:{self.relay.port}/dir")
        return text + "devices:\n" + "".join(
            f"  - name: {n}\n    upstream: http://127.0.0.1:9\n" for n in self.names)

    def start_gateway(self, **env):
        """As the library does, with an environment."""
        start = self.start
        self.start = lambda *argv: start(*argv, env=env)
        try:
            super().start_gateway()
        finally:
            self.start = start

    def start_at(self, moment):
        """With a clock that begins at `moment`, for the gateway's own processes alone."""
        self.start_with_clock(FAKETIME=f"@{moment}")

    def start_with_clock(self, **settings):
        """As the settings of libfaketime say."""
        found = glob.glob(PRELOAD)
        check(found, "the package faketime is missing")
        self.start_gateway(LD_PRELOAD=found[0], **settings, NO_FAKE_STAT="1",
                           FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1", TZ="UTC",
                           ASAN_OPTIONS="verify_asan_link_order=0")

    def certs(self):
        return {c["id"]: c for c in self.ctl("certs")["certificates"]}

    def shown(self, name):
        """(serial, names) of what is served for a device."""
        host = self.domain if name == "@base" else self.host(name)
        with tls_connect(self.port, host, self.lab.ca) as tls:
            cert = tls.getpeercert()
            return cert["serialNumber"], sorted(v for _, v in cert["subjectAltName"])

    def file(self, name):
        return self.folder / f"state/gate/certs/{name}"

    def quiet(self, seconds, what):
        """Nobody goes to the authority for so long."""
        before, deadline = self.relay.count, time.monotonic() + seconds
        while time.monotonic() < deadline:
            equal(self.relay.count, before, f"connections to the CA {what}")
            time.sleep(0.1)


def everything_is_issued(b):
    b.start_gateway()
    b.add_device("tv")
    wait_for("certificates", lambda: sorted(b.certs()) == ["@base", "cam", "nas", "tv"] and
             all(c["state"] == "held" for c in b.certs().values()), 40)
    STATE["serials"] = {name: b.shown(name)[0] for name in b.certs()}
    Browser(b).set_up(b.setup_link())
    serves(b)


def serves(b):
    """Whoever signs in reaches the device."""
    browser = Browser(b)
    browser.sign_in()
    wait_for("the device's page",
             lambda: "<h1>tv</h1>" in browser.open(browser.origin(b.host("tv")) + "/").text(), 15)


def a_dead_authority_is_told(b):
    b.relay.up = False
    b.names.append("late")
    (b.folder / "gateway.yaml").write_text(b.config_text())
    begun = time.time()
    equal(b.ctl_run("reload").returncode, 0, "reload")
    late = wait_for("the failure", lambda: b.certs()["late"]["failure"] and b.certs()["late"], 30)
    equal(late["failure"]["class"], "network")
    check("cannot be reached" in late["failure"]["text"], late)
    check(55 <= late["next_try"] - begun <= 90, f"next try in {late['next_try'] - begun:.0f} s")
    for verb in ("certs", "status"):
        text = b.ctl_run(verb).stdout
        for words in ("network", late["failure"]["text"], late["failure"]["remedy"], "next try"):
            check(words in text, f"{words!r} is not in lanthornctl {verb}: {text}")
    STATE["late"] = late
    equal(b.shown("late")[1], sorted([b.domain, "*." + b.domain]), "the bridge for late")


def the_wait_outlives_a_restart(b):
    STATE["count"] = b.relay.count
    b.gateway.stop()
    damaged = b.file("nas.pem").read_bytes()
    b.file("nas.pem").write_bytes(damaged[:len(damaged) // 2] + b"?" + damaged[len(damaged) // 2:])
    b.start_gateway()
    late = b.certs()["late"]
    equal((late["failure"]["class"], late["failure"]["text"]),
          ("network", STATE["late"]["failure"]["text"]), "failure after the restart")
    b.quiet(5, "after the restart")
    late = b.certs()["late"]
    equal(late["next_try"], STATE["late"]["next_try"], "next try after the restart")
    equal(late["failure"]["times"], STATE["late"]["failure"]["times"], "failures counted")


def a_damaged_certificate_moves_aside_alone(b):
    check(b.file("nas.pem.damaged").exists() and not b.file("nas.pem").exists(), "still in place")
    equal(b.shown("nas")[1], sorted([b.domain, "*." + b.domain]), "the bridge for nas")
    for name in ("@base", "cam", "tv"):
        equal(b.shown(name)[0], STATE["serials"][name], f"serial of {name}")
    check(b.certs()["nas"]["state"] == "ordered", b.certs()["nas"])
    serves(b)


def when_the_authority_is_back_all_is_well(b):
    b.relay.up = True
    first = min(b.certs()[name]["next_try"] for name in ("nas", "late"))
    equal(b.relay.count, STATE["count"], "connections to the CA so far")
    b.quiet(max(0, first - 1 - time.time()), "before the wait was over")
    for name in ("nas", "late"):
        wait_for(f"a certificate for {name}", lambda name=name: b.certs()[name]["state"] == "held",
                 40)
        equal(b.certs()[name]["failure"], None, f"failure of {name}")
        equal(b.shown(name)[1], [b.host(name)])
    check("what to do" not in b.ctl_run("status").stdout, "an alarm stays")
    STATE["serials"].update({name: b.shown(name)[0] for name in ("nas", "late")})
    equal({n: b.shown(n)[0] for n in STATE["serials"]}, STATE["serials"], "serials")


def wrong_clock(b, moment):
    b.gateway.stop()
    b.start_at(moment)
    time_ = b.ctl("status")["time"]
    equal(time_["believable"], False, f"believable: {time_}")
    check("clock" in time_["why"], time_)
    check("The clock is wrong" in b.ctl_run("status").stdout, "lanthornctl status is silent")
    b.ctl_run("renew", "cam")  # even a person's wish waits
    b.quiet(4, f"at {moment}")
    equal({n: b.shown(n)[0] for n in STATE["serials"]}, STATE["serials"], "serials")
    serves(b)


def in_1970_nothing_is_ordered_and_all_is_served(b):
    wrong_clock(b, "1970-01-01 00:01:00")


def in_2038_nothing_is_ordered_and_all_is_served(b):
    wrong_clock(b, "2038-01-19 03:14:00")
    text = b.ctl_run("certs").stdout
    check("expired on" in text and "not there yet" not in text, text)


def a_clock_that_jumps_both_ways_starts_no_storm(b):
    b.gateway.stop()
    moved, to = b.folder / "clock", b.folder / "clock.new"
    moved.write_text("+0")
    # Looked at with each call: it is one clock, that all processes see jump at the same moment.
    b.start_with_clock(FAKETIME_TIMESTAMP_FILE=str(moved), FAKETIME_NO_CACHE="1")
    serves(b)
    for jump, told in (("+500d", False), ("-9000d", False), ("+0", None)):
        before = b.relay.count
        to.write_text(jump)
        to.rename(moved)
        b.ctl_run("renew", "cam")
        b.quiet(2, f"after a jump by {jump}")
        equal(b.relay.count, before, f"connections to the CA at the jump by {jump}")
        equal({n: b.shown(n)[0] for n in STATE["serials"]}, STATE["serials"], f"serials, {jump}")
        if told is not None:
            time_ = b.ctl("status")["time"]
            equal(time_["believable"], told, f"believable after {jump}: {time_}")
            check("clock" in b.ctl_run("status").stdout.lower(), "lanthornctl status is silent")
        serves(b)


def with_the_right_clock_nothing_has_changed(b):
    b.gateway.stop()
    b.start_gateway()
    equal(b.ctl("status")["time"]["believable"], True, "believable")
    b.quiet(3, "with the right clock")
    equal({n: b.shown(n)[0] for n in STATE["serials"]}, STATE["serials"], "serials")
    serves(b)


lib.run([
    everything_is_issued,
    a_dead_authority_is_told,
    the_wait_outlives_a_restart,
    a_damaged_certificate_moves_aside_alone,
    when_the_authority_is_back_all_is_well,
    in_1970_nothing_is_ordered_and_all_is_served,
    in_2038_nothing_is_ordered_and_all_is_served,
    a_clock_that_jumps_both_ways_starts_no_storm,
    with_the_right_clock_nothing_has_changed,
], Bench)
