#!/usr/bin/env python3
"""Killed at any moment: each process, the steward's children and the agents too, dies by SIGKILL
while devices enrol, certificates are issued and people come and go; afterwards everything is whole,
and what was used up stays so. SEED repeats a run's choices.
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
from killlab import (alive, databases_are_whole, descendants, keys_and_certificates_match,
                     let_time_pass, processes)
from lib import check, equal, wait_for
from web import Browser, shown_names

CHILDREN = {"uacme": "uacme", "hook": "lanthorn-hook", "plugin": "lanthorn-dns"}
DEATHS = {"gate": 7, "steward": 7, "parent": 4, "uacme": 4, "hook": 4, "plugin": 4, "agent": 4}
ROUNDS = sum(DEATHS.values())
SEED = int(os.environ.get("SEED", random.randrange(1 << 31)))
DICE = random.Random(SEED)
STATE = {"devices": set(), "users": set(), "removed": set(), "tokens": {}, "deaths": [],
         "cut": [], "more": 0}


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


def gateway_victim(stack, kind):
    """A process of the gateway itself."""
    # The parent doubles its wait with each death in a row; a new one begins at half a second.
    if kind == "parent" or STATE["deaths"].count(kind) == 2:
        kind = "parent"
        STATE["deaths"].clear()
    STATE["deaths"].append(kind)
    pid = {"gate": stack.gate_pid, "steward": stack.steward_pid,
           "parent": lambda: stack.gateway.pid}[kind]()
    return kind, pid


def kill_gateway(stack, kind):
    time.sleep(DICE.random() * 0.8)
    kind, pid = gateway_victim(stack, kind)
    if pid:
        os.kill(pid, signal.SIGKILL)
    if pid and kind == "parent":
        stack.gateway.expect_code += (-signal.SIGKILL,)
        stack.gateway.child.wait(5)
        stack.restart_gateway()
    return kind


def kill_child(stack, kind):
    """One of the children that work for the new device's certificate, as soon as one is there or
    a moment later; those that ended by themselves in between are not counted."""
    steward = None

    def killed():
        nonlocal steward
        if not steward or not alive(steward):
            steward = stack.steward_pid()
        below = [pid for pid, name in descendants(steward) if name == CHILDREN[kind]]
        check(below, f"no {kind} is at work")
        pid = DICE.choice(below)
        time.sleep(DICE.choice([0, 0, 0.005, 0.02]))
        os.kill(pid, signal.SIGKILL)
        return True
    for tries_left in range(4, -1, -1):
        try:
            wait_for(f"a {kind} to kill", killed, 8, 0)
            break
        except lib.Failure:
            if not tries_left:
                raise
        # A gateway that was killed a moment ago may have it all behind it, and where much else
        # runs this may look too late: one more device.
        STATE["more"] += 1
        name = f"x{STATE['more']}"
        stack.token(name)
        STATE["devices"].add(name)
    return kind


def kill_agent(stack, kind):
    """The one that serves a device or the one that enrols."""
    time.sleep(DICE.random() * 0.6)
    running = stack.agents["tv"]
    pid = DICE.choice(processes(os.getpid(), "lanthorn-agent") or [running.pid])
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # the one that enrols had just ended by itself
        pid = running.pid
        os.kill(pid, signal.SIGKILL)
    if pid != running.pid:
        return kind
    running.expect_code += (-signal.SIGKILL,)
    running.child.wait(5)
    log = running.log.rename(running.log.with_suffix(f".{len(stack.processes)}"))
    running.log = log
    stack.start_agent("tv")
    return kind


def tv_is_linked(stack):
    return any(d["name"] == "tv" and d["online"] for d in stack.ctl("devices")["devices"])


def one_round(stack, number, kind):
    worker = threading.Thread(target=work, args=(stack, number), daemon=True)
    worker.start()
    how = {"agent": kill_agent, **dict.fromkeys(CHILDREN, kill_child)}
    kind = how.get(kind, kill_gateway)(stack, kind)
    wait_for(f"the gateway after the death of {kind}", stack.gateway_answers, 20)
    worker.join(60)
    check(not worker.is_alive(), "the round's work does not end")
    if kind == "agent":
        wait_for("the agent's link", lambda: tv_is_linked(stack), 30)
        STATE["cut"].append(f"d{number}")
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
    stack.start_agent("tv")
    wait_for("the link", lambda: tv_is_linked(stack), 20)


def the_deaths_of_all_processes_are_survived(stack):
    killed, deck = [], [kind for kind, times in DEATHS.items() for _ in range(times)]
    DICE.shuffle(deck)
    for number, kind in enumerate(deck):
        killed.append(one_round(stack, number, kind))
        databases_are_whole(stack)
    print(f"# {len(killed)} deaths: " + ", ".join(
        f"{kind} {killed.count(kind)}" for kind in sorted(set(killed))), flush=True)
    check(set(killed) == set(DEATHS), "not every process died")


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
    cut = [name for name in STATE["cut"] if name in STATE["tokens"] and name in names]
    kept = cut + sorted(STATE["devices"] & set(STATE["tokens"]) & names - set(cut))[:6]
    check(kept, "no device is left to look at")
    for name in kept:
        done = stack.enrol(name, STATE["tokens"][name])
        words = done.stdout + done.stderr
        check(done.returncode == 0 or "already" in words or "used" in words, f"{name}: {words}")


def tokens_work_for_one_key_only(stack):
    names = {d["name"] for d in stack.ctl("devices")["devices"]}
    used = [name for name in sorted(STATE["devices"] & set(STATE["tokens"]) & names)
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


def is_of(stack, kind, pid):
    """Does this child, or what is left of one, belong here? Every lab has the same domain, and a
    plugin's words and environment say nothing of its home."""
    proc = pathlib.Path(f"/proc/{pid}")
    parent = proc.with_name((proc / "stat").read_text().rsplit(")", 1)[1].split()[1])
    home = f"{stack.folder}/".encode()
    return (kind == "plugin" and parent.name == "1") or any(home in path.read_bytes() for path in (
        proc / "cmdline", proc / "environ", parent / "cmdline"))


def no_proof_is_left_in_dns(stack):
    names = [stack.domain] + [stack.host(d) for d in STATE["devices"] | {"tv", "last"}]

    def orders_are_open():
        return any(c["state"] == "ordered" and not c["failure"]
                   for c in stack.ctl("certs")["certificates"])

    def left_behind():
        return [pid for kind, name in CHILDREN.items() for pid in processes(None, name)
                if is_of(stack, kind, pid)]
    wait_for("the end of all orders", lambda: not orders_are_open(), 40)
    wait_for("no proof in DNS", lambda: not [
        n for n in names if stack.lab.dig("_acme-challenge." + n, "TXT")], 20)
    wait_for("the end of all children", lambda: not left_behind(), 10)


def the_next_start_leaves_no_half_file(stack):
    stack.gateway.stop()
    let_time_pass(stack)
    for folder in ("state/gate", "state/gate/certs", "state/steward", "state/steward/acme"):
        (stack.folder / folder / "x.abcdef.tmp~").write_text("half")
    stack.restart_gateway()
    wait_for("no half file", lambda: not list((stack.folder / "state").rglob("*.tmp~")), 5)
    databases_are_whole(stack)
    keys_and_certificates_match(stack)
    stack.wait_for_certificate()


def what_was_cut_short_is_done_in_the_end(stack):
    """The waits after a failure are over: all hold their certificates, and no proof is left."""
    def open_ones():
        return [c["id"] for c in stack.ctl("certs")["certificates"] if c["state"] != "held"]
    wait_for("all certificates", lambda: not open_ones(), 60)
    no_proof_is_left_in_dns(stack)
    keys_and_certificates_match(stack)


lib.run([
    a_home_that_works,
    the_deaths_of_all_processes_are_survived,
    keys_and_certificates_match,
    what_was_promised_is_there,
    agents_either_have_an_identity_or_can_get_it,
    tokens_work_for_one_key_only,
    certificates_still_come,
    no_proof_is_left_in_dns,
    the_next_start_leaves_no_half_file,
    what_was_cut_short_is_done_in_the_end,
], Bench)
