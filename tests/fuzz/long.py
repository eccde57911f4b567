#!/usr/bin/env python3
# Long runs of the fuzz targets: `make fuzz-long` calls it. What was found so far is kept in the work
# folder (corpora, counts, inputs that broke something), so a run that was interrupted goes on where
# it stopped. Targets take turns, the one with the least time first; a finding ends its target.
"""long.py TARGETS SEEDS WORK: run TARGETS/fuzz_* for FUZZ_SECONDS each (3600), FUZZ_JOBS at a time
(one a core), each turn FUZZ_SLICE seconds (300). Exit code 1: something was found."""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

STATS = {
    "executions": re.compile(rb"stat::number_of_executed_units:\s*(\d+)"),
    "edges": re.compile(rb"cov: (\d+)"),
}
# The timeout counts real time, and a busy machine may leave little of it to a nice process.
OPTIONS = ["-timeout=60", "-rss_limit_mb=1500", "-print_final_stats=1", "-reload=0"]


class Target:
    def __init__(self, program, seeds, work):
        self.program = program
        self.name = program.name.removeprefix("fuzz_")
        self.seeds = seeds / self.name
        self.corpus = work / "corpus" / self.name
        self.found = work / "findings" / self.name
        self.log = work / f"{self.name}.log"
        self.file = work / f"{self.name}.json"
        for folder in (self.corpus, self.found):
            folder.mkdir(parents=True, exist_ok=True)
        self.sum = {"seconds": 0.0, "cpu": 0.0, "executions": 0, "edges": 0}
        if self.file.exists():
            self.sum.update(json.loads(self.file.read_text()))

    def findings(self):
        return sorted(self.found.iterdir())

    def turn(self, seconds):
        """One run of the program; its counts are added up."""
        command = [self.program, *OPTIONS, f"-max_total_time={seconds}",
                   f"-artifact_prefix={self.found}/", self.corpus]
        if self.seeds.is_dir():
            command.append(self.seeds)
        environment = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
        with open(self.log, "wb") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                     env={**environment, **os.environ})
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.count(used.ru_utime + used.ru_stime, seconds)
        # One that cannot even start leaves no input behind; its log is the finding.
        if child.returncode not in (0, -signal.SIGINT, -signal.SIGTERM) and not self.findings():
            (self.found / "log").write_bytes(self.log.read_bytes())

    def count(self, cpu, seconds):
        text = self.log.read_bytes()
        executions = STATS["executions"].findall(text)
        edges = STATS["edges"].findall(text)
        self.sum["seconds"] += seconds
        self.sum["cpu"] += cpu
        self.sum["executions"] += int(executions[-1]) if executions else 0
        self.sum["edges"] = max([self.sum["edges"], *map(int, edges)])
        self.file.write_text(json.dumps(self.sum))
        print(f"{self.name}: {self.sum['seconds']:.0f} s, {self.sum['executions']} executions",
              flush=True)


def table(targets):
    row = "{:<16} {:>8} {:>8} {:>13} {:>7} {:>7} {:>9}"
    print(row.format("target", "seconds", "cpu-s", "executions", "edges", "corpus", "findings"))
    for t in targets:
        print(row.format(t.name, round(t.sum["seconds"]), round(t.sum["cpu"]),
                         t.sum["executions"], t.sum["edges"], len(list(t.corpus.iterdir())),
                         len(t.findings())))
    for t in targets:
        for path in t.findings():
            print(f"{t.name}: {path}")
    sys.stdout.flush()


def main():
    programs, seeds, work = map(pathlib.Path, sys.argv[1:])
    wanted = int(os.environ.get("FUZZ_SECONDS", "3600"))
    jobs = int(os.environ.get("FUZZ_JOBS") or os.cpu_count() or 1)
    piece = int(os.environ.get("FUZZ_SLICE", "300"))
    targets = [Target(p, seeds, work) for p in sorted(programs.glob("fuzz_*"))
               if os.access(p, os.X_OK) and p.is_file() and not p.suffix]
    if not targets:
        sys.exit(f"{programs} has no fuzz targets: configure with CC=clang --enable-fuzz")
    lock, busy, stop = threading.Lock(), set(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def next_target():
        with lock:
            open_ones = [t for t in targets if t.sum["seconds"] < wanted
                         and t.name not in busy and not t.findings()]
            best = min(open_ones, key=lambda t: t.sum["seconds"], default=None)
            if best:
                busy.add(best.name)
            return best

    def worker():
        while not stop.is_set() and (target := next_target()):
            target.turn(max(1, round(min(piece, wanted - target.sum["seconds"]))))
            with lock:
                busy.discard(target.name)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        done = [pool.submit(worker) for _ in range(jobs)]
    for d in done:
        d.result()
    table(targets)
    sys.exit(1 if any(t.findings() for t in targets) else 0)


if __name__ == "__main__":
    main()
