#!/usr/bin/env python3
"""Killed at every system call that writes: enrolment, issue, renewal, people and devices coming and
going, on the gateway's side and on the agent's. After each kill all is started anew, whole, and the
operation can be repeated.

Within tests/run a sample of the points is tried, as many as fit into SECONDS; --all tries all.
SEED chooses the sample, ONLY the operations whose name contains it.
"""
import collections
import concurrent.futures
import glob
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import killlab
import lib
import synced
from killlab import Act, Trace, UacmeTrace
from lib import check, equal
from web import Browser

ALL = "--all" in sys.argv
SEED = int(os.environ.get("SEED", random.randrange(1 << 31)))
ONLY = os.environ.get("ONLY", "")
SECONDS = int(os.environ.get("SECONDS", 140))
HOMES = int(os.environ.get("HOMES", 4))
PRELOAD = "/usr/lib/*/faketime/libfaketimeMT.so.1"
TEN_DAYS_AGO = {"FAKETIME": "-10d", "NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC",
                "ASAN_OPTIONS": "verify_asan_link_order=0"}
WILDCARD = "certificates: wildcard\n"


def names_of(home, verb):
    return {row["name"] for row in home.ctl(verb)[verb]}


def ctl_done(home, *args):
    done = home.ctl_run(*args)
    check(done.returncode == 0, lambda: f"lanthornctl {args}: {done.stderr}")
    return done.stdout


def certs(home):
    return {c["id"]: c for c in home.ctl("certs")["certificates"]}


def wait_held(home, name, but=None, patient=False):
    """A certificate that is not the one with the serial `but`, and no proof left of it."""
    def there():
        cert = certs(home)[name]
        if cert["failure"] and not patient:
            raise lib.Fatal(f"{name}: {cert['failure']}")
        return cert["state"] == "held" and cert["serial"] != but
    home.until(f"the certificate {name}", there, 200)
    home.until("the end of the proofs", lambda: not home.proofs(), 100)


def new_device_enrols(home, folder, token):
    """With a folder of its own: is the token still good for another key?"""
    home.devices[folder] = 9
    return home.enrol(folder, token)


class Op:
    """An operation, and what must hold after it was cut short and all was started again."""
    base, config, victims = "home", WILDCARD, ("control",)

    @property
    def name(self):
        return type(self).__name__

    def ready(self, home):
        """What comes before it, out of danger."""

    def act(self, home):
        """The operation itself."""

    def again(self, home):
        """Repeat it after a kill; whether it had happened or not, it has now."""


class Pair(Op):
    def act(self, home):
        ctl_done(home, "pair", "d2")

    def again(self, home):
        home.ctl_run("pair", "d2")
        token = home.token("d2")
        equal(new_device_enrols(home, "d2", token).returncode, 0, "enrolment")


class Enrol(Op):
    """The gateway dies under an enrolment; the agent comes again with its key."""

    def act(self, home):
        home.enrol("d1", home.spare)

    def again(self, home):
        done = home.enrol("d1", home.spare)
        check(done.returncode == 0 or "enrolled already" in done.stderr, done.stderr)
        done = new_device_enrols(home, "thief", home.spare)
        check(done.returncode != 0, "the token works for a second key")
        done = linked(home, "d1")
        check(done, "the device does not link")


class EnrolAgent(Enrol):
    victims = ("agent",)

    def ready(self, home):
        home.stdin = home.spare + "\n"
        home.devices["d1"] = 9
        home.agent_conf("d1")
        home.argv = [lib.BUILD / "lanthorn-agent", "--config", home.folder / "d1.conf", "enrol"]

    def act(self, home):
        home.until("an identity", (home.folder / "agents/d1/identity").exists)


class RenewDevice(Op):
    """A device's certificate, two thirds of whose life are over."""
    base = "old"

    def act(self, home):
        before = identity(home)
        agent = start_agent(home, "tv")
        try:
            home.until("a renewed identity", lambda: identity(home) != before, 20)
        finally:
            agent.stop()

    def again(self, home):
        before = identity(home)
        agent = start_agent(home, "tv")
        try:
            home.until("a good certificate", lambda: left_s(home) > 12 * 86400, 20)
            home.until("the link", lambda: is_online(home, "tv"), 20)
        finally:
            agent.stop()
        check(before.count("\ncert ") + before.startswith("cert ") == 1, before)


class RenewAgent(RenewDevice):
    victims = ("agent",)

    def ready(self, home):
        home.stdin = None
        home.devices["tv"] = 9
        home.agent_conf("tv")
        home.argv = [lib.BUILD / "lanthorn-agent", "--config", home.folder / "tv.conf", "run"]
        home.before = identity(home)

    def act(self, home):
        home.until("a renewed identity", lambda: identity(home) != home.before, 20)


def identity(home, name="tv"):
    return (home.folder / f"agents/{name}/identity").read_text()


def status(home, name):
    done = subprocess.run([lib.BUILD / "lanthorn-agent", "--config", home.agent_conf(name),
                           "status", "--json"], capture_output=True, text=True, timeout=20,
                          check=False)
    return lib.json.loads(done.stdout)


def left_s(home):
    return status(home, "tv")["not_after"] - time.time()


def is_online(home, name):
    return any(d["name"] == name and d["online"] for d in home.ctl("devices")["devices"])


def start_agent(home, name):
    home.devices[name] = 9
    return lib.Process(f"agent-{name}", [lib.BUILD / "lanthorn-agent", "--config",
                                         home.agent_conf(name), "run"], home.folder)


def linked(home, name):
    agent = start_agent(home, name)
    try:
        return home.until("the link", lambda: is_online(home, name), 20)
    finally:
        agent.stop()


class AddUser(Op):
    def act(self, home):
        ctl_done(home, "users", "add", "bob")

    def again(self, home):
        had = "bob" in names_of(home, "users")
        done = home.ctl_run("users", "add", "bob")
        equal(done.returncode == 0, not had, f"had={had} {done.stderr}: success")
        ctl_done(home, "users", "invite", "bob")


class RemoveUser(Op):
    def act(self, home):
        ctl_done(home, "users", "remove", "ada")

    def again(self, home):
        had = "ada" in names_of(home, "users")
        equal(home.ctl_run("users", "remove", "ada").returncode == 0, had, "success")
        check("ada" not in names_of(home, "users"), "ada is still there")


class AllowUser(Op):
    def act(self, home):
        ctl_done(home, "users", "allow", "ada", "tv")
        ctl_done(home, "users", "token", "ada", "tv")
        ctl_done(home, "users", "deny", "ada", "tv")

    def again(self, home):
        self.act(home)


class SetUp(Op):
    """The first account, by a link that works once."""
    base = "empty"

    def ready(self, home):
        home.link = home.setup_link()

    def act(self, home):
        Browser(home).set_up(home.link)

    def again(self, home):
        if names_of(home, "users"):
            check(Browser(home).open(home.link).status != 200, "the used link works again")
        else:
            equal(Browser(home).set_up(home.link).status, 200, "setting up again")
        browser = Browser(home)
        browser.sign_in()
        check(browser.signed_in(), "the administrator cannot sign in")


class SignIn(Op):
    def act(self, home):
        Browser(home).sign_in()

    def again(self, home):
        browser = Browser(home)
        browser.sign_in()
        check(browser.signed_in(), "nobody can sign in")


class SignOut(Op):
    def ready(self, home):
        home.browser = Browser(home)
        home.browser.sign_in()
        home.signed_out = False

    @staticmethod
    def ask(home):
        base = home.domain
        return home.browser.request("POST", base, "/signout", {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": home.browser.origin(base)}, "")

    def act(self, home):
        cookies = dict(home.browser.cookies[home.domain])
        answer = self.ask(home)
        home.signed_out = answer.status in (200, 303)
        home.browser.cookies[home.domain] = cookies

    def again(self, home):
        if home.signed_out:
            check(not home.browser.signed_in(), "who signed out is in again")
        elif home.browser.signed_in():
            self.ask(home)
            check(not home.browser.signed_in(), "signing out does nothing")


class RemoveDevice(Op):
    """Its certificate, its name in DNS and its sessions go too."""
    base, config = "own", ""
    victims = ("control", "steward")

    def act(self, home):
        ctl_done(home, "devices", "remove", "tv")
        home.until("the end of its name", lambda: not home.lab.dig(home.host("tv")), 20)

    def again(self, home):
        had = "tv" in names_of(home, "devices")
        equal(home.ctl_run("devices", "remove", "tv").returncode == 0, had, "success")
        home.until("the end of its name", lambda: not home.lab.dig(home.host("tv")), 20)
        home.until("the end of its files", lambda: not list(
            (home.folder / "state/gate/certs").glob("tv.*")), 10)
        agent = start_agent(home, "tv")
        try:
            time.sleep(0.3)
            check(not is_online(home, "tv"), "the removed device links")
        finally:
            agent.stop()


class Issue(Op):
    """A new device gets a name in DNS and a certificate of its own."""
    base, config = "own", ""
    victims = ("control", "steward", "uacme")

    def act(self, home):
        ctl_done(home, "pair", "d2")
        wait_held(home, "d2")

    def again(self, home):
        home.until("no proof in DNS", lambda: not home.proofs(), 30)
        home.stop_home()
        home.let_time_pass()
        home.start_home(self.config)
        if "d2" not in names_of(home, "devices"):
            ctl_done(home, "pair", "d2")
        wait_held(home, "d2", patient=True)
        home.until("its name", lambda: home.lab.dig(home.host("d2")) == ["127.0.0.1"], 20)
        home.until("only certificates", lambda: sorted(
            p.name for p in (home.folder / "state/gate/certs").iterdir()) ==
            ["@base.pem", "d1.pem", "d2.pem", "tv.pem"], 30)


class Renew(Op):
    victims = ("control", "steward", "uacme")

    def ready(self, home):
        home.serial = certs(home)["@base"]["serial"]

    def act(self, home):
        ctl_done(home, "renew", "@base")
        wait_held(home, "@base", home.serial)

    def again(self, home):
        home.until("no proof in DNS", lambda: not home.proofs(), 30)
        home.stop_home()
        home.let_time_pass()
        home.start_home(self.config)
        if certs(home)["@base"]["serial"] == home.serial:
            home.ctl_run("renew", "@base")
        wait_held(home, "@base", home.serial, patient=True)


class RenewAnew(Renew):
    """With a new account at the authority."""
    base, victims = "stranger", ("steward", "uacme")


OPS = [op() for op in (Pair, Enrol, EnrolAgent, RenewDevice, RenewAgent, AddUser, RemoveUser,
                       AllowUser, SetUp, SignIn, SignOut, RemoveDevice, Issue, Renew, RenewAnew)
       if ONLY in op.__name__]


# ---- the homes ----

def prepare(home):
    """The states from which rounds begin."""
    found = glob.glob(PRELOAD)
    check(found, "the package faketime is missing")
    home.keep("nothing")
    home.start_home(WILDCARD, {"LD_PRELOAD": found[0], **TEN_DAYS_AGO})
    home.devices["tv"] = 9
    equal(home.enrol("tv").returncode, 0, "enrolment ten days ago")
    home.stop_home()
    home.let_time_pass()
    home.start_home(WILDCARD)
    wait_held(home, "@base", patient=True)
    home.stop_home()
    home.let_time_pass()
    home.keep("old")
    home.put_back("nothing")
    home.start_home(WILDCARD)
    wait_held(home, "@base")
    home.stop_home()
    home.let_time_pass()
    home.keep("empty")
    home.start_home(WILDCARD)
    Browser(home).set_up(home.setup_link())
    ctl_done(home, "users", "add", "ada")
    equal(home.enrol("tv").returncode, 0, "enrolment")
    home.spare = home.token("d1")
    home.stop_home()
    home.let_time_pass()
    home.keep("home")
    for account in (home.folder / "state/steward/acme").glob("ca-*"):
        shutil.rmtree(account)
    home.keep("stranger")
    home.put_back("home")
    home.start_home("")
    for name in ("tv", "d1"):
        wait_held(home, name)
    home.stop_home()
    home.let_time_pass()
    home.keep("own")


# ---- rounds ----

def attach(home, victim, point=None, how="signal=KILL"):
    inject = []
    if point:
        call, number, path = point
        inject = ["-e", f"inject={call}:{how}:when={number}"] + (["-P", path] if path else [])
    if victim == "agent":
        return Trace(home, argv=home.argv, follow=True, inject=inject, stdin=home.stdin)
    if victim == "control":
        return Trace(home, pid=home.control_thread(), inject=inject)
    if victim == "uacme":
        return UacmeTrace(home, inject=inject)
    return Trace(home, pid=home.steward_pid(), inject=inject)


def run_traced(home, op, victim, point=None, how="signal=KILL"):
    """The operation once, under strace, from its beginning; whether the point was hit."""
    home.put_back(op.base)
    home.sections["acme"] = f"  uacme: {home.slow_uacme}" if victim == "uacme" else ""
    home.start_home(op.config)
    op.ready(home)
    home.cut = False
    trace = attach(home, victim, point, how)
    act = Act(op.act, home)
    try:
        act.wait(trace)
        if trace.killed() and victim != "uacme":
            home.cut = True
            home.kill_all()
        act.join(60)
        check(not act.is_alive(), "the operation does not end")
        if act.error and point:
            trace.wait_hit()
    finally:
        trace.end_program()
        trace.close()
    if not trace.hit():
        check(not act.error, lambda: f"{op.name} fails undisturbed: {act.error}")
    return trace.hit()


def points_of(home, op, victim):
    """Every (call, number, path) at which the victim changes a file during the operation. Once all
    was written, none of it may be lost with the power."""
    run_traced(home, op, victim)
    kept = []
    for _, call, number, rest in killlab.writing_calls(home.folder / "trace", home.folder):
        if "= -1 E" in rest:
            continue
        path = killlab.path_in(rest)
        if victim == "uacme":
            kept.append((call, 1 + sum(p[0] == call and p[2] == path for p in kept), path))
        else:
            kept.append((call, number, None))
    if victim != "uacme":  # it syncs nothing; what matters is written again
        calls = [c[1:] for c in killlab.calls_of(home.folder / "trace")]
        equal(synced.complaints(calls, home.folder), [], "lost with the power")
    home.stop_home()
    return kept


def kill_round(home, op, victim, point):
    """False: the operation was over before the point came."""
    hit = run_traced(home, op, victim, point)
    home.kill_all()
    home.cut = False
    home.start_home(op.config)
    home.check_files()
    op.again(home)
    home.check_files()
    equal(list((home.folder / "state").rglob("*.pem.tmp")), [], "half files of uacme")
    equal(killlab.half_files(home.folder / "agents"), [], "half files of the agent")
    home.stop_home()
    return hit


def is_telling(point):
    """Where a kill once did harm that a restart did not mend."""
    return point[0] == "rename" and str(point[2]).endswith(".pem.tmp")


class Sweep:
    """Rounds for all homes, and what they found."""

    def __init__(self, homes):
        self.homes, self.deadline, self.owed = homes, 0, set()
        self.points, self.killed, self.missed, self.failed = {}, {}, {}, {}
        self.lock = threading.Lock()

    def each(self, jobs, fn):
        """fn(home, job) for every job, one at a time in each home."""
        jobs = collections.deque(jobs)

        def work(home):
            while True:
                with self.lock:
                    if not jobs:
                        return
                    job = jobs.popleft()
                fn(home, job)
        with concurrent.futures.ThreadPoolExecutor(len(self.homes)) as pool:
            for done in [pool.submit(work, home) for home in self.homes]:
                done.result()

    def find(self, home, job):
        op, victim = job
        self.points[job] = self.guard(home, job, "undisturbed", points_of, op, victim) or []

    def guard(self, home, job, what, fn, *args):
        """A round that fails is told, and the others go on."""
        try:
            return fn(home, *args)
        except Exception as error:  # any failure is this round's
            words = f"{job[1]} at {what}: {error}"
            with self.lock:
                self.failed.setdefault(job[0], []).append(words)
                print(f"# {job[0].name} {words}", flush=True)
                print(f"---- {job[0].name} {words}\n{traceback.format_exc()}{home.log_end()}",
                      file=sys.stderr, flush=True)
            home.kill_all()
            home.gateway = None
            return None

    def kill(self, home, job):
        op, victim, point = job
        if time.monotonic() > self.deadline and (op, victim, point) not in self.owed:
            return
        hit = self.guard(home, (op, victim), point, kill_round, op, victim, point)
        count = self.missed if hit is False else self.killed
        with self.lock:
            count[op] = count.get(op, 0) + 1
            if sum(self.killed.values()) % 50 == 0:
                print(f"# {sum(self.killed.values())} kills", flush=True)

    def plan(self):
        """All points: one for each job first, then one of each kind, then the rest."""
        dice, parts = random.Random(SEED), ([], [], [])
        for (op, victim), points in self.points.items():
            kinds = set()
            for point in sorted(dice.sample(points, len(points)), key=is_telling, reverse=True):
                part = 2 if point[0] in kinds else 1 if kinds else 0
                parts[part].append((op, victim, point))
                kinds.add(point[0])
        for part in parts if not ALL else ():
            dice.shuffle(part)
        self.owed = set(parts[0])
        return [job for part in parts for job in part]


def sweep_all(sweep):
    begun = time.monotonic()
    sweep.each(sweep.homes, lambda home, _: prepare(home))
    sweep.each([(op, victim) for op in OPS for victim in op.victims], sweep.find)
    plan = sweep.plan()
    print(f"# {len(plan)} points, found within {time.monotonic() - begun:.0f} s", flush=True)
    sweep.deadline = begun + (36000 if ALL else SECONDS)
    sweep.each(plan, sweep.kill)
    print(f"# {sum(sweep.killed.values())} kills, {sum(sweep.missed.values())} points not met, "
          f"{time.monotonic() - begun:.0f} s", flush=True)


def report(sweep):
    """A line for each operation."""
    for number, op in enumerate(OPS, 1):
        points = sum(len(p) for (o, _), p in sweep.points.items() if o is op)
        killed = sweep.killed.get(op, 0)
        good = op not in sweep.failed and killed > 0
        print(f"{'ok' if good else 'not ok'} {number} - {op.name} killed at {killed} of {points} "
              "points")
        for words in sweep.failed.get(op, []):
            print("# " + words.replace("\n", "\n# "))
    return not sweep.failed and len(sweep.killed) == len(OPS)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    synced.proves_itself()
    print(f"1..{len(OPS)}\n# SEED={SEED}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lanthorn-kill."))
    lab = lib.Lab(folder / "lab")
    homes = []
    try:
        homes += [killlab.Home(lab, folder / f"h{n}", f"h{n}.{lab.domain}") for n in range(HOMES)]
        sweep = Sweep(homes)
        sweep_all(sweep)
        good = report(sweep)
    finally:
        for home in homes:
            home.kill_all()
        lab.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


main()
