"""What the kill sweep works with: a home that is put back as it was before each round, system calls
that strace records, kills or fails, and what has to hold of a home's files at any moment.
"""
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import ssl
import subprocess
import threading
import time

import lib
from lib import check, equal, wait_for

CALLS = ("pwrite64 write writev fsync fdatasync rename renameat renameat2 unlink unlinkat ftruncate "
         "link linkat mkdir mkdirat fchmod fchmodat chmod symlink fallocate").split()
# openat makes files, close ends what is written to them.
TRACED = ",".join(CALLS + ["openat", "close"])
LINE = re.compile(r"^(?:(\d+) +)?(\w+)\((.*)$")


# ---- files ----

def whole(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], str(path))
        equal(db.execute("PRAGMA foreign_key_check").fetchall(), [], str(path))
    db.close()


def databases_are_whole(stack):
    whole(stack.folder / "state/gate/gate.db")
    whole(stack.folder / "state/steward/steward.db")


def keys_and_certificates_match(stack):
    """Key and chain are in one file; loading them compares them."""
    gate = stack.folder / "state/gate"
    for pem in [*(gate / "certs").glob("*.pem"), gate / "device-ca.pem"]:
        # One read, since a renewal replaces the file between two.
        copy = stack.folder / f"copy-{pem.name}"
        copy.write_bytes(pem.read_bytes())
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(copy)
        except ssl.SSLError as error:
            raise lib.Failure(f"{pem.name}: {error}") from error
        finally:
            copy.unlink()


def half_files(folder):
    return [str(p) for p in folder.rglob("*.tmp~")]


# ---- strace ----

class Trace:
    """strace at work on one thread, on a process with its children, or on a program it starts."""

    def __init__(self, home, name="trace", pid=None, argv=None, follow=False, inject=None, stdin=None,
                 calls=TRACED):
        self.log = home.folder / name
        self.log.write_bytes(b"")
        self.starts = bool(argv)
        args = ["strace", "-y", "-s", "0", "-o", str(self.log), "-e", f"trace={calls}"]
        args += ["-e", "signal=KILL"] + (["-f"] if follow else []) + (inject or [])
        args += ["-p", str(pid)] if pid else [str(a) for a in argv]
        self.out = open(home.folder / f"{name}.out", "w+b")
        self.child = subprocess.Popen(args, stdout=self.out, stderr=self.out, cwd=home.folder,
                                      stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                      env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
                                      start_new_session=bool(argv))
        if stdin:
            self.child.stdin.write(stdin.encode())
            self.child.stdin.close()
        if pid:
            wait_for("strace to attach", lambda: attached(pid), 10, 0.002)

    def ended(self):
        return self.child.poll() is not None

    def killed(self):
        """A kill has found its victim."""
        return "+++ killed by SIGKILL" in self.log.read_text(errors="replace")

    def hit(self):
        return self.killed() or "(INJECTED)" in self.log.read_text(errors="replace")

    def wait_hit(self):
        """It may have been written down a little after everybody saw it."""
        deadline = time.monotonic() + 2
        while not self.hit() and time.monotonic() < deadline:
            time.sleep(0.01)

    def end_program(self):
        """The program that strace started, if it still runs."""
        for pid, _ in lib.children_of(self.child.pid) if self.starts else ():
            try:
                os.kill(pid, signal.SIGTERM)
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self):
        """Let go of the traced, which goes on."""
        if not self.ended():
            self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(5)

    def close(self):
        self.stop()
        self.out.close()


class UacmeTrace(threading.Thread):
    """strace at work on each uacme that the steward runs, and on nothing else below it."""
    # The time to attach. What was to be loaded into uacme has been used up by the shell.
    WAIT = ('#!/bin/sh\nsleep 0.4\nLD_PRELOAD={build}/lanthorn-uacme.so exec uacme "$@"\n')

    def __init__(self, home, **more):
        super().__init__(daemon=True)
        self.home, self.more, self.over = home, more, False
        self.steward, self.traces, self.log = home.steward_pid(), {}, home.folder / "trace"
        self.start()

    def run(self):
        while not self.over:
            try:
                for pid, line in lib.children_of(self.steward):
                    if pid not in self.traces and line[1:2] == [str(self.home.slow_uacme)]:
                        self.traces[pid] = Trace(self.home, f"trace-{pid}", pid, **self.more)
            except (OSError, lib.Failure):
                pass  # it has ended
            time.sleep(0.02)

    def killed(self):
        return any(trace.killed() for trace in list(self.traces.values()))

    def hit(self):
        return any(trace.hit() for trace in list(self.traces.values()))

    wait_hit, end_program = (lambda self: None), (lambda self: None)

    def close(self):
        self.over = True
        self.join(15)
        for trace in self.traces.values():
            trace.close()
        self.log.write_text("".join(t.log.read_text(errors="replace")
                                    for t in self.traces.values()))


def calls_of(log):
    """(pid, call, rest of the line) in the order in which they began."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if match:
            found.append((match[1] or "0", match[2], match[3]))
    return found


def attached(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(r"^TracerPid:\t(\d+)", text, re.M)[1] != "0"


def is_writing(call, rest, folder):
    """Does it change a file of the state, the gateway's or an agent's?"""
    if call == "close" or not path_in(rest).startswith((f"{folder}/state/", f"{folder}/agents/")):
        return False
    return call != "openat" or "O_CREAT" in rest


def writing_calls(log, folder):
    """(pid, call, its number among the thread's calls of the kind, rest) of what changes files."""
    counts, found = {}, []
    for pid, call, rest in calls_of(log):
        key = (pid, call)
        counts[key] = counts.get(key, 0) + 1
        if is_writing(call, rest, folder):
            found.append((pid, call, counts[key], rest))
    return found


def path_in(rest):
    """The first path of a call: of its descriptor or its argument."""
    match = re.match(r'\d+<([^>]*)>|(?:AT_FDCWD<[^>]*>, )?"([^"]*)"', rest)
    return (match[1] or match[2]) if match else ""


# ---- a home ----

class Home(lib.Stack):
    """A gateway of its own below a shared lab, whose state is put back from a copy."""

    def __init__(self, lab, folder, domain):
        # Not Stack's: the lab is another's.
        self.folder, self.lab, self.domain = folder, lab, domain
        self.port, self.http_port = lib.free_port(), 0
        self.processes, self.devices, self.agents = [], {}, {}
        self.gateway, self.config, self.sections = None, "", {}
        self.expect_crashes, self.cut, self.published = set(), False, {}
        self.patience = None  # s that `until` waits at most
        for name in ("state", "run", "agents"):
            (folder / name).mkdir(parents=True, mode=0o700)
        self.slow_uacme = folder / "slow-uacme"
        self.slow_uacme.write_text(UacmeTrace.WAIT.format(build=lib.BUILD))
        self.slow_uacme.chmod(0o755)

    def start_home(self, more="", env=None):
        self.config = f"log:\n  level: info\n{more}"
        path = self.folder / "gateway.yaml"
        path.write_text(self.config_text().replace("log:\n  level: debug\n", "", 1))
        log = self.folder / "lanthornd.log"
        if log.exists():
            log.replace(self.folder / "lanthornd-before.log")
        self.gateway = lib.Process("lanthornd", [
            lib.BUILD / "lanthornd", "--config", path, "--libexec", lib.BUILD], self.folder, env)
        wait_for("the control socket", self.gateway_answers, 20, 0.02)

    def until(self, what, fn, seconds=20):
        """As wait_for, but given up when the gateway under it was killed."""
        def step():
            if self.cut:
                raise lib.Fatal("cut short")
            return fn()
        return wait_for(what, step, min(seconds, self.patience or seconds), 0.02)

    def agent_conf(self, name):
        path = self.folder / f"{name}.conf"
        if not path.exists():  # an agent may be reading it
            path.write_text(f"service 127.0.0.1:9\nstate {self.folder}/agents/{name}\n")
        return path

    def keep(self, name):
        """Remember the state, of a gateway that is stopped, as `name`."""
        copy = self.folder / "copies" / name
        path = self.folder / "state/steward/steward.db"
        self.published[name] = []
        if path.exists():
            with sqlite3.connect(path) as db:
                self.published[name] = [n for n, in db.execute("SELECT name FROM published")]
            db.close()
        for part in ("state", "agents"):
            shutil.copytree(self.folder / part, copy / part, symlinks=True)

    def put_back(self, name):
        self.set_dns(self.published[name])
        for part in ("state", "agents"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
            shutil.copytree(self.folder / "copies" / name / part, self.folder / part,
                            symlinks=True)

    def control_thread(self):
        """The gate's thread that writes."""
        for task in pathlib.Path(f"/proc/{self.gate_pid()}/task").iterdir():
            if (task / "comm").read_text().strip() == "gate-control":
                return int(task.name)
        raise lib.Fatal("no control thread")

    def kill_all(self):
        """As when the power goes: every process of the gateway at once."""
        if not self.gateway:
            return
        pids = [self.gateway.pid, self.gate_pid(), self.steward_pid()]
        for pid in filter(None, pids):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.gateway.child.wait(10)
        for pid in filter(None, pids):
            wait_for("the end of the old processes", lambda pid=pid: not alive(pid), 10, 0.005)

    def stop_home(self):
        if not self.gateway:
            return
        equal(self.gateway.stop(), 0, "exit code of lanthornd")
        words = self.gateway.text()
        check(not lib.SANITIZER.search(words), lambda: f"a sanitizer complains: {words[-4000:]}")
        self.gateway = None

    def log_end(self):
        logs = sorted(self.folder.glob("*.log"))
        return "".join(f"---- {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in logs)

    def check_files(self):
        """What has to hold at any moment, while it runs."""
        databases_are_whole(self)
        keys_and_certificates_match(self)
        # The gateway itself may be at work on one.
        wait_for("no half file", lambda: not half_files(self.folder / "state"), 5)

    def ledger(self):
        path = self.folder / "state/steward/steward.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
            rows = db.execute("SELECT name FROM ledger").fetchall()
        db.close()
        return rows

    def proofs(self):
        """The proofs that stand in DNS, or that the ledger knows of."""
        return self.ledger() + [n for n in self.names() if self.lab.dig("_acme-challenge." + n, "TXT")]

    def set_dns(self, names):
        """What stands in DNS: the addresses of these names and nothing else."""
        lab, secret = self.lab, pathlib.Path(self.lab.tsig_secret_file).read_text().strip()
        lines = [f"server 127.0.0.1 {lab.dns_port}", f"zone {lab.domain}"]
        for name in self.names():
            lines += [f"update delete {name} A", f"update delete _acme-challenge.{name} TXT"]
        lines += [f"update add {name} 1 A 127.0.0.1" for name in names] + ["send\n"]
        subprocess.run(["nsupdate", "-y", f"{lab.tsig_algorithm}:{lab.tsig_name}:{secret}"],
                       input="\n".join(lines), text=True, timeout=20, check=True)

    def names(self):
        return [self.domain] + [self.host(d) for d in ("*", "tv", "d1", "d2")]

    def let_time_pass(self):
        let_time_pass(self)


def let_time_pass(stack):
    """While all are stopped: what waits for a moment finds it has come."""
    for kind, rows in (("gate", (
            "UPDATE certs SET next_at = 1 WHERE fails > 0",)), ("steward", (
            "UPDATE attempts SET next_at = 1, last_at = 1",
            "DELETE FROM meta WHERE key LIKE 'issued:%'"))):
        path = stack.folder / f"state/{kind}/{kind}.db"
        with sqlite3.connect(path, timeout=5) as db:
            for row in rows:
                db.execute(row)
        db.close()


def descendants(pid):
    """(pid, name) of those below it, without a look at all processes, which takes longer than some
    live. One may be left out while another ends."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in path.read_text().split():
                name = pathlib.Path(f"/proc/{child}/comm").read_text().rstrip("\n")
                found += [(int(child), name), *descendants(child)]
        except OSError:
            continue
    return found


def processes(ancestor, name):
    """Those of this name below `ancestor` (None: anywhere), by one look at all processes."""
    parents, named = {}, []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            head, tail = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
        except OSError:
            continue
        parents[int(pid)] = int(tail.split()[1])
        if head.split("(", 1)[1] == name and tail.split()[0] != "Z":
            named.append(int(pid))

    def below(pid):
        return ancestor is None or (pid in parents and parents[pid] == ancestor) or (
            pid in parents and below(parents[pid]))
    return [pid for pid in named if below(pid)]


def alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


class Act(threading.Thread):
    """An operation under way; it may be cut short, and then its complaint is of no interest."""

    def __init__(self, fn, *args):
        super().__init__(daemon=True)
        self.fn, self.args, self.error = fn, args, None
        self.start()

    def run(self):
        try:
            self.fn(*self.args)
        except Exception as error:  # told by whoever waits
            self.error = error

    def wait(self, trace, seconds=320):
        """Until it is over or the traced has died."""
        deadline = time.monotonic() + seconds * lib.SLOW
        while self.is_alive() and not trace.killed():
            check(time.monotonic() < deadline, "the operation does not end")
            time.sleep(0.005)
