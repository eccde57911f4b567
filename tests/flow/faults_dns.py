#!/usr/bin/env python3
"""DNS that fails in every way: plugins that hang, die, flood, refuse and babble, a wrong key, a name
server that is away. Each is told with cause and remedy, leaves no process, and is over when mended.
"""
import os
import pathlib
import re
import signal
import subprocess

import lib
from lib import check, equal, wait_for

DEADLINE_S = 2
# What the program of provider exec does for a name, by its first label. The base name works.
PROGRAM = """#!/bin/sh
name=${2#_acme-challenge.}
case ${name%%.*} in
hang) trap '' TERM; sleep 1000 & echo "$$" >>FOLDER/hung; while :; do sleep 1000; done ;;
dies) kill -SEGV $$ ;;
flood) head -c 20000000 /dev/zero | tr '\\000' A >&2; exit 1 ;;
never) echo "the token may not change this zone; give it the right dns:write" >&2; exit 1 ;;
later) echo "the provider is being maintained until noon" >&2; exit 75 ;;
rubbish) head -c 3000 FOLDER/rubbish >&2; exit 1 ;;
mute) exit 75 ;;
strange) exit 42 ;;
esac
exec FOLDER/real "$@"
"""
REAL = """#!/bin/sh
exec BUILD/lanthorn-dns rfc2136 "$@"
"""
# The first four are told at once; the others are tried three times, 5 and 10 s apart.
HOSTS = ["never", "flood", "rubbish", "strange", "hang", "dies", "later", "mute"]
MENDED = ["never", "rubbish"]
REMEDY = "Check the dns: section"


class Bench(lib.Stack):
    def __init__(self):
        super().__init__()
        for name, text in (("plugin", PROGRAM), ("real", REAL)):
            path = self.folder / name
            path.write_text(text.replace("FOLDER", str(self.folder)).replace(
                "BUILD", str(lib.BUILD)))
            path.chmod(0o755)
        # Bytes that are no UTF-8, control characters, and what a terminal would obey.
        (self.folder / "rubbish").write_bytes(
            b"\x1b[2J\x00\xff\xfe\x80 \xc3\x28 \xed\xa0\x80 \xf0\x9f" + os.urandom(3000))
        self.key = pathlib.Path(self.lab.tsig_secret_file)
        self.good_key = self.key.read_text()

    def config_text(self):
        text = super().config_text()
        return text.replace("provider: rfc2136", f"provider: exec\n  timeout: {DEADLINE_S}s\n"
                            f"  command: {self.folder}/plugin")

    def certificate(self, name):
        for cert in self.ctl("certs")["certificates"]:
            if cert["id"] == name:
                return cert
        raise lib.Failure(f"no certificate {name}")

    def device(self, name):
        for device in self.ctl("devices")["devices"]:
            if device["name"] == name:
                return device
        raise lib.Failure(f"no device {name}")

    def add(self, *names):
        """Devices of the configuration, each of which wants a name and a certificate."""
        self.config = (self.config or "devices:\n") + "".join(
            f"  - name: {name}\n    upstream: http://127.0.0.1:9\n" for name in names)
        (self.folder / "gateway.yaml").write_text(self.config_text())
        done = self.ctl_run("reload")
        equal(done.returncode, 0, f"reload: {done.stdout} {done.stderr}")

    def plugins(self):
        """Processes that a plugin started and that still live."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if f"{self.folder}/plugin".encode() in line:
                found.append(int(path.parent.name))
        return found


def fails(stack, name, cls, words, seconds=25):
    cert = wait_for(f"the failure of {name}", lambda: (
        lambda c: c["failure"] and c)(stack.certificate(name)), seconds)
    failure = cert["failure"]
    equal(failure["class"], cls, f"class of {name} ({failure['text']})")
    check(re.search(words, failure["text"]), f"{words!r} is not in {failure['text']!r}")
    check(failure["text"].isprintable() and len(failure["text"]) < 700, repr(failure["text"]))
    check(failure["remedy"], "no remedy")
    check(cert["next_try"], "no next try")
    shown = stack.ctl_run("certs").stdout
    check(" ".join(failure["remedy"].split()) in " ".join(shown.split()), shown)
    return failure


def the_base_is_issued_by_a_program_that_works(stack):
    stack.start_gateway()
    wait_for("the bridge", lambda: stack.certificate("@base")["state"] == "held", 40)


def the_sentence_of_a_refusal_is_shown(stack):
    stack.add(*HOSTS)
    fails(stack, "never", "dns", "the token may not change this zone; give it the right dns:write")


def a_flood_on_stderr_is_cut_and_waits_for_nobody(stack):
    failure = fails(stack, "flood", "dns", "A{100,}")
    check(failure["text"].count("A") <= 310, "more than a line's 300 bytes are shown")


def binary_rubbish_is_shown_harmlessly(stack):
    fails(stack, "rubbish", "dns", ".")
    for verb in ("status", "certs", "devices", "logs"):
        done = stack.ctl_run(verb)
        equal(done.returncode, 0, f"lanthornctl {verb}: {done.stderr}")
        check("\x1b" not in done.stdout, f"lanthornctl {verb} passes an escape on")
    names = {d["name"] for d in stack.ctl("status")["devices"]}
    check("rubbish" in names, names)
    check(any("rubbish" in line for line in stack.ctl("logs", "1000")["lines"]),
          "the log has no line about it")


def an_unknown_exit_code_is_told(stack):
    fails(stack, "strange", "dns", "exit code 42")


def a_plugin_that_hangs_is_ended_with_its_group(stack):
    fails(stack, "hang", "dns", rf"did not finish within {DEADLINE_S} s", 45)
    pid = int((stack.folder / "hung").read_text().split()[0])
    wait_for("the end of its group", lambda: not members(pid), 5)


def members(group):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(path.parent.name)
    return found


def a_plugin_that_dies_is_told_with_its_signal(stack):
    fails(stack, "dies", "dns", "killed by signal 11", 45)


def the_sentence_of_a_delay_is_shown(stack):
    fails(stack, "later", "dns", "the provider is being maintained until noon", 45)
    fails(stack, "mute", "dns", "asks to try later and does not say why", 45)


def nothing_is_left_of_them(stack):
    wait_for("the end of all plugins", lambda: not stack.plugins(), 15)
    for name in HOSTS:
        equal(stack.lab.dig("_acme-challenge." + stack.host(name), "TXT"), [], f"TXT of {name}")
    check(stack.steward_pid(), "the steward is gone")


def a_wrong_key_is_the_providers_fault(stack):
    stack.key.write_text("d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3I=\n")
    stack.add("key")
    fails(stack, "key", "dns", "(?i)tsig|key|signature")
    stack.key.write_text(stack.good_key)


def a_name_server_that_is_away_is_told_and_comes_back(stack):
    path = stack.lab.folder / "run/named.pid"
    pid = int(path.read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for("the end of the name server", lambda: not pathlib.Path(f"/proc/{pid}").exists())
    stack.add("away")
    failure = fails(stack, "away", "network", "no resolver answers", 40)
    check(stack.lab.dns_port in failure["text"], failure["text"])
    named = stack.lab.folder / "named"
    stack.start("named-again", named / "named", "-g", "-c", named / "named.conf")
    wait_for("the name server", lambda: stack.lab.dig(stack.domain, "SOA"))
    # Addresses are published again by themselves, and a certificate by a word.
    wait_for("the name in DNS", lambda: stack.lab.dig(stack.host("away")) == ["127.0.0.1"], 70)


def certificates_come_when_all_is_mended(stack):
    (stack.folder / "plugin").write_text((stack.folder / "real").read_text())
    for name in MENDED:
        wait_for(f"leave to order {name}", lambda name=name:
                 stack.ctl_run("renew", name).returncode == 0, 65, 1)
    for name in MENDED:
        wait_for(f"a certificate for {name}", lambda name=name: (
            lambda c: c["state"] == "held" and not c["failure"])(stack.certificate(name)), 65)
        equal(stack.lab.dig("_acme-challenge." + stack.host(name), "TXT"), [], f"TXT of {name}")


lib.run([
    the_base_is_issued_by_a_program_that_works,
    the_sentence_of_a_refusal_is_shown,
    a_flood_on_stderr_is_cut_and_waits_for_nobody,
    binary_rubbish_is_shown_harmlessly,
    an_unknown_exit_code_is_told,
    a_plugin_that_hangs_is_ended_with_its_group,
    a_plugin_that_dies_is_told_with_its_signal,
    the_sentence_of_a_delay_is_shown,
    nothing_is_left_of_them,
    a_wrong_key_is_the_providers_fault,
    a_name_server_that_is_away_is_told_and_comes_back,
    certificates_come_when_all_is_mended,
], Bench)
