#!/usr/bin/env python3
"""Proofs in DNS as the field has them: a lagging server, moved, delegated, circular and stale ones."""
import os
import signal
import subprocess
import time

import lib
import netns
from dnslab import TwoServers, zone_text
from lib import BUILD, check, equal, wait_for
from web import shown_names

PROOFS = "proofs.test"
FOREIGN = "a-value-that-somebody-else-needs"
STATE = {}


def certificate(stack, name):
    for cert in stack.ctl("certs")["certificates"]:
        if cert["id"] == name:
            return cert
    raise lib.Failure(f"no certificate {name}")


def proofs_the_ca_was_told_of(stack):
    log = (stack.lab.folder / "log/pebble.log").read_text(errors="replace")
    return log.count("Pulled a task from the Tasks queue")


def add_device(stack, name):
    """A device of the configuration, so that its name wants a certificate."""
    entries = STATE.setdefault("devices", [])
    entries.append(f"  - name: {name}\n    upstream: http://127.0.0.1:9\n")
    stack.config = "devices:\n" + "".join(entries)
    (stack.folder / "gateway.yaml").write_text(stack.config_text())
    done = stack.ctl_run("reload")
    equal(done.returncode, 0, f"reload: {done.stderr}")


def held(stack, name, seconds=30):
    host = stack.host(name)
    wait_for(f"a certificate for {name} alone", lambda: certificate(stack, name)["state"] == "held",
             seconds)
    equal(shown_names(stack.port, host, stack.lab.ca), [host])


def the_ca_is_told_only_after_every_server_answers(stack):
    sub = f"sub.{stack.domain}"
    try:
        STATE["names"] = names = TwoServers(
            stack, {PROOFS: zone_text(PROOFS, [("ns", "127.0.0.1")]),
                    sub: zone_text(sub, [("ns", "127.0.0.1")])},
            "sub NS ns.sub\nns.sub A 127.0.0.1\n")
    except lib.Failure as error:
        raise lib.Fatal(str(error)) from error
    names.update(stack.domain, f"update add _acme-challenge.{stack.domain}. 1 TXT {FOREIGN}",
                 f"update add _acme-challenge.moved.{stack.domain}. 1 CNAME moved.{PROOFS}.",
                 f"update add _acme-challenge.round.{stack.domain}. 1 CNAME x.{stack.domain}.",
                 f"update add x.{stack.domain}. 1 CNAME _acme-challenge.round.{stack.domain}.")
    wait_for("the secondary's copy", lambda: names.txt(stack.domain, "127.0.0.2") == [FOREIGN])
    names.lag()
    stack.start_gateway()
    wait_for("the proof at the primary", lambda: len(names.txt(stack.domain)) == 2)
    time.sleep(4)
    equal(names.txt(stack.domain, "127.0.0.2"), [FOREIGN], "what the secondary knows")
    equal(proofs_the_ca_was_told_of(stack), 0, "proofs that the CA was told of")
    names.follow()
    wait_for("the CA to be told", lambda: proofs_the_ca_was_told_of(stack) > 0)


def base_and_wildcard_are_proved_at_one_name(stack):
    wait_for("the bridge", lambda: certificate(stack, "@base")["state"] == "held", 40)
    equal(shown_names(stack.port, stack.domain, stack.lab.ca),
          sorted([stack.domain, "*." + stack.domain]))
    equal(proofs_the_ca_was_told_of(stack), 2, "proofs")


def a_value_of_somebody_else_stays(stack):
    wait_for("our proofs to go", lambda: STATE["names"].txt(stack.domain) == [FOREIGN])


def a_cname_moves_the_proof_into_another_zone(stack):
    names = STATE["names"]
    seen = []
    add_device(stack, "moved")
    wait_for("the proof in the other zone",
             lambda: seen.extend(names.dig("127.0.0.1", f"moved.{PROOFS}")) or seen)
    held(stack, "moved")
    wait_for("no proof left", lambda: not names.dig("127.0.0.1", f"moved.{PROOFS}"))
    equal(names.dig("127.0.0.1", f"_acme-challenge.moved.{stack.domain}", "CNAME"),
          [f"moved.{PROOFS}."], "the CNAME")


def a_delegated_zone_is_found(stack):
    # Its servers are others than those of the zone above, so the lagging one does not matter.
    names = STATE["names"]
    names.lag()
    add_device(stack, "sub")
    held(stack, "sub")
    wait_for("no proof left", lambda: not names.txt(f"sub.{stack.domain}"))
    names.follow()


def a_circle_of_cnames_is_told(stack):
    add_device(stack, "round")
    failure = wait_for("the failure", lambda: certificate(stack, "round")["failure"])
    equal(failure["class"], "dns")
    check("circle" in failure["text"] and failure["remedy"], failure)
    text = stack.ctl_run("certs").stdout
    check("circle" in text and failure["remedy"] in text, f"lanthornctl certs: {text}")


def names_that_are_not_ordered_get_no_proof(stack):
    names = STATE["names"]
    names.lag()
    add_device(stack, "slow")
    host = stack.host("slow")
    wait_for("its proof", lambda: names.txt(host))
    socket = str(stack.folder / "run/steward/hook.sock")
    for ident in (stack.host("other"), "example.com", "x." + host):
        for order in range(1, 9):
            done = subprocess.run(
                [BUILD / "lanthorn-hook", "begin", "dns-01", ident, "t", "forged"], timeout=20,
                env={"LANTHORN_HOOK": socket, "LANTHORN_ORDER": str(order)},
                capture_output=True, check=False)
            equal(done.returncode, 1, f"exit code for {ident}")
        equal(names.txt(ident), [], f"TXT at {ident}")


def a_proof_that_a_crash_left_is_swept(stack):
    names = STATE["names"]
    host = stack.host("slow")
    stale = names.txt(host)
    equal(len(stale), 1, "proofs of slow")
    old = stack.steward_pid()
    stack.expect_crashes.add(("steward", "signal=9"))
    os.kill(old, signal.SIGKILL)
    begun = time.monotonic()
    wait_for("a new steward", lambda: (stack.steward_pid() or old) != old)
    wait_for("the stale proof to go", lambda: stale[0] not in names.txt(host), 10)
    check(time.monotonic() - begun < 10 * lib.SLOW, "the sweep waited for the next order")
    names.follow()
    held(stack, "slow", 40)
    wait_for("no proof left", lambda: not names.txt(host))


def nothing_else_is_left_in_dns(stack):
    names = STATE["names"]
    for host in [stack.host(x) for x in ("round", "other")]:
        check(not [x for x in names.txt(host) if not x.endswith(".")], host)
    equal(names.txt(stack.domain), [FOREIGN])


netns.enter()
netns.ip("addr", "add", "127.0.0.2/8", "dev", "lo")
lib.run([
    the_ca_is_told_only_after_every_server_answers,
    base_and_wildcard_are_proved_at_one_name,
    a_value_of_somebody_else_stays,
    a_cname_moves_the_proof_into_another_zone,
    a_delegated_zone_is_found,
    a_circle_of_cnames_is_told,
    names_that_are_not_ordered_get_no_proof,
    a_proof_that_a_crash_left_is_swept,
    nothing_else_is_left_in_dns,
])
