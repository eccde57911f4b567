"""The figures: how each is measured, and its goal. Those of `ROUNDS` are measured of every proxy in turn,
round after round; those of `FRESH` once, of proxies just started; those of `OWN` of the gateway alone, or
beside something that only this figure needs."""
import contextlib
import dataclasses
import json
import statistics
import time

import gateway as gw
import peers
from measure import Broken, Cpu, Sample, idle, load, load_argv, memory_kib, talking, tree


@dataclasses.dataclass
class Figure:
    name: str
    unit: str
    goal: float          # of the best peer's; with `limit`, the figure itself
    measure: object
    limit: bool = False


@dataclasses.dataclass
class Row:
    """One line at the end: ours beside the best of the others."""
    name: str
    ours: float
    best: float = 0
    goal: float = 0
    unit: str = ""
    limit: bool = False
    note: str = ""
    failed: bool = False

    def verdict(self):
        if self.failed:
            return "short"
        if not self.goal:
            return "ok"
        return "ok" if self.share() <= self.goal else "short"

    def share(self):
        return self.ours if self.limit else self.ours / self.best if self.best > 0 else 99

    def line(self):
        if self.failed:
            return f"bench {self.name} - - - {self.goal:g}{self.unit if self.limit else ''} short"
        best = f"{self.best:.4g}" if self.best else "-"
        ratio = f"{self.ours / self.best:.3f}" if self.best > 0 else "-"
        goal = f"{self.goal:g}{self.unit if self.limit else ''}" if self.goal else "-"
        return f"bench {self.name} {self.ours:.4g} {best} {ratio} {goal} {self.verdict()}"


def rounds(clients):
    """name, unit, goal, function of (proxy, seconds)."""
    return [
        Figure("handshake", "µs", 0.93, clients.handshakes),
        Figure("resumed", "µs", 0.93, clients.resumed),
        Figure("h1", "µs", 0.85, clients.h1),
        Figure("h2", "µs", 0.95, clients.h2),
        Figure("bulk-h1", "ns/B", 1.0, lambda p, s: clients.bulk(p, s, "1.1")),
        Figure("bulk-h2", "ns/B", 1.0, lambda p, s: clients.bulk(p, s, "2")),
        Figure("latency", "µs", 1.2, clients.latency),
    ]


FRESH = [
    Figure("idle-h1", "KiB", 15.0, lambda p, n: idle(p, n, False), limit=True),
    Figure("idle-h2", "KiB", 1.0, lambda p, n: idle(p, n, True)),
]


class Own:
    """What is measured of the gateway in settings of its own."""

    def __init__(self, bench):
        self.bench = bench
        self.folder, self.origin, self.clients = bench.folder, bench.origin, bench.clients

    @contextlib.contextmanager
    def running(self, proxy):
        try:
            yield proxy.start()
        finally:
            proxy.stop()

    def rest(self):
        """All processes with one worker and one device, before any traffic."""
        gateway = gw.Gateway(self.folder, self.origin, 1, ["d0"])
        with self.running(gateway):
            time.sleep(1 if self.bench.quick else 5)
            pids = tree(gateway.pid)
            every, gate = memory_kib(pids), memory_kib(pids, gateway.gate_pid())
        return [Row("rest", every / 1024, goal=12, unit="MiB", limit=True),
                Row("rest-gate", gate / 1024, goal=6, unit="MiB", limit=True)]

    # ---- links ----

    def linked(self, workers):
        """A gateway with a device behind an agent and one at an address, one session on both."""
        gateway = gw.Gateway(self.folder, self.origin, workers, ["d0"], public=False)
        with self.running(gateway):
            pass
        hosts = [f"link0.{peers.DOMAIN}", f"d0.{peers.DOMAIN}"]
        return gateway, hosts, gateway.let_in(hosts)

    def link(self):
        """A request through an agent's link, through an address, and through nginx to an upstream that
        demands a certificate."""
        gateway, (by_link, by_address), cookies = self.linked(self.bench.workers)
        mtls = peers.MtlsOrigin(self.folder)
        samples = {"link": [], "address": [], "nginx": []}
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.running(gateway))
            nginx = None
            if "nginx" in self.bench.names:
                stack.enter_context(self.running(mtls))
                nginx = stack.enter_context(self.running(
                    peers.NginxMtls(self.folder, mtls, self.bench.peer_workers)))
            gateway.link("link0")
            for _ in range(self.bench.rounds):
                for name, host in (("link", by_link), ("address", by_address)):
                    samples[name].append(self.clients.h1(gateway, self.bench.seconds,
                                                         [cookies[host]], host))
                if nginx:
                    samples["nginx"].append(self.clients.h1(nginx, self.bench.seconds))
            protocol = gateway.link_protocol()
        cost = {name: statistics.median(s.cost for s in some) if some else 0
                for name, some in samples.items()}
        self.bench.show("link", "µs", {name: some for name, some in samples.items() if some})
        bad = any(s.errors for some in samples.values() for s in some)
        note = f"the link speaks {protocol}" + ("; with errors" if bad else "")
        return [Row("link-to-upstream", cost["link"], cost["address"], 1.2, note=note, failed=bad),
                Row("link-to-mtls", cost["link"], cost["nginx"], 0.7, note=note,
                    failed=bad or not nginx)]

    def other_loop(self):
        """A request whose link is on another loop, beside one whose link is on its own."""
        name = "other-loop"
        if self.bench.workers < 2:
            return [Row(name, 0, goal=1.4, failed=True, note="lanthornd takes one worker only")]
        gateway, (host, _), cookies = self.linked(2)
        costs = {"same": [], "other": []}
        with self.running(gateway):
            gateway.link("link0")
            if gateway.link_protocol() != "h2":
                return [Row(name, 0, goal=1.4, failed=True,
                            note="the link speaks h1: there is one on each loop")]
            argv = load_argv("steer", gateway, n=host, c=32, p="/1k", H=cookies[host])
            with talking(argv) as (client, _):
                groups = dict(zip(("same", "other"), gw.sort_by_loop(gateway, client, 32)))
                if not all(groups.values()):
                    raise Broken(f"all connections on one loop: {groups}")
                few = min(len(group) for group in groups.values())
                for _ in range(self.bench.rounds):
                    for which, group in groups.items():
                        costs[which].append(steered(gateway, client, group[:few],
                                                    self.bench.seconds))
        self.bench.show(name, "µs", costs)
        same, other = (statistics.median(s.cost for s in costs[k]) for k in ("same", "other"))
        return [Row(name, other, same, 1.4, note=f"{few} connections each")]

    # ---- many hosts ----

    def hosts(self):
        count, working = self.bench.hosts, min(self.bench.hosts, 200)
        gateway = gw.Gateway(self.folder, self.origin, 1, ["d0"])
        with self.running(gateway):
            pass
        gateway.add_hosts(count)
        gateway.certificates = "per-device"
        gateway.ready, gateway.patience = f"h{count - 1:05}.{peers.DOMAIN}", 600
        with self.running(gateway):
            pass  # it remembers what it found, as after years of use
        begun = time.monotonic()
        with self.running(gateway):
            start = time.monotonic() - begun
            memory = memory_kib(tree(gateway.pid)) / 1024
            cold = self.sweep(gateway, count, N=count)
            costs = {"one": [], "warm": [], "all": [self.sweep(gateway, count, N=count)]}
            for _ in range(self.bench.rounds):
                costs["one"].append(self.sweep(gateway, 1, d=self.bench.seconds))
                costs["warm"].append(self.sweep(gateway, working, d=self.bench.seconds))
        self.bench.show("hosts", "µs", {**costs, "cold": [cold]})
        one, warm = (statistics.median(s.cost for s in costs[k]) for k in ("one", "warm"))
        return [Row("hosts-start", start, goal=2, unit="s", limit=True, note=f"{count} hosts"),
                Row("hosts-memory", memory, goal=64, unit="MiB", limit=True),
                Row("hosts-warm", warm, one, 1.05, note=f"{working} of them in turn"),
                Row("hosts-all", costs["all"][0].cost, one, note="all in turn, for the second time"),
                Row("hosts-cold", cold.cost, one, note="all in turn, for the first time")]

    @staticmethod
    def sweep(gateway, hosts, **options):
        cpu = Cpu(gateway.pid)
        got = load("shake", gateway, n=peers.DOMAIN, c=8, k=hosts, **options)
        us = cpu.us()
        if got["failed"] or not got["done"]:
            raise Broken(f"hosts: {got}")
        return Sample(us / got["done"], got["done"] / got["seconds"], got["p99"] / 1e3)


def steered(gateway, client, numbers, seconds):
    cpu = Cpu(gateway.pid)
    client.stdin.write(f"{seconds} {' '.join(map(str, numbers))}\n")
    client.stdin.flush()
    got = json.loads(client.stdout.readline())
    if not got["done"]:
        raise Broken(f"other-loop: {got}")
    return Sample(cpu.us() / got["done"], got["done"] / got["seconds"], got["p99"] / 1e3,
                  got["failed"])


OWN = {"rest": Own.rest, "link": Own.link, "other-loop": Own.other_loop, "hosts": Own.hosts}
