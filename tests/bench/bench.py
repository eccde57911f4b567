#!/usr/bin/env python3
"""The gateway beside nginx, HAProxy, h2o and Caddy: one run, one origin, interleaved rounds, medians.
See README.md. The last lines are one a figure: bench NAME OURS BEST-PEER RATIO GOAL ok|short.

usage: bench.py [--quick] [--rounds N] [--seconds S] [--peers nginx,h2o] [--workers N] [--nice N]
                [--json FILE] [--keep] [FIGURE…]        (--list says which figures there are)"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time

import figures
import gateway as gw
import peers
from measure import Broken, Clients

OURS = gw.Gateway.name


class Bench:
    def __init__(self, options, folder):
        self.folder = folder
        self.quick = options.quick
        self.rounds = options.rounds or (1 if options.quick else 5)
        self.seconds = options.seconds or (1 if options.quick else 3)
        self.held = 400 if options.quick else 4000
        self.hosts = 200 if options.quick else 10000
        self.peer_workers = options.workers
        peers.prepare(folder)
        self.clients = Clients(folder)
        self.origin = peers.Origin(folder).start()
        self.workers = gw.most_workers(folder, options.workers)
        self.names, missing = peers.installed(options.peers)
        if missing:
            say(f"not installed, so left out: {' '.join(missing)}")
        if self.workers != self.peer_workers:
            say(f"lanthornd takes {self.workers} worker, the others have {self.peer_workers}")
        self.proxies, self.rows, self.samples = {}, [], {}

    def start(self):
        devices = ["web"] + [f"d{i}" for i in range(8)]
        self.proxies[OURS] = gw.Gateway(self.folder, self.origin, self.workers, devices).start()
        for name in self.names:
            self.proxies[name] = peers.CLASSES[name](self.folder, self.origin,
                                                     self.peer_workers).start()

    def stop(self):
        for proxy in [*self.proxies.values(), self.origin]:
            proxy.stop()

    def show(self, name, unit, samples):
        """One table row a proxy: cost, rate, p99."""
        self.samples[name] = {who: [vars(s) for s in some] for who, some in samples.items()}
        print(f"{name} ({unit})")
        for who, some in samples.items():
            costs = sorted(s.cost for s in some)
            middle = statistics.median(costs)
            text = f"  {who:9} {middle:9.2f}  ({costs[0]:.2f} to {costs[-1]:.2f})"
            if some[0].rate:
                text += f"  {statistics.median(s.rate for s in some):9.0f}/s"
            if some[0].p99_ms:
                text += f"  p99 {statistics.median(s.p99_ms for s in some):8.2f} ms"
            errors = sum(s.errors for s in some)
            print(text + (f"  {errors} ERRORS" if errors else "") +
                  (f"  {some[0].note}" if some[0].note else ""))
        sys.stdout.flush()

    def compare(self, figure, samples):
        self.show(figure.name, figure.unit, samples)
        costs = {who: statistics.median(s.cost for s in some) for who, some in samples.items()}
        ours = costs.pop(OURS)
        best = min(costs.values()) if costs else 0
        self.rows.append(figures.Row(figure.name, ours, best, figure.goal, figure.unit, figure.limit,
                                     failed=any(s.errors for s in samples[OURS])))

    def run_rounds(self, wanted):
        chosen = [f for f in figures.rounds(self.clients) if f.name in wanted]
        samples = {f.name: {who: [] for who in self.proxies} for f in chosen}
        for number in range(self.rounds if chosen else 0):
            say(f"round {number + 1} of {self.rounds}")
            for figure in chosen:
                direct = self.clients.latency(self.origin, self.seconds, P=True).cost \
                    if figure.name == "latency" else 0
                for who, proxy in self.proxies.items():
                    sample = figure.measure(proxy, self.seconds)
                    sample.cost -= direct
                    samples[figure.name][who].append(sample)
        for figure in chosen:
            self.compare(figure, samples[figure.name])

    def run_fresh(self, wanted):
        for figure in [f for f in figures.FRESH if f.name in wanted]:
            say(figure.name)
            samples = {}
            for who, proxy in self.proxies.items():
                proxy.restart()
                samples[who] = [figure.measure(proxy, self.held)]
            self.compare(figure, samples)

    def run_own(self, wanted):
        own = figures.Own(self)
        for name, method in figures.OWN.items():
            if name in wanted:
                say(name)
                try:
                    self.rows += method(own)
                except Broken as why:
                    self.rows.append(figures.Row(name, 0, failed=True, note=str(why)))

    def run(self, wanted):
        try:
            self.start()
            self.run_rounds(wanted)
            self.run_fresh(wanted)
            for proxy in self.proxies.values():
                proxy.stop()
            self.run_own(wanted)
        finally:
            self.stop()
        for row in self.rows:
            if row.note:
                print(f"{row.name}: {row.note}")
        for row in self.rows:
            print(row.line())


def say(words):
    print(f"[{time.strftime('%H:%M:%S')}] {words}", file=sys.stderr, flush=True)


def all_names():
    return [f.name for f in figures.rounds(Clients)] + [f.name for f in figures.FRESH] + \
        list(figures.OWN)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", nargs="*", metavar="FIGURE")
    parser.add_argument("--quick", action="store_true", help="one short round; figures mean little")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--peers", type=lambda text: [n for n in text.split(",") if n],
                        default=list(peers.ALL))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0,
                        help="of all programs here; -10 on a machine that does other things, too")
    parser.add_argument("--json", type=pathlib.Path, help="write every sample there")
    parser.add_argument("--keep", action="store_true", help="keep the folder with settings and logs")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    unknown = set(options.figures) - set(all_names()) | set(options.peers) - set(peers.ALL)
    if unknown:
        parser.error(f"unknown: {' '.join(sorted(unknown))}")
    return options


def main():
    options = parse()
    if options.list:
        print("\n".join(all_names()))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))
    os.nice(options.nice)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lanthorn-bench."))
    try:
        bench = Bench(options, folder)
        bench.run(options.figures or all_names())
        if options.json:
            options.json.write_text(json.dumps(
                {"rows": [vars(row) for row in bench.rows], "samples": bench.samples}, indent=1))
    except Broken as why:
        sys.exit(f"bench: {why}")
    finally:
        if options.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.chdir("/")
    main()
