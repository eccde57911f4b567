"""What the figures are made of: CPU and memory of a process tree, and runs of the clients. All clients
offer the same suites, browsers' order, and X25519 first, so that every proxy does the same work."""
import array
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("BUILD", "build-bench")).resolve()
LOAD = BUILD / "tests/bench/load"
MKCERTS = BUILD / "tests/bench/mkcerts"
BULK = 64 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT, PFN = 1 << 63, (1 << 55) - 1  # of an entry in /proc/PID/pagemap
SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

# wrk has no option for any of this: its name goes to another address, and its OpenSSL is told by file.
WRK_LUA = """local lookup = wrk.lookup
function wrk.resolve(host, service) wrk.addrs = lookup("127.0.0.1", service) end
"""
OPENSSL_CONF = f"""openssl_conf = main
[main]
ssl_conf = modules
[modules]
system_default = settings
[settings]
Ciphersuites = {SUITES}
Groups = X25519:P-256
MinProtocol = TLSv1.3
"""


class Broken(Exception):
    """A client or a proxy did not do what was asked, so there is no figure."""


@dataclasses.dataclass
class Sample:
    """One round's figure of one proxy."""
    cost: float            # CPU of the proxy's tree per operation; or memory, or time
    rate: float = 0        # operations a second
    p99_ms: float = 0
    errors: int = 0
    note: str = ""


def tree(pid):
    """pid and every descendant."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def threads_ns(pid):
    """Nanoseconds on a processor so far, of every thread in the tree."""
    spent = {}
    for process in tree(pid):
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{process}/task").iterdir():
                spent[int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return spent


class Cpu:
    """CPU of a tree since this object was made. A thread that ends in between takes its share along;
    no proxy here ends threads under load."""

    def __init__(self, pid):
        self.pid = pid
        self.before = threads_ns(pid)

    def by_thread(self):
        after = threads_ns(self.pid)
        return {tid: ns - self.before.get(tid, 0) for tid, ns in after.items()}

    def us(self):
        return sum(self.by_thread().values()) / 1e3


def pages_of(pid):
    """The physical pages that a process maps, by number; none where the kernel does not tell us."""
    pages = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for line in maps:
            first, last = (int(text, 16) // PAGE for text in line.split()[0].split("-"))
            if line.rstrip().endswith(("[vvar]", "[vdso]", "[vsyscall]")):
                continue
            for at in range(first, last, 1 << 16):
                entries = array.array("Q", os.pread(pagemap.fileno(),
                                                    8 * min(last - at, 1 << 16), 8 * at))
                pages.update(entry & PFN for entry in entries if entry & PRESENT)
    return pages - {0}


def memory_kib(pids, of=None):
    """What these processes hold together, or the share of one of them: a page counts for each that maps it by
    their number, whoever else on the machine has it, too. It is the PSS that they have when nobody else
    runs; without the right to see the pages, their PSS as it is."""
    pages = {pid: pages_of(pid) for pid in pids}
    users = collections.Counter(page for some in pages.values() for page in some)
    if users and of:
        return sum(1 / users[page] for page in pages[of]) * PAGE / 1024
    if users:
        return len(users) * PAGE / 1024
    total = 0
    for pid in [of] if of else pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
    return total


def command(argv, seconds, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=seconds,
                          check=False, **more)
    if done.returncode:
        raise Broken(f"{argv[0]}: exit {done.returncode}: {done.stderr[-300:] or done.stdout[-300:]}")
    return done.stdout


def load_argv(mode, proxy, **options):
    """`load` against a proxy; options by their letters, True for those without a value."""
    argv = [LOAD, "-m", mode, "-a", f"127.0.0.1:{proxy.port}", "-n", options.pop("n", proxy.host)]
    for letter, value in options.items():
        argv += ["-" + letter.lstrip("_")] + ([] if value is True else [str(value)])
    return argv


def load(mode, proxy, **options):
    limit = float(options.get("d", 60)) + 90
    return json.loads(command(load_argv(mode, proxy, **options), limit))


class Clients:
    """The public clients, with their settings in a folder."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "wrk.lua").write_text(WRK_LUA)
        (folder / "openssl.cnf").write_text(OPENSSL_CONF)
        self.env = {**os.environ, "OPENSSL_CONF": str(folder / "openssl.cnf")}

    def handshakes(self, proxy, seconds, **more):
        cpu = Cpu(proxy.pid)
        got = load("shake", proxy, c=8, d=seconds, **more)
        us = cpu.us()
        if not got["done"] or got["group"] != "x25519":
            raise Broken(f"{proxy.name}: {got}")
        resumed = got["resumed"] / got["done"]
        if "R" in more and resumed < 0.95 or "R" not in more and resumed:
            raise Broken(f"{proxy.name}: {resumed:.0%} resumed")
        return Sample(us / got["done"], got["done"] / got["seconds"], got["p99"] / 1e3,
                      got["failed"], got["suite"])

    def resumed(self, proxy, seconds):
        return self.handshakes(proxy, seconds, R=True)

    def h1(self, proxy, seconds, header=(), host=None):
        cpu = Cpu(proxy.pid)
        headers = [word for line in header for word in ("-H", line)]
        text = command(["wrk", "-t1", "-c64", f"-d{max(1, round(seconds))}s", "--latency", "-s",
                        self.folder / "wrk.lua", *headers,
                        f"https://{host or proxy.host}:{proxy.port}/1k"], seconds + 60, env=self.env)
        us = cpu.us()
        count = int(re.search(r"(\d+) requests in", text)[1])
        if not count:
            raise Broken(f"{proxy.name}: wrk: {text}")
        bad = sum(int(n) for n in re.findall(r"Non-2xx.*: (\d+)", text))
        bad += sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
        p99 = float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]
        return Sample(us / count, float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
                      p99, bad)

    def h2(self, proxy, seconds):
        """Eight connections, each to a host of its own: a device's own server takes few connections,
        so the gateway opens few, and 256 requests at once for one device are not its trade."""
        seconds = max(1, round(seconds))
        logs = [self.folder / f"h2load.{i}" for i in range(8)]
        for log in logs:
            log.unlink(missing_ok=True)
        cpu = Cpu(proxy.pid)
        children = [subprocess.Popen(
            ["h2load", "-D", str(seconds), "-c1", "-m32", "-t1", f"--log-file={log}",
             f"--connect-to=127.0.0.1:{proxy.port}", f"https://d{i}.bench.test:{proxy.port}/1k"],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for i, log in enumerate(logs)]
        texts = [child.communicate(timeout=seconds + 60)[0] for child in children]
        us = cpu.us()
        good = sum(int(re.search(r"(\d+) 2xx", text)[1]) for text in texts)
        bad = sum(int(n) for text in texts for n in re.findall(r"(\d+) failed|(\d+) errored", text)[0]
                  if n)
        if not good:
            raise Broken(f"{proxy.name}: h2load: {texts[0][-400:]}")
        took = sorted(int(line.split("\t")[2]) for log in logs
                      for line in log.read_text().splitlines())
        return Sample(us / good, good / seconds, took[int(len(took) * 0.99)] / 1e3, bad)

    def bulk(self, proxy, seconds, version):
        """Whole downloads, one after another, about one a second of the round."""
        cpu = Cpu(proxy.pid)
        begun, count = time.monotonic(), max(1, round(seconds))
        for _ in range(count):
            size = command(["curl", "-sk", f"--http{version}", "--tls13-ciphers", SUITES, "--resolve",
                            f"{proxy.host}:{proxy.port}:127.0.0.1", "-o", os.devnull, "-w",
                            "%{size_download} %{http_version} %{http_code}",
                            f"https://{proxy.host}:{proxy.port}/64m"], 120, env=self.env)
            if size.split() != [str(BULK), version, "200"]:
                raise Broken(f"{proxy.name}: curl: {size}")
        us = cpu.us()
        total = count * BULK
        return Sample(us * 1e3 / total, total / (time.monotonic() - begun) / 1e6)

    def latency(self, proxy, seconds, **more):
        got = load("rate", proxy, c=32, d=seconds, r=1000, p="/1k", **more)
        return Sample(got["p99"], got["done"] / got["seconds"], got["p99"] / 1e3, got["failed"],
                      f"p50 {got['p50']:.0f} µs")


@contextlib.contextmanager
def talking(argv):
    """A client that waits for its standard input to end; with its first line of JSON."""
    with tempfile.TemporaryFile("w+") as errors, \
            subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=errors, text=True) as child:
        try:
            line = child.stdout.readline()
            if not line:
                errors.seek(0)
                raise Broken(f"{argv[0]}: {errors.read()[-300:]}")
            yield child, json.loads(line)
        finally:
            child.stdin.close()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def idle(proxy, count, h2):
    """KiB of the tree for each of `count` connections that had one answer; the process is fresh, since
    a warmed heap hides the cost."""
    time.sleep(0.5)
    before = memory_kib(tree(proxy.pid))
    options = {"_2": True} if h2 else {}
    with talking(load_argv("hold", proxy, c=count, f=32, p="/1k", **options)):
        time.sleep(1.5)
        after = memory_kib(tree(proxy.pid))
    return Sample((after - before) / count, note=f"{before:.0f} KiB before")
