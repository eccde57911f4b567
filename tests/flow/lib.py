"""What the flows share: a lab, a gateway and agents in a folder of their own, bounded waits, TAP.

Every process is started here and ended by its own pid; nothing outlives a flow. A flow is a list of
functions that take the Stack and raise on failure; their names are the promises that TAP shows.
"""
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", TOP / "build/asan")).resolve()
DEMO = pathlib.Path(os.environ.get("DEMO", TOP / "build/demo")).resolve()
# Threads that serve, where a flow does not say: two, so that links are often on the other loop.
WORKERS = os.environ.get("WORKERS", "2")
SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")
SLOW = 3 if "tsan" in BUILD.name else 1
SANITIZED = b"__asan_init" in (BUILD / "lanthornd").read_bytes() if BUILD.is_dir() else False
# Lines that every gateway's and agent's settings get, so that a flow can be run again in another mode.
GATEWAY_MORE = os.environ.get("GATEWAY_MORE", "")
AGENT_MORE = os.environ.get("AGENT_MORE", "")


class Failure(Exception):
    """A promise that did not hold."""


class Skip(Exception):
    """This promise cannot be tried here; the words say why."""


class Fatal(Exception):
    """Nothing after this can succeed: waits end at once, and so does the flow."""


def check(claim, words):
    if not claim:
        raise Failure(words() if callable(words) else str(words))


def equal(found, expected, what="value"):
    check(found == expected, f"{what}: {found!r}, expected {expected!r}")


def wait_for(what, fn, seconds=20.0, pause=0.05):
    """Call fn until it returns something true, and return that; an exception counts as not yet."""
    deadline = time.monotonic() + seconds * SLOW
    last = None
    while time.monotonic() < deadline:
        try:
            value = fn()
            if value:
                return value
            last = value
        except (OSError, ValueError, LookupError, subprocess.SubprocessError, Failure) as error:
            last = error
        time.sleep(pause)
    raise Failure(f"{what}: not within {seconds * SLOW:g} s (last: {last!r})")


class Ports:
    """Each is a byte of one file, which is locked by the flow that took it for as long as it runs:
    between two starts of a gateway nobody listens on its port, and another flow might take it."""
    file, taken = None, set()

    @classmethod
    def take(cls, port):
        if not cls.file:
            path = pathlib.Path(tempfile.gettempdir()) / f"lanthorn-ports.{os.getuid()}"
            cls.file = open(path, "ab")
        fcntl.lockf(cls.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("127.0.0.1", port))
        cls.taken.add(port)


def free_port():
    """A port of this flow's own, below the range that the kernel hands out."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        try:
            if port not in Ports.taken:
                Ports.take(port)
                return port
        except OSError:
            continue
    raise Failure("no free port")


class Process:
    """One program, its log, and its end by pid."""

    def __init__(self, name, argv, folder, env=None, stdin=None):
        self.name = name
        self.log = folder / f"{name}.log"
        self.expect_code = (0, -signal.SIGTERM)
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log,
                                          stdin=stdin or subprocess.DEVNULL, cwd=folder,
                                          env={**os.environ, **(env or {})},
                                          start_new_session=True)
        self.pid = self.child.pid

    def alive(self):
        return self.child.poll() is None

    def stop(self, sig=signal.SIGTERM, seconds=15):
        """End it, its group too; the exit code."""
        if self.alive():
            self.child.send_signal(sig)
        try:
            self.child.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.expect_code = ("an end within time",)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.child.wait(5)

    def text(self):
        return self.log.read_text(errors="replace")


class Lab:
    """named and pebble of packaging/demo/lab.sh."""

    def __init__(self, folder, **settings):
        self.folder = folder
        ports = {f"{name}_fixed_port": free_port() for name in ("dns", "acme", "mgmt")}
        env = {**os.environ, **{f"LAB_{k.upper()}": str(v) for k, v in {**ports, **settings}.items()}}
        subprocess.run([TOP / "packaging/demo/lab.sh", "start", folder], env=env, check=True,
                       timeout=60)
        pairs = re.findall(r"^LAB_(\w+)='(.*)'$", (folder / "env").read_text(), re.M)
        self.settings = {k.lower(): v for k, v in pairs}

    def __getattr__(self, name):
        try:
            return self.__dict__["settings"][name]
        except KeyError:
            raise AttributeError(name) from None

    def stop(self):
        subprocess.run([TOP / "packaging/demo/lab.sh", "stop", self.folder], check=True,
                       timeout=60)

    def dig(self, name, kind="A"):
        done = subprocess.run(["dig", "+short", "+time=2", "+tries=1", "@" + self.dns_addr, "-p",
                               self.dns_port, name, kind], capture_output=True, text=True,
                              timeout=10, check=True)
        return sorted(done.stdout.split())


def children_of(pid):
    """(pid, command line) of the direct children; /proc/PID/exe of those not dumpable is hidden."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                line = (stat.parent / "cmdline").read_bytes().decode(errors="replace")
                found.append((int(stat.parent.name), line.split("\0")))
        except OSError:
            continue
    return found


class Stack:
    """A lab, a gateway, and the devices and agents that a flow asks for."""

    def __init__(self, config="", sections=None, **lab):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanthorn-flow."))
        self.processes = []
        self.lab = None
        self.gateway = None
        self.devices = {}
        self.agents = {}
        self.config, self.sections = config, sections or {}
        self.http_port = 0
        self.expect_crashes = set()  # of (process, signal) that the flow itself causes
        try:
            self.make_lab(lab)
        except BaseException:
            self.stop()
            raise

    def make_lab(self, settings):
        self.lab = Lab(self.folder / "lab", **settings)
        self.domain = self.lab.domain
        self.port = free_port()

    # ---- the gateway ----

    def config_text(self):
        lab, more = self.lab, self.sections
        return f"""domain: {self.domain}
listen:
  port: {self.port}
  http_port: {self.http_port}
  addresses: [127.0.0.1]
addresses: [127.0.0.1]
state_dir: {self.folder}/state
run_dir: {self.folder}/run
run_as:
  gate: ""
  steward: ""
workers: {WORKERS}
log:
  level: debug
acme:
  directory: {lab.acme_directory}
  ca_file: {lab.acme_ca}
{more.get("acme", "")}
dns:
  provider: rfc2136
  ttl: 1s
  settings:
    server: {lab.dns_addr}:{lab.dns_port}
    tsig_name: {lab.tsig_name}
    tsig_algorithm: {lab.tsig_algorithm}
    tsig_secret_file: {lab.tsig_secret_file}
  resolvers: ["{lab.dns_addr}:{lab.dns_port}"]
  query_port: {lab.dns_port}
{more.get("dns", "")}
{self.config}
{GATEWAY_MORE}
"""

    def start_gateway(self):
        for name in ("state", "run"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        path = self.folder / "gateway.yaml"
        path.write_text(self.config_text())
        self.gateway = self.start("lanthornd", *self.on("gateway"), BUILD / "lanthornd",
                                  "--config", path, "--libexec", BUILD)
        wait_for("the gateway's control socket", self.gateway_answers)

    def gateway_answers(self):
        if not self.gateway.alive():
            raise Fatal("lanthornd has ended")
        return self.ctl("status") is not None

    def steward_pid(self):
        for pid, line in children_of(self.gateway.pid):
            if line[0].endswith("/lanthorn-steward"):
                return pid
        return None

    def gate_pid(self):
        for pid, line in children_of(self.gateway.pid):
            if "--gate" in line:
                return pid
        return None

    def ctl_run(self, *args, stdin=None):
        return subprocess.run([BUILD / "lanthornctl", "--socket",
                               self.folder / "run/api.sock", *args], input=stdin,
                              capture_output=True, text=True, timeout=30 * SLOW, check=False)

    def ctl(self, *args):
        """The JSON that a verb answers."""
        done = self.ctl_run(*args, "--json")
        check(done.returncode == 0, f"lanthornctl {args}: {done.returncode} {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def setup_link(self):
        done = self.ctl_run("setup")
        check(done.returncode == 0, f"lanthornctl setup: {done.stderr}")
        return re.search(r"https://\S+setup\?token=[\w-]+", done.stdout)[0]

    def wait_for_certificate(self, name=None, seconds=60):
        """Until a trusted certificate is shown for a device's host, or for the base name."""
        import web
        wait_for(f"a certificate for {self.host(name)}",
                 lambda: web.shown_names(self.port, self.host(name), self.lab.ca), seconds, 0.2)

    def on(self, machine):
        """The words before a command that is to run on another machine."""
        del machine
        return ()

    # ---- devices ----

    def start(self, name, *argv, env=None):
        process = Process(name, argv, self.folder, env)
        self.processes.append(process)
        return process

    def start_device(self, name, title=None, script="device.js"):
        """A sample device; `requests` has what reached it."""
        port_file = self.folder / f"{name}.port"
        self.start(f"device-{name}", *self.on(name), "node", DEMO / script, "--name",
                   title or name, "--port-file", port_file, "--log",
                   self.folder / f"{name}.requests")
        wait_for(f"device {name}", port_file.exists)
        self.devices[name] = int(port_file.read_text())
        return self.devices[name]

    def token(self, name):
        done = self.ctl_run("pair", name)
        check(done.returncode == 0, f"lanthornctl pair: {done.stderr}")
        return re.search(r"lt1\.[\w-]+", done.stdout)[0]

    def agent_conf(self, name):
        path = self.folder / f"{name}.conf"
        (self.folder / f"agent-{name}").mkdir(mode=0o700, exist_ok=True)
        path.write_text(f"service 127.0.0.1:{self.devices[name]}\n"
                        f"state {self.folder}/agent-{name}\nlevel debug\n{AGENT_MORE}\n")
        return path

    def enrol(self, name, token=None):
        """The finished `lanthorn-agent enrol`; the token goes by standard input."""
        return subprocess.run([*self.on(name), BUILD / "lanthorn-agent", "--config",
                               self.agent_conf(name), "enrol"], input=(token or self.token(name)) + "\n",
                              capture_output=True, text=True, timeout=60 * SLOW, check=False)

    def start_agent(self, name):
        self.agents[name] = self.start(f"agent-{name}", *self.on(name),
                                       BUILD / "lanthorn-agent", "--config",
                                       self.agent_conf(name), "run")
        return self.agents[name]

    def requests(self, name):
        """The requests that reached a sample device: each with method, url and headers."""
        log = self.folder / f"{name}.requests"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def add_device(self, name, title=None, script="device.js"):
        """A device page, enrolled and linked."""
        self.start_device(name, title, script)
        done = self.enrol(name)
        check(done.returncode == 0, f"enrol {name}: {done.returncode} {done.stderr}")
        return self.start_agent(name)

    def host(self, name=None):
        return f"{name}.{self.domain}" if name else self.domain

    # ---- the end ----

    def complaints(self):
        """What sanitizers or exit codes say against the processes, all of which have ended."""
        found = []
        for process in self.processes:
            code = process.child.returncode
            if code not in process.expect_code:
                found.append(f"{process.name} ended with {code}")
            if SANITIZER.search(process.text()):
                found.append(f"{process.name}: a sanitizer complains")
            for crash in re.findall(r"parent: ended .*?process=(\w+) (\w+=\d+)", process.text()):
                if crash not in self.expect_crashes:
                    found.append(f"{process.name}: {' '.join(crash)}")
        return found

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        if self.lab:
            self.lab.stop()

    def dump(self):
        for process in self.processes:
            print(f"---- {process.log}", file=sys.stderr)
            hit = SANITIZER.search(process.text())
            start = max(0, hit.start() - 200) if hit else -6000
            print(process.text()[start:][:12000 if hit else None], file=sys.stderr)
        for log in sorted((self.folder / "lab/log").glob("*.log")):
            print(f"---- {log}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)


def run(tests, make=Stack):
    """Run a flow: TAP on stdout, the logs on stderr when something failed. Exits."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"1..{len(tests) + 1}", flush=True)
    failed, fatal = 0, False
    stack = make()
    try:
        for number, test in enumerate(tests, 1):
            name = test.__name__.replace("_", " ")
            if fatal:
                print(f"not ok {number} - {name} (not reached)")
                continue
            try:
                begun = time.monotonic()
                test(stack)
                print(f"ok {number} - {name}", flush=True)
                print(f"{name}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
            except Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except Exception as error:  # any failure is this test's
                failed += 1
                fatal = isinstance(error, Fatal)
                print(f"not ok {number} - {name}")
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}")
                sys.stdout.flush()
    finally:
        stack.stop()
    complaints = stack.complaints()
    print(f"{'not ok' if complaints else 'ok'} {len(tests) + 1} - every program ends cleanly")
    for line in complaints:
        print(f"# {line}")
    if failed or complaints:
        stack.dump()
    if not os.environ.get("KEEP"):
        shutil.rmtree(stack.folder, ignore_errors=True)
    sys.exit(1 if failed or complaints else 0)
