#!/usr/bin/env python3
"""The certificate process against a real CA and a real name server; this flow plays the gate."""
import os
import pathlib
import re
import signal
import subprocess
import time

import stewardpipe as sp
from lib import BUILD, SLOW, Stack, check, equal, free_port, run, wait_for


class Bench(Stack):
    """A lab and one lanthorn-steward at a time."""

    def __init__(self):
        super().__init__()
        self.steward = None
        self.started = 0
        self.number, self.wish = 100, 1 << 61
        for name in ("state", "run"):
            (self.folder / name).mkdir(mode=0o700)
        self.boot()

    def write_config(self, acme="", dns="", replace=()):
        self.sections = {"acme": acme, "dns": dns}
        text = self.config_text()
        for old, new in replace:
            check(old in text, f"{old} is not in the configuration")
            text = text.replace(old, new)
        (self.folder / "gateway.yaml").write_text(text)

    def boot(self, **settings):
        """(Re)start with these settings."""
        if self.steward and self.steward.alive():
            self.steward.stop()
        self.write_config(**settings)
        self.started += 1
        self.steward = sp.StewardProcess(f"steward-{self.started}", BUILD / "lanthorn-steward",
                                         self.folder / "gateway.yaml", self.folder)
        self.processes.append(self.steward)
        self.steward.wait_message("started", lambda m: m.cls == sp.STARTED, 20 * SLOW)

    def csr(self, *names, key="key.pem"):
        """DER, for a key of that file name; signed afresh each time."""
        key = self.folder / key
        if not key.exists():
            subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout",
                            "-out", key], check=True, timeout=30)
        alt = "subjectAltName=" + ",".join(f"DNS:{n}" for n in names)
        return subprocess.run(["openssl", "req", "-new", "-key", key, "-outform", "DER", "-subj",
                               "/", "-addext", alt], check=True, capture_output=True,
                              timeout=30).stdout

    def order(self, *names, flags=0, number=None, key="key.pem"):
        if number is None:
            self.number += 1
            number = self.number
        self.steward.send(sp.ORDER, number, flags, names, blob=self.csr(*names, key=key))
        return number

    def outcome(self, number, seconds=60):
        return self.steward.wait_message(
            f"the end of order {number}",
            lambda m: m.id == number and m.cls != sp.WORKING, seconds * SLOW)

    def chain(self, number, seconds=60):
        end = self.outcome(number, seconds)
        equal(end.kind, sp.CHAIN, f"outcome ({end.text})")
        return end.blob

    def failure(self, number, cls, words, seconds=60):
        end = self.outcome(number, seconds)
        equal((end.kind, end.cls), (sp.STATE, cls), f"outcome ({end.text})")
        check(words in end.text, f"{words!r} is not in {end.text!r}")
        return end

    def verify(self, chain, *names):
        """The chain leads to the CA's root and is for these names and our key."""
        path = self.folder / "chain.pem"
        path.write_bytes(chain)
        subprocess.run(["openssl", "verify", "-CAfile", self.lab.ca, "-untrusted", path, path],
                       check=True, capture_output=True, timeout=30)
        text = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-ext",
                               "subjectAltName"], check=True, capture_output=True, text=True,
                              timeout=30).stdout
        equal(sorted(re.findall(r"DNS:([^,\s]+)", text)), sorted(names), "names")

    def publish(self, name, *addrs):
        self.wish += 1
        self.steward.send(sp.PUBLISH, self.wish, names=[name], addrs=addrs)

    def published(self, name, seconds=20):
        return self.steward.wait_message(
            f"published {name}", lambda m: (m.cls, m.names, m.id) == (
                sp.PUBLISHED, [name], self.wish), seconds * SLOW)

    def txt(self, name):
        return self.lab.dig(f"_acme-challenge.{name}", "TXT")

    def no_txt(self, name):
        wait_for(f"no proof left at {name}", lambda: not self.txt(name), 15)

    def update(self, line):
        """One nsupdate line, with the lab's key."""
        secret = pathlib.Path(self.lab.tsig_secret_file).read_text().strip()
        subprocess.run(["nsupdate"], check=True, timeout=20, text=True, input=(
            f"server 127.0.0.1 {self.lab.dns_port}\nzone {self.domain}\n"
            f"key hmac-sha256:{self.lab.tsig_name} {secret}\n{line}\nsend\n"))

    def ca_dir(self):
        return next((self.folder / "state/steward/acme").glob("ca-*"))


def group_alive(name):
    """Pids of processes whose command line names `name`."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(name).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def in_group(pgid):
    """Living members of a process group."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == pgid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def base_and_wildcard_are_issued(b):
    names = (b.domain, f"*.{b.domain}")
    b.verify(b.chain(b.order(*names)), *names)
    b.no_txt(b.domain)


def two_orders_run_at_once(b):
    tv, nas = f"tv.{b.domain}", f"nas.{b.domain}"
    first, second = b.order(tv), b.order(nas)
    b.verify(b.chain(second), nas)
    b.verify(b.chain(first), tv)
    b.no_txt(tv)
    b.no_txt(nas)


def same_request_again_gets_the_same_chain(b):
    tv = f"again.{b.domain}"
    first = b.chain(b.order(tv))
    equal(b.chain(b.order(tv)), first, "second chain")
    b.boot()
    equal(b.chain(b.order(tv)), first, "chain after a restart")
    b.failure(b.order(tv, key="other.pem"), sp.LIMIT, "issued")


def foreign_names_are_refused(b):
    for name in ("tv.example.org", f"a.tv.{b.domain}", f"*.tv.{b.domain}", "localhost"):
        b.failure(b.order(name), sp.OURS, "refused")
        b.publish(name, "192.0.2.1")
        b.steward.wait_message("refused", lambda m: (
            m.cls, m.names, m.id) == (sp.OURS, [name], b.wish), 10)
    b.failure(b.order(b.domain, "tv.example.org"), sp.OURS, "tv.example.org")
    equal(b.lab.dig(f"a.tv.{b.domain}"), [], "address")
    check(any("refused" in m.text for m in b.steward.logs), "no log line reached the gate")


def addresses_are_published_changed_and_removed(b):
    name = f"pub.{b.domain}"
    b.publish(name, "192.168.7.1", "192.168.7.2", "fd00::7")
    b.published(name)
    equal(b.lab.dig(name), ["192.168.7.1", "192.168.7.2"])
    equal(b.lab.dig(name, "AAAA"), ["fd00::7"])
    begun = time.monotonic()
    b.publish(name, "192.168.7.3")
    b.published(name)
    check(time.monotonic() - begun < 5 * SLOW, "the change took longer than seconds")
    equal(b.lab.dig(name), ["192.168.7.3"])
    equal(b.lab.dig(name, "AAAA"), [])
    b.publish(name)
    b.published(name)
    equal(b.lab.dig(name), [])


def bursts_of_changes_end_at_the_last(b):
    name = f"burst.{b.domain}"
    for i in range(1, 21):
        b.publish(name, f"192.168.8.{i}")
    wait_for("the last address", lambda: b.lab.dig(name) == ["192.168.8.20"], 20)
    b.publish(name)
    b.published(name)
    equal(b.lab.dig(name), [])


def lost_address_is_set_again(b):
    name = f"lost.{b.domain}"
    b.publish(name, "192.168.9.1")
    b.published(name)
    b.update(f"update delete {name} A")
    equal(b.lab.dig(name), [])
    b.boot()
    b.publish(name, "192.168.9.1")
    wait_for("the address", lambda: b.lab.dig(name) == ["192.168.9.1"], 30)


def dns_test_leaves_nothing(b):
    b.steward.send(sp.DNS_TEST, 9001)
    end = b.outcome(9001)
    equal(end.cls, sp.TESTED, end.text)
    wait_for("no test record", lambda: not b.lab.dig(f"_lanthorn-test.{b.domain}", "TXT"), 10)


def cname_moves_the_proof(b):
    b.update(f"update add _acme-challenge.moved.{b.domain} 1 CNAME proof.{b.domain}.")
    name = f"moved.{b.domain}"
    b.verify(b.chain(b.order(name)), name)
    wait_for("no proof", lambda: not b.lab.dig(f"proof.{b.domain}", "TXT"), 10)


def cname_circle_is_told(b):
    b.update(f"update add _acme-challenge.round.{b.domain} 1 CNAME x.{b.domain}.\n"
             f"update add x.{b.domain} 1 CNAME _acme-challenge.round.{b.domain}.")
    b.failure(b.order(f"round.{b.domain}"), sp.DNS, "circle")


def secrets_are_written_privately(b):
    b.steward.send(sp.SET_SECRET, 1, text="tsig-2", blob=b"c2VjcmV0")
    path = b.folder / "state/steward/secrets/tsig-2"
    wait_for("the secret", path.exists, 5)
    equal((path.read_bytes(), path.stat().st_mode & 0o777), (b"c2VjcmV0", 0o600))
    b.steward.send(sp.SET_SECRET, 2, text="../../evil", blob=b"x")
    b.failure(2, sp.OURS, "name")
    check(not (b.folder / "state/evil").exists(), "written outside")
    check("c2VjcmV0" not in b.steward.text(), "the secret is in the log")


def forgotten_account_is_made_again(b):
    key = b.ca_dir() / "private/key.pem"
    key.unlink()
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                    key], check=True, timeout=30)
    name = f"forgot.{b.domain}"
    b.verify(b.chain(b.order(name)), name)


def empty_account_key_is_replaced(b):
    key = b.ca_dir() / "private/key.pem"
    key.unlink()
    key.touch(0o400)
    name = f"empty.{b.domain}"
    b.verify(b.chain(b.order(name)), name)
    check(key.stat().st_size > 64, "the key is still cut short")


def wrong_key_is_the_providers_fault_with_a_remedy(b):
    wrong = b.folder / "wrong.secret"
    wrong.write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    wrong.chmod(0o600)
    b.boot(replace=[(b.lab.tsig_secret_file, str(wrong))])
    name = f"wrong.{b.domain}"
    end = b.failure(b.order(name), sp.DNS, "dns.settings")
    check("BADSIG" in end.text, end.text)
    check(55 <= end.next_at - time.time() <= 70, f"next try in {end.next_at - time.time()} s")
    b.publish(name, "192.0.2.1")
    b.steward.wait_message("not published", lambda m: (
        m.cls, m.names, m.id) == (sp.DNS, [name], b.wish), 20)


def backoff_survives_a_restart(b):
    name = f"wrong.{b.domain}"
    b.boot()
    end = b.failure(b.order(name), sp.DNS, "BADSIG", 5)
    check(end.next_at > time.time(), "no back-off")
    end = b.failure(b.order(name, flags=sp.FORCE), sp.DNS, "BADSIG", 5)
    check(end.next_at - time.time() <= 60, "a person waits longer than a minute")
    wait_for("the address that failed before", lambda: b.lab.dig(name) == ["192.0.2.1"], 30)


def dead_authority_is_told(b):
    b.boot(replace=[(b.lab.acme_directory, f"https://localhost:{free_port()}/dir")])
    b.failure(b.order(f"down.{b.domain}"), sp.NET, "cannot be reached", 60)


def untrusted_authority_is_told(b):
    b.boot(replace=[(f"  ca_file: {b.lab.acme_ca}\n", "")])
    end = b.failure(b.order(f"untrusted.{b.domain}"), sp.NET, "acme.ca_file", 60)
    check("clock" in end.text, end.text)


def missing_uacme_is_told(b):
    b.boot(acme="  uacme: /nonexistent/uacme")
    b.failure(b.order(f"missing.{b.domain}"), sp.OURS, "install the package uacme")


def hung_uacme_is_ended_with_its_group(b):
    stub = b.folder / "hung-uacme"
    stub.write_text("#!/bin/sh\nsleep 1234 &\nsleep 1234\n")
    stub.chmod(0o755)
    b.boot(acme=f"  uacme: {stub}\n  timeout: 30s")
    number = b.order(f"hung.{b.domain}")
    pid = os.getpgid(wait_for("the stub", lambda: group_alive(stub))[0])
    begun = time.monotonic()
    b.failure(number, sp.CA, "did not finish in 30 s", 60)
    check(25 < time.monotonic() - begun < 40 * SLOW, "the deadline was not kept")
    wait_for("no process of the stub", lambda: not group_alive(stub), 5)
    wait_for("an empty process group", lambda: not in_group(pid), 5)


def killed_steward_leaves_no_proof_and_goes_on(b):
    name = f"killed.{b.domain}"
    b.boot(replace=[(f"query_port: {b.lab.dns_port}", f"query_port: {free_port()}")])
    number = b.order(name)
    wait_for("the proof", lambda: b.txt(name), 20)
    check(group_alive("order.csr"), "uacme does not run")
    b.steward.expect_code = (-signal.SIGKILL,)
    b.steward.stop(signal.SIGKILL)
    wait_for("the end of uacme", lambda: not group_alive(b.folder / "state/steward/acme/orders"), 5)
    check(b.txt(name), "the proof went by itself")
    b.boot()
    b.no_txt(name)
    b.order(name, number=number)
    end = b.failure(number, sp.OURS, "cut short", 5)
    check(end.next_at - time.time() <= 11, f"next try in {end.next_at - time.time()} s")
    time.sleep(max(0, end.next_at - time.time()) + 1)
    b.order(name, number=number)
    b.verify(b.chain(number), name)
    b.no_txt(name)


def lagging_name_server_is_named(b):
    """A server that is authoritative for the zone and never gets the record. Waiting for it takes
    longer than acme.timeout, yet the authority is not blamed."""
    other = free_port()
    name = f"lag.{b.domain}"
    zone = b.folder / "lag"
    zone.mkdir()
    (zone / "zone").write_text("$TTL 1\n@ SOA ns hostmaster 1 60 60 600 1\n@ NS ns\n"
                               "ns A 127.0.0.1\n")
    (zone / "named.conf").write_text(
        f'options {{ directory "{zone}"; pid-file "{zone}/pid"; '
        f'session-keyfile "{zone}/session.key"; listen-on port {other} {{ 127.0.0.1; }}; '
        f'listen-on-v6 {{ none; }}; recursion no; notify no; }}; controls {{ }};\n'
        f'zone "{b.domain}" {{ type primary; file "zone"; }};\n')
    b.start("named-lag", b.folder / "lab/named/named", "-c", zone / "named.conf", "-f")
    b.boot(dns="  propagation_timeout: 40s", acme="  timeout: 30s",
           replace=[(f"query_port: {b.lab.dns_port}", f"query_port: {other}")])
    end = b.failure(b.order(name), sp.DNS, "does not have the record")
    check(f"ns.{b.domain} (127.0.0.1)" in end.text, end.text)
    b.no_txt(name)


def cancelled_order_leaves_no_proof(b):
    name = f"cancel.{b.domain}"
    b.boot(replace=[(f"query_port: {b.lab.dns_port}", f"query_port: {free_port()}")])
    number = b.order(name)
    wait_for("the proof", lambda: b.txt(name), 20)
    b.steward.send(sp.CANCEL, number)
    b.no_txt(name)
    wait_for("the end of uacme", lambda: not group_alive(b.folder / "state/steward/acme/orders"), 5)


def bad_reload_keeps_the_old_configuration(b):
    b.boot()
    path = b.folder / "gateway.yaml"
    good = path.read_text()
    path.write_text(good + "\nnonsense: [\n")
    b.steward.child.send_signal(signal.SIGHUP)
    wait_for("the complaint", lambda: "the old configuration stays" in b.steward.text(), 10)
    name = f"reload.{b.domain}"
    b.verify(b.chain(b.order(name)), name)
    path.write_text(good)
    b.steward.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "configuration read again" in b.steward.text(), 10)


def names_of_a_domain_before_are_taken_out(b):
    old, path = f"old.{b.domain}", b.folder / "gateway.yaml"
    for reload_first in (True, False):
        b.boot()
        b.publish(old, "192.168.7.1")
        b.published(old)
        path.write_text(path.read_text().replace(f"domain: {b.domain}", "domain: other.example.org"))
        if reload_first:
            b.steward.send(sp.RELOAD)
            wait_for("the end of the address", lambda: b.lab.dig(old) == [], 20)
            b.publish(old)
        else:
            b.publish(old)
            b.steward.send(sp.RELOAD)
        b.published(old)
        equal(b.lab.dig(old), [])
        b.publish(old, "192.168.7.1")
        b.steward.wait_message("refused", lambda m: (
            m.cls, m.names, m.id) == (sp.OURS, [old], b.wish), 10)
    b.boot()


def nobody_may_look_inside(b):
    pid = b.steward.pid
    equal(os.stat(f"/proc/{pid}/environ").st_uid, 0, "owner of a process without dumps")
    for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            equal(line.split()[4], "0", "core size")
    for folder in ("state/steward", "run/steward"):
        equal((b.folder / folder).stat().st_mode & 0o777, 0o700, folder)
    equal((b.folder / "run/steward/hook.sock").stat().st_mode & 0o777, 0o600, "hook.sock")


def hook_from_elsewhere_is_declined(b):
    env = {"LANTHORN_HOOK": str(b.folder / "run/steward/hook.sock"), "LANTHORN_ORDER": "77"}
    for kind in ("dns-01", "http-01"):
        done = subprocess.run([BUILD / "lanthorn-hook", "begin", kind, f"tv.{b.domain}", "t",
                               "value"], env=env, timeout=20, capture_output=True, check=False)
        equal(done.returncode, 1, f"exit code for {kind}")
    equal(b.txt(f"tv.{b.domain}"), [], "proof")


def steward_ends_when_the_gate_is_gone(b):
    b.steward.close_pipe()
    equal(b.steward.child.wait(10 * SLOW), 0, "exit code")


run([base_and_wildcard_are_issued, two_orders_run_at_once, same_request_again_gets_the_same_chain,
     foreign_names_are_refused, addresses_are_published_changed_and_removed,
     bursts_of_changes_end_at_the_last, lost_address_is_set_again, dns_test_leaves_nothing,
     cname_moves_the_proof, cname_circle_is_told, secrets_are_written_privately,
     forgotten_account_is_made_again, empty_account_key_is_replaced,
     wrong_key_is_the_providers_fault_with_a_remedy, backoff_survives_a_restart,
     dead_authority_is_told, untrusted_authority_is_told, missing_uacme_is_told,
     hung_uacme_is_ended_with_its_group, killed_steward_leaves_no_proof_and_goes_on,
     lagging_name_server_is_named, cancelled_order_leaves_no_proof,
     bad_reload_keeps_the_old_configuration, names_of_a_domain_before_are_taken_out,
     nobody_may_look_inside, hook_from_elsewhere_is_declined, steward_ends_when_the_gate_is_gone],
    Bench)
