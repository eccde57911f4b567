#!/usr/bin/env python3
"""Killed at any moment: gate, steward and parent die by SIGKILL while devices enrol, certificates
are issued and people come and go; afterwards everything is whole, and what was used up stays so.
"""
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import time

import lib
from killlab import alive, databases_are_whole, keys_and_certificates_match
from lib import check, equal, wait_for
from web import Browser, shown_names

ROUNDS = 30
SECONDS = 60
SEED = int(os.environ.get("SEED", random.randrange(1 << 31)))
DICE = random.Random(SEED)
STATE = {"devices": set(), "users": set(), "removed": set(), "tokens": {}, "deaths": []}


class Bench(lib.Stack):
    def __init__(self):
        super().__init__()
        self.gateways = 0

    def restart_gateway(self):
        """After the parent's death its children end by themselves; then all starts anew."""
        wait_for("the end of the old processes", lambda: not self.own_processes(), 15)
        self.gateways += 1
        path = self.folder / "gateway.yaml"
        self.gateway = self.start(f"lanthornd-{self.gateways}", lib.BUILD / "lanthornd",
                                  "--config", path, "--libexec", lib.BUILD)
        wait_for("the control socket", self.gateway_answers)

    def own_processes(self):
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
                if b"lanthorn" in line and str(self.folder / "gateway.yaml").encode() in line:
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return [pid for pid in found if alive(pid)]


def run_quietly(stack, *args):
    """A verb that may find nobody; its exit code is its answer."""
    try:
        return stack.ctl_run(*args)
    except subprocess.SubprocessError:
        return None


def enrol(stack, name):
    """An enrolment whose gateway may die; True when the agent has its identity."""
    done = run_quietly(stack, "pair", name)
    token = done and re.search(r"lt1\.[\w-]+", done.stdout)
    if not token:
        return False
    STATE["devices"].add(name)
    STATE["tokens"][name] = token[0]
    stack.devices[name] = 9
    try:
        return stack.enrol(name, token[0]).returncode == 0
    except subprocess.SubprocessError:
        return False


def remove(stack, what, name):
    """Remove; what nobody answered may have happened or not."""
    done = run_quietly(stack, what, "remove", name)
    STATE[what].discard(name)
    if done and done.returncode == 0:
        STATE["removed"].add(name)


def work(stack, number):
    """What a round does while somebody dies."""
    device, person = f"d{number}", f"p{number}"
    enrol(stack, device)
    done = run_quietly(stack, "users", "add", person)
    if done and done.returncode == 0:
        STATE["users"].add(person)
    if DICE.random() < 0.5:
        remove(stack, "devices", f"d{number - 1}")
        remove(stack, "users", f"p{number - 1}")


def victim(stack):
    kind = DICE.choice(["gate", "steward", "gate", "steward", "parent"])
    # The parent doubles its wait with each death in a row; a new one begins at half a second.
    if kind == "parent" or STATE["deaths"].count(kind) == 2:
        kind = "parent"
        STATE["deaths"].clear()
    STATE["deaths"].append(kind)
    pid = {"gate": stack.gate_pid, "steward": stack.steward_pid,
           "parent": lambda: stack.gateway.pid}[kind]()
    return kind, pid


def one_round(stack, number):
    worker = threading.Thread(target=work, args=(stack, number), daemon=True)
    worker.start()
    time.sleep(DICE.random() * 0.8)
    kind, pid = victim(stack)
    if pid:
        os.kill(pid, signal.SIGKILL)
    if pid and kind == "parent":
        stack.gateway.expect_code += (-signal.SIGKILL,)
        stack.gateway.child.wait(5)
        stack.restart_gateway()
    wait_for(f"the gateway after the death of {kind}", stack.gateway_answers, 20)
    worker.join(60)
    check(not worker.is_alive(), "the round's work does not end")
    return kind


def a_home_that_works(stack):
    print(f"SEED={SEED}", flush=True)
    for kind in ("gate", "steward"):
        stack.expect_crashes.add((kind, "signal=9"))
    stack.start_gateway()
    stack.wait_for_certificate()
    Browser(stack).set_up(stack.setup_link())
    stack.start_device("tv")
    equal(stack.enrol("tv").returncode, 0, "enrolment")


def thirty_deaths_are_survived(stack):
    begun, killed = time.monotonic(), []
    for number in range(ROUNDS):
        killed.append(one_round(stack, number))
        databases_are_whole(stack)
        if time.monotonic() - begun > SECONDS * lib.SLOW:
            break
    print(f"# {len(killed)} deaths: " + ", ".join(
        f"{kind} {killed.count(kind)}" for kind in sorted(set(killed))), flush=True)
    check(len(killed) >= 10, f"only {len(killed)} rounds within their time")


def what_was_promised_is_there(stack):
    known = {u["name"] for u in stack.ctl("users")["users"]}
    equal(STATE["users"] - known, set(), "people who were added and are gone")
    devices = {d["name"] for d in stack.ctl("devices")["devices"]}
    equal(STATE["devices"] - devices, set(), "devices that were added and are gone")
    equal(STATE["removed"] & (known | devices), set(), "what was removed and is back")
    browser = Browser(stack)
    browser.sign_in()
    check(browser.signed_in(), "the administrator cannot sign in")


def agents_either_have_an_identity_or_can_get_it(stack):
    names = {d["name"] for d in stack.ctl("devices")["devices"]}
    kept = sorted(STATE["devices"] & names)[:6]
    check(kept, "no device is left to look at")
    for name in kept:
        done = stack.enrol(name, STATE["tokens"][name])
        words = done.stdout + done.stderr
        check(done.returncode == 0 or "already" in words or "used" in words, f"{name}: {words}")


def tokens_work_for_one_key_only(stack):
    names = {d["name"] for d in stack.ctl("devices")["devices"]}
    used = [name for name in sorted(STATE["devices"] & names)
            if (stack.folder / f"agent-{name}").exists()][:3]
    for name in used:
        folder = stack.folder / f"agent-{name}"
        folder.rename(stack.folder / f"first-{name}")
        done = stack.enrol(name, STATE["tokens"][name])
        check(done.returncode != 0, f"the token of {name} works for a second key")


def certificates_still_come(stack):
    stack.add_device("last", "Last")
    host = stack.host("last")
    wait_for("a certificate of its own",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 40)


def no_proof_is_left_in_dns(stack):
    names = [stack.domain] + [stack.host(f"d{n}") for n in range(ROUNDS)] + [stack.host("last")]

    def orders_are_open():
        return any(c["state"] == "ordered" and not c["failure"]
                   for c in stack.ctl("certs")["certificates"])
    wait_for("the end of all orders", lambda: not orders_are_open(), 40)
    wait_for("no proof in DNS", lambda: not [
        n for n in names if stack.lab.dig("_acme-challenge." + n, "TXT")], 20)


def the_next_start_leaves_no_half_file(stack):
    stack.gateway.stop()
    for folder in ("state/gate", "state/gate/certs", "state/steward", "state/steward/acme"):
        (stack.folder / folder / "x.abcdef.tmp~").write_text("half")
    stack.restart_gateway()
    wait_for("no half file", lambda: not list((stack.folder / "state").rglob("*.tmp~")), 5)
    databases_are_whole(stack)
    keys_and_certificates_match(stack)
    stack.wait_for_certificate()


lib.run([
    a_home_that_works,
    thirty_deaths_are_survived,
    keys_and_certificates_match,
    what_was_promised_is_there,
    agents_either_have_an_identity_or_can_get_it,
    tokens_work_for_one_key_only,
    certificates_still_come,
    no_proof_is_left_in_dns,
    the_next_start_leaves_no_half_file,
], Bench)
