#!/usr/bin/env python3
"""Threats that no other flow tries: enrolments at once, a stolen key in two places, GETs that would
change something, secrets in command lines, and the audit trail. tests/README.md has the whole list.
"""
import concurrent.futures
import contextlib
import json
import pathlib
import sqlite3
import threading

import lib
from lib import check, equal, wait_for
from linkpeer import LINK, SUFFIX, VERSIONS, Peer, enrol, identity, new_csr, token_secret
from web import Browser

STATE = {}


def live_serials(stack, device):
    """Serials of the device's certificates that are not revoked, as the gateway's database has it."""
    with contextlib.closing(sqlite3.connect(f"file:{stack.folder}/state/gate/gate.db?mode=ro",
                                            uri=True)) as db:
        return [row[0] for row in db.execute(
            "SELECT serial FROM device_certs WHERE live = 1 AND device_id ="
            " (SELECT id FROM devices WHERE label = ? AND removed_at IS NULL)", (device,))]


def audit(stack):
    with contextlib.closing(sqlite3.connect(f"file:{stack.folder}/state/gate/gate.db?mode=ro",
                                            uri=True)) as db:
        return db.execute("SELECT actor, action, object, outcome FROM audit ORDER BY id").fetchall()


def a_home_with_two_devices(stack):
    stack.start_gateway()
    for name in ("tv", "lamp"):
        stack.add_device(name)
    for name in (None, "tv"):
        stack.wait_for_certificate(name)
    STATE["browser"] = browser = Browser(stack)
    browser.set_up(stack.setup_link())
    equal(browser.open(browser.origin(stack.host("tv")) + "/").status, 200, "the device's page")


def enrolments_at_once_make_one_certificate(stack):
    secret = token_secret(stack.token("radio"))
    requests = [new_csr(stack, "radio", f"key{n}") for n in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda csr: enrol(stack, "radio", secret, csr)[0], requests))
    equal(sorted(answers), [200, 409, 409, 409], "answers to four keys at once")
    equal(len(live_serials(stack, "radio")), 1, "live certificates")


def a_stolen_key_in_two_places_is_told(stack):
    peer = Peer(stack, VERSIONS[1], identity(stack, "lamp")[0])
    peer.source = "127.0.0.9"
    # The device soon comes back and takes over, so the thief's link need not be open still.
    seen = peer.connect("lamp" + SUFFIX, LINK)
    check(seen.session, f"the thief's handshake: {seen.why}")
    wait_for("a line in the log", lambda: any(
        "one device links from two addresses" in line and "device=lamp" in line and
        "127.0.0.9" in line for line in stack.ctl_run("logs").stdout.splitlines()))


def tables(stack):
    """All rows that a person made, as one text."""
    with contextlib.closing(sqlite3.connect(f"file:{stack.folder}/state/gate/gate.db?mode=ro",
                                            uri=True)) as db:
        return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("users", "invites", "devices", "sessions", "grants")}


def a_get_at_the_gateway_changes_nothing(stack):
    browser = STATE["browser"]
    document = browser.api("GET", "openapi.json")
    paths = [path for path, verbs in document["paths"].items()
             if set(verbs) & {"post", "put", "patch", "delete"}]
    check(len(paths) >= 5, f"few paths: {paths}")
    before = tables(stack)
    fields = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    targets = ["/signout", "/setup?token=x", "/invite?token=x"]
    for path in paths:
        path = path.replace("{name}", "tv").replace("{id}", "1").replace("{device}", "tv")
        targets.append(path if path.startswith("/api/") else "/api/v1" + path)
    for target in targets:
        browser.request("GET", stack.domain, target, fields)
    equal(tables(stack), before, "what is stored")
    equal(browser.launcher() is not None, True, "the launcher")
    check(stack.host("tv") in json.dumps(browser.api("GET", "devices")), "the device is gone")


def no_secret_is_in_a_command_line(stack):
    """Also not for the moment that a program lives: sampled while names come and go."""
    browser = STATE["browser"]
    secrets = {"TSIG": pathlib.Path(stack.lab.tsig_secret_file).read_text().strip(),
               "password": "a calm long password", "token": stack.token("quick")}
    for host, jar in browser.cookies.items():
        secrets.update({f"{host} {name}": value for name, value in jar.items() if len(value) > 20})
    seen, stop = set(), threading.Event()

    def sample():
        while not stop.is_set():
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes())
    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        wait_for("a certificate", lambda: any(
            c["id"] == "quick" and c["state"] == "held"
            for c in stack.ctl("certs")["certificates"]), 60)
    finally:
        stop.set()
        watcher.join()
    here = str(stack.folder).encode()
    check(any(b"uacme" in line and here in line for line in seen), "uacme was never seen")
    for what, value in secrets.items():
        check(not any(value.encode() in line for line in seen), f"{what} is in a command line")


def the_audit_names_actor_device_and_outcome(stack):
    browser = Browser(stack, source="127.0.0.3")
    equal(browser.sign_in(password="not this one").status, 403, "a wrong password")
    browser.sign_in()
    browser.api("DELETE", "devices/radio")
    trail = audit(stack)
    for row in (("admin", "sign-in", "127.0.0.3", "refused"), ("admin", "sign-in", "127.0.0.3", "ok"),
                ("device:tv", "device.enrol", "tv", "ok")):
        check(row in trail, lambda row=row: f"{row} is not in {trail}")
    gone = [row for row in trail if row[0] == "admin" and row[2] == "radio"]
    check(gone and gone[-1][3] == "ok", f"who removed the radio: {trail}")
    text = json.dumps(trail)
    for value in ("a calm long password", "not this one", *browser.cookies[stack.domain].values()):
        check(value not in text, "a secret in the audit trail")


lib.run([
    a_home_with_two_devices,
    enrolments_at_once_make_one_certificate,
    a_stolen_key_in_two_places_is_told,
    a_get_at_the_gateway_changes_nothing,
    no_secret_is_in_a_command_line,
    the_audit_names_actor_device_and_outcome,
])
