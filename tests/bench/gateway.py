"""The gateway as the benchmark runs it: the real programs, with certificates put where it keeps them, so
that it needs no authority; hosts that are open to everybody or to one session; agents on links."""
import contextlib
import hashlib
import os
import re
import sqlite3
import subprocess
import time

from measure import BUILD, MKCERTS, Broken, Cpu, command, tree
from peers import DOMAIN, Proxy, end

COOKIE = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
DAEMON = BUILD / "lanthornd"


def config(folder, port, workers, more, certificates="wildcard"):
    return f"""domain: {DOMAIN}
listen:
  port: {port}
  http_port: 0
  addresses: [127.0.0.1]
addresses: [127.0.0.1]
certificates: {certificates}
workers: {workers}
state_dir: {folder}/state
run_dir: {folder}/run
run_as:
  gate: ""
  steward: ""
limits:
  connections: 131072
  keepalive: 1h
  upstream_idle: 1h
{more}
"""


def most_workers(folder, wanted):
    """How many of the wanted threads this gateway takes."""
    path = folder / "probe.yaml"
    for workers in range(wanted, 1, -1):
        path.write_text(config(folder, 28443, workers, ""))
        if subprocess.run([DAEMON, "--check", "--config", path], capture_output=True,
                          check=False).returncode == 0:
            return workers
    return 1


class Gateway(Proxy):
    name = "lanthorn"

    def __init__(self, folder, origin=None, workers=1, devices=(), public=True):
        super().__init__(folder, origin, workers)
        self.devices, self.public = devices, public
        self.agents = []
        self.certificates = "wildcard"
        self.ready, self.patience = DOMAIN, 30
        self.home = folder / f"lanthorn-{self.port}"
        for name in ("state/gate/certs", "run"):
            (self.home / name).mkdir(parents=True)
            (self.home / name).chmod(0o700)
        (self.home / "state/gate").chmod(0o700)
        self.pem_in("@base").write_bytes(self.pem.read_bytes())
        self.pem_in("@base").chmod(0o600)

    def pem_in(self, cert):
        return self.home / f"state/gate/certs/{cert}.pem"

    def config(self):
        rows = "".join(f"- name: {name}\n  upstream: http://127.0.0.1:{self.origin.port}\n"
                       f"  public: {str(self.public).lower()}\n" for name in self.devices)
        return config(self.home, self.port, self.workers, f"devices:\n{rows}" if rows else "",
                      self.certificates)

    def argv(self):
        path = self.home / "gateway.yaml"
        path.write_text(self.config())
        return [DAEMON, "--config", path, "--libexec", BUILD]

    def start(self):
        """Until the certificate is shown that says that it serves: the parent binds the ports long before
        the gate takes what comes."""
        super().start()
        deadline = time.monotonic() + self.patience
        while shown_name(self.port, self.ready) != self.ready:
            if time.monotonic() > deadline or self.child.poll() is not None:
                raise Broken(f"{self.ready} is not served: {self.log()[-400:]}")
            time.sleep(0.02)
        return self

    def gate_pid(self):
        for pid in tree(self.pid):
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                if b"--gate" in line.read().split(b"\0"):
                    return pid
        raise Broken("no gate process")

    def ctl(self, *words):
        return command([BUILD / "lanthornctl", "--socket", self.home / "run/api.sock", *words], 30)

    def stop(self):
        for agent in self.agents:
            end(agent)
        self.agents = []
        super().stop()

    # ---- what is written into the database while nobody runs ----

    @contextlib.contextmanager
    def database(self):
        """With the programs stopped."""
        with contextlib.closing(sqlite3.connect(self.home / "state/gate/gate.db")) as db:
            yield db
            db.commit()

    def let_in(self, hosts):
        """One person's session on each of the hosts, as the header of a request."""
        now = int(time.time())
        with self.database() as db:
            db.execute("INSERT INTO users (name, display, is_admin, disabled, created_at)"
                       " VALUES ('bench', 'Bench', 1, 0, ?)", (now,))
            for host in hosts:
                db.execute("INSERT INTO sessions (cookie_sha256, user_id, host, created_at,"
                           " last_seen_at, expires_at, agent) VALUES (?, 1, ?, ?, ?, ?, '')",
                           (hashlib.sha256((COOKIE + host).encode()).digest(), host, now, now,
                            now + 86400))
        return {host: f"Cookie: __Host-lanthorn={COOKIE}{host}" for host in hosts}

    def add_hosts(self, count):
        """Devices h00000 …, each with a certificate of its own."""
        now = int(time.time())
        with self.database() as db:
            db.executemany("INSERT INTO devices (label, title, created_at) VALUES (?, '', ?)",
                           ((f"h{i:05}", now) for i in range(count)))
        rows = "".join(f"h{i:05}=h{i:05}.{DOMAIN}\n" for i in range(count))
        command([MKCERTS, self.home / "state/gate/certs", "-"], 120, input=rows)
        (self.home / "state/gate/certs/ca.pem").unlink()

    # ---- agents ----

    def link(self, device):
        """An agent for the origin, enrolled and linked."""
        state = self.home / f"agent-{device}"
        state.mkdir(mode=0o700)
        path = self.home / f"{device}.conf"
        path.write_text(f"service 127.0.0.1:{self.origin.port}\nstate {state}\nlevel debug\n")
        token = re.search(r"lt1\.[\w-]+", self.ctl("pair", device))[0]
        agent = [BUILD / "lanthorn-agent", "--config", path]
        command([*agent, "enrol"], 60, input=token + "\n")
        self.agents.append(self.spawn([*agent, "run"], f"{device}.log"))
        deadline = time.monotonic() + 20
        while "link" not in self.agent_log(device):
            if time.monotonic() > deadline:
                raise Broken(f"no link: {self.agent_log(device)[-300:]}")
            time.sleep(0.1)

    def agent_log(self, device):
        return (self.folder / f"lanthorn-{self.port}.{device}.log").read_text(errors="replace")

    def link_protocol(self):
        """What the agents' links speak, by the connections that they hold: HTTP/2 is one for all."""
        held = 0
        for agent in self.agents:
            held += len(established(agent.pid, self.port))
        return "h2" if held <= len(self.agents) else "h1"


def shown_name(port, host):
    """The subject of the certificate that a handshake for this host is shown, or nothing."""
    try:
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                               host], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return None
    found = re.search(r"^subject=CN = (\S+)$", done.stdout, re.M)
    return found[1] if found else None


def established(pid, port):
    """Sockets of a process that lead to this port."""
    mine = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            mine.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    found = []
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            word = line.split()
            if word[3] == "01" and int(word[2].split(":")[1], 16) == port and \
                    f"socket:[{word[9]}]" in mine:
                found.append(word[9])
    return found


def sort_by_loop(gateway, client, count):
    """Which of a client's connections are served by the loop that the link is on: a request there costs
    one thread, on another loop two. Returns (same, other)."""
    shares = []
    for number in range(count):
        cpu = Cpu(gateway.gate_pid())
        client.stdin.write(f"0.05 {number}\n")
        client.stdin.flush()
        client.stdout.readline()
        spent = sorted(cpu.by_thread().values())
        shares.append((spent[-2] / max(1, spent[-1]), number))
    same = [number for share, number in shares if share < 0.1]
    other = [number for share, number in shares if share >= 0.1]
    return same, other
