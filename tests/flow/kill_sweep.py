#!/usr/bin/env python3
"""Killed at every system call that writes: enrolment, issue, renewal, people and devices coming and
going, on the gateway's side and on the agent's. After each kill all is started anew, whole, and the
operation can be repeated. Then the disk is full (ENOSPC) or broken (EIO) at one of those calls: the
operation succeeds or says why not, nothing is half done, and the next try works.

Within tests/run a sample of the points is tried, as many as fit into SECONDS; --all tries all.
SEED chooses the sample, ONLY the operations whose name contains it.
"""
import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

import killlab
import killops
import lib
import synced
from killlab import Act, Trace, UacmeTrace
from lib import check, equal

ALL = "--all" in sys.argv
SEED = int(os.environ.get("SEED", random.randrange(1 << 31)))
ONLY = os.environ.get("ONLY", "")
SECONDS = int(os.environ.get("SECONDS", 140))
FAIL_SECONDS = int(os.environ.get("FAIL_SECONDS", 25))
HOMES = int(os.environ.get("HOMES", 4))
OPS = [getattr(killops, name)() for name in (
    "Pair Enrol EnrolAgent RenewDevice RenewAgent AddUser RemoveUser AllowUser SetUp SignIn "
    "SignOut RemoveDevice Issue Renew RenewAnew").split() if ONLY in name]
FAIL_OPS = ("Pair", "Enrol", "AddUser", "Issue")
FAIL_CALLS = ("fsync", "fdatasync", "pwrite64", "write", "rename")
FAIL_ERRORS = ("ENOSPC", "EIO")


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
    home.error = act.error
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


def injected_paths(home):
    lines = killlab.calls_of(home.folder / "trace")
    return [killlab.path_in(rest) for _, _, rest in lines if "(INJECTED)" in rest]


def fail_round(home, op, victim, point, error):
    """False: it was not a file of the state that failed. The gateway goes on all the while."""
    home.patience = 60
    try:
        hit = run_traced(home, op, victim, point, f"error={error}")
    finally:
        home.patience = None
    paths = injected_paths(home)
    if not hit or not all(path.startswith(f"{home.folder}/state/") for path in paths):
        home.kill_all()
        return False
    words = str(home.error or "")
    check("not within" not in words, f"neither done nor refused: {words}")
    if os.environ.get("TELL"):
        print(f"# {op.name} {victim} {error} {point} {paths}: {words or 'done'}", flush=True)
    home.check_files()
    op.judge(home, home.error)
    op.again(home)
    home.check_files()
    equal(list((home.folder / "state").rglob("*.pem.tmp")), [], "half files of uacme")
    check("parent: ended" not in home.gateway.text(), "a process of the gateway has died")
    home.stop_home()
    killlab.databases_are_whole(home)
    return True


def is_telling(point):
    """Where a kill once did harm that a restart did not mend."""
    return point[0] == "rename" and str(point[2]).endswith(".pem.tmp")


class Sweep:
    """Rounds for all homes, and what they found."""

    def __init__(self, homes):
        self.homes, self.deadline, self.owed = homes, 0, set()
        self.points, self.killed, self.missed, self.failed = {}, {}, {}, {}
        self.errors, self.strayed = {}, 0
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
        # A point that is not met is made up for by another.
        if time.monotonic() > self.deadline and job not in self.owed and self.killed.get(op):
            return
        hit = self.guard(home, (op, victim), point, kill_round, op, victim, point)
        count = self.missed if hit is False else self.killed
        with self.lock:
            count[op] = count.get(op, 0) + 1
            if sum(self.killed.values()) % 50 == 0:
                print(f"# {sum(self.killed.values())} kills", flush=True)

    def fail(self, home, job):
        op, victim, point, error = job
        if time.monotonic() > self.deadline and job not in self.owed:
            return
        what = f"{error} {point}"
        hit = self.guard(home, (op, victim), what, fail_round, op, victim, point, error)
        with self.lock:
            self.errors[op] = self.errors.get(op, 0) + (hit is True)
            self.strayed += hit is False

    def plan_errors(self):
        """One point of each kind of call for each operation and victim first, then the rest."""
        dice, first, rest = random.Random(SEED), [], []
        for (op, victim), points in self.points.items():
            kinds = set()
            for point in dice.sample(points, len(points)) if op.name in FAIL_OPS else ():
                if point[0] not in FAIL_CALLS:
                    continue
                errors = dice.sample(FAIL_ERRORS, 2)
                (rest if point[0] in kinds else first).append((op, victim, point, errors[0]))
                rest.append((op, victim, point, errors[1]))
                kinds.add(point[0])
        dice.shuffle(first)
        dice.shuffle(rest)
        for op in {job[0] for job in first}:
            self.owed.add(next(job for job in first if job[0] is op))
        return first + rest

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
    sweep.each(sweep.homes, lambda home, _: killops.prepare(home))
    sweep.each([(op, victim) for op in OPS for victim in op.victims], sweep.find)
    plan = sweep.plan()
    print(f"# {len(plan)} points, found within {time.monotonic() - begun:.0f} s", flush=True)
    sweep.deadline = begun + (36000 if ALL else SECONDS)
    sweep.each(plan, sweep.kill)
    print(f"# {sum(sweep.killed.values())} kills, {sum(sweep.missed.values())} points not met, "
          f"{time.monotonic() - begun:.0f} s", flush=True)
    sweep.deadline = time.monotonic() + (36000 if ALL else FAIL_SECONDS)
    sweep.each(sweep.plan_errors(), sweep.fail)
    print(f"# {sum(sweep.errors.values())} errors, {sweep.strayed} that met another file, "
          f"{time.monotonic() - begun:.0f} s", flush=True)


def report(sweep):
    """A line for each operation."""
    for number, op in enumerate(OPS, 1):
        points = sum(len(p) for (o, _), p in sweep.points.items() if o is op)
        killed = sweep.killed.get(op, 0)
        good = op not in sweep.failed and killed > 0
        print(f"{'ok' if good else 'not ok'} {number} - {op.name} killed at {killed} of {points} "
              f"points, failed at {sweep.errors.get(op, 0)}")
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
