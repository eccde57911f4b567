#!/usr/bin/env python3
"""lanthorn-agent alone: a test gateway on one side, a real HTTP server on the other.

The gateway is tests/flow/fakegate: each connection to its "tap" port is led over a link, so a plain
HTTP client here sees what a browser would. The build command of device-agent/README.md is run as it
stands there; what it makes is measured and run without a clock.
"""
import base64
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import lib
from lib import BUILD, TOP, check, equal, wait_for

MIB = 1 << 20
BIG = 64 * MIB
RSS_MOST_KIB = 12 * 1024
BLOCK = bytes(range(256)) * 256
BIG_SHA256 = hashlib.sha256(BLOCK * (BIG // len(BLOCK))).hexdigest()


class Page(http.server.BaseHTTPRequestHandler):
    """The device's own web service."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/echo":
            self.echo()
        elif self.path == "/big":
            self.send_response(200)
            self.send_header("Content-Length", str(BIG))
            self.end_headers()
            for _ in range(BIG // len(BLOCK)):
                self.wfile.write(BLOCK)
        elif self.path == "/slow":
            time.sleep(0.3)
            self.answer(b"slow")
        elif self.path == "/until-close":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BLOCK * 50)
        else:
            self.answer(f"page {self.server.name}".encode())

    def do_PUT(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            chunk = self.rfile.read(min(left, 65536))
            check(chunk, "the upload was cut")
            digest.update(chunk)
            left -= len(chunk)
        self.answer(digest.hexdigest().encode())

    def echo(self):
        self.close_connection = True
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()
        while data := self.connection.recv(65536):
            self.connection.sendall(data)


class Service:
    def __init__(self, name="one", port=0):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
        self.server.daemon_threads = True
        self.server.name = name
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Gate:
    """One run of fakegate."""

    def __init__(self, bench, *args, folder="gate"):
        bench.runs += 1
        (bench.folder / folder).mkdir(exist_ok=True)
        self.process = lib.Process(f"gate{bench.runs}", [BUILD / "tests/flow/fakegate", "--dir",
                                   bench.folder / folder, *args], bench.folder,
                                   stdin=subprocess.PIPE)
        bench.processes.append(self.process)
        wait_for("the test gateway", lambda: self.said("tap"))
        self.token, self.port = self.said("token")[0], int(self.said("port")[0])
        self.tap = int(self.said("tap")[0])

    def said(self, word):
        """What followed `word` on the lines that begin with it."""
        return [line[len(word):].strip() for line in self.process.text().splitlines()
                if line.split(" ")[0] == word]

    def tell(self, line):
        before = len(self.said("ok"))
        self.process.child.stdin.write(f"{line}\n".encode())
        self.process.child.stdin.flush()
        wait_for(f"the gateway to take {line!r}", lambda: len(self.said("ok")) > before)

    def request(self, path="/", method="GET", body=None):
        client = http.client.HTTPConnection("127.0.0.1", self.tap, timeout=60)
        try:
            client.request(method, path, body)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def stop(self):
        self.process.stop()


class Bench:
    """What all these tests share; lib.run ends it."""
    complaints, dump, stop_processes = lib.Stack.complaints, lib.Stack.dump, lib.Stack.stop

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanthorn-agent."))
        self.processes, self.lab, self.runs = [], None, 0
        self.service = self.gate = self.agent = None
        self.program = BUILD / "lanthorn-agent"
        self.small = self.folder / "lanthorn-agent"  # as README builds it

    def stop(self):
        self.stop_processes()
        if self.service:
            self.service.stop()

    def state(self, name):
        return self.folder / f"state-{name}"

    def call(self, *args, stdin="", program=None, expect=None):
        done = subprocess.run([str(a) for a in (program or self.program, *args)], input=stdin,
                              capture_output=True, text=True, timeout=60)
        check(not lib.SANITIZER.search(done.stderr), done.stderr)
        if expect is not None:
            equal(done.returncode, expect, f"exit code of {args}: {done.stdout}{done.stderr}")
        return done

    def enrol(self, name, token, *args, expect=0, program=None):
        return self.call("enrol", "--state", self.state(name), *args, stdin=token + "\n",
                         expect=expect, program=program)

    def config(self, name, **more):
        path = self.folder / f"{name}.conf"
        settings = {"state": self.state(name), "service": f"127.0.0.1:{self.service.port}",
                    "level": "debug", **more}
        path.write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
        return path

    def run(self, name, program=None, prefix=(), env=None, **more):
        self.runs += 1
        process = lib.Process(f"agent{self.runs}", [*prefix, program or self.program, "--config",
                              self.config(name, **more), "run"], self.folder, env=env)
        self.processes.append(process)
        return process

    def status(self, name):
        done = self.call("status", "--json", "--state", self.state(name))
        return {"code": done.returncode, **json.loads(done.stdout)}

    def wait_linked(self, name):
        return wait_for("a link", lambda: (s := self.status(name))["code"] == 0 and s, 30)


def enrolled(bench, name, *args):
    """A gateway of its own, an enrolled device, a running agent."""
    gate = Gate(bench, *args, folder=f"gate-{name}")
    bench.enrol(name, gate.token)
    agent = bench.run(name)
    bench.wait_linked(name)
    return gate, agent


def end(gate, agent):
    equal(agent.stop(), 0, "the agent's exit code")
    gate.stop()


def the_command_in_the_readme_builds_it(bench):
    text = (TOP / "device-agent/README.md").read_text()
    commands = re.findall(r"```sh\n(awk .*?)```", text, re.S)
    equal(len(commands), 2)
    # The smallest comes last, and is what the other tests run.
    for command, more in zip(commands, (["libnghttp2"], [])):
        check(" -o lanthorn-agent" in command, command)
        subprocess.run(["sh", "-euc", command.replace("-o lanthorn-agent", f"-o {bench.small}")],
                       cwd=TOP, check=True, timeout=240)
        linked = subprocess.run(["ldd", bench.small], capture_output=True, text=True, check=True)
        libraries = sorted(re.findall(r"^\s*(lib\w+)", linked.stdout, re.M))
        equal(libraries, sorted(["libc", "libcrypto", "libssl", *more]), "libraries")


def the_command_line_explains_itself(bench):
    check("Examples:" in bench.call("--help", expect=0).stdout, "no examples")
    check(bench.call("--version", expect=0).stdout.startswith("lanthorn-agent "), "version")
    for words in ([], ["stop"], ["run", "twice"], ["--nonsense"]):
        check("--help" in bench.call(*words, expect=64).stderr, words)


def a_token_in_argv_is_refused_with_the_reason(bench):
    for words in (["lt1.AAAA"], ["--token", "lt1.AAAA"], ["--token-file", "lt1.AAAA"]):
        done = bench.call("enrol", "--state", bench.state("argv"), *words, expect=64)
        check("can be read by everybody" in done.stderr, done.stderr)
    check(not bench.state("argv").exists(), "something was written")


def a_wrong_setting_names_its_line(bench):
    path = bench.folder / "wrong.conf"
    path.write_text("# settings\nsevice 127.0.0.1:80\n")
    done = bench.call("--config", path, "run", expect=78)
    check(f'{path}:2: no such key "sevice"; did you mean "service"?' in done.stderr, done.stderr)
    bench.call("--config", bench.folder / "none.conf", "run", expect=78)
    reference = TOP / "conf/agent.conf"
    every = re.sub(r"^#(\w)", r"\1", reference.read_text(), flags=re.M)
    path.write_text(every)
    equal(bench.call("--config", path, "--state", bench.state("none"), "status").returncode, 78)
    check("expected" not in bench.call("--config", path, "status").stderr, "reference refused")


def a_device_without_an_identity_says_how_to_get_one(bench):
    done = bench.call("run", "--state", bench.state("none"), "--service", "127.0.0.1:80",
                      expect=78)
    check("not enrolled" in done.stderr and "lanthornctl pair" in done.stderr, done.stderr)


def a_damaged_token_is_refused(bench):
    bench.gate = gate = Gate(bench)
    for token in ("", "hello", gate.token[:-5], gate.token + "A", gate.token + " x",
                  "lt9." + gate.token[4:]):
        bench.enrol("damaged", token, expect=1)
    equal(gate.said("app-bytes"), [], "bytes for damaged tokens")
    equal(bench.call("status", "--state", bench.state("damaged")).returncode, 78)


def a_wrong_secret_is_refused_by_the_gateway(bench):
    raw = bytearray(base64.urlsafe_b64decode(bench.gate.token[4:] + "=="))
    raw[-9] ^= 1  # the secret's last byte stands before the eight of the expiry
    token = "lt1." + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    done = bench.enrol("damaged", token, expect=1)
    check("the token is not right" in done.stderr, done.stderr)
    equal(len(bench.gate.said("bad-proof")), 1, "refused proofs")


def a_gateway_that_is_not_the_tokens_gets_no_byte(bench):
    for mode in ("foreign", "foreign-chain", "wrong-name", "device-cert", "no-purpose"):
        gate = Gate(bench, "--mode", mode)
        done = bench.enrol("spoofed", gate.token, expect=1)
        check("this is not the gateway the token names; nothing was sent" in done.stderr,
              f"{mode}: {done.stderr}")
        counts = wait_for("the gateway's count", lambda: gate.said("app-bytes"))
        equal(set(counts), {"0"}, f"application bytes with {mode}")
        check(not (bench.state("spoofed") / "identity").exists(), "an identity was stored")
        gate.stop()


def enrolment_makes_a_private_key_and_an_identity(bench):
    bench.gate.stop()
    bench.gate = gate = Gate(bench)
    equal(bench.enrol("tv", gate.token).stderr, "", "complaints")
    state = bench.state("tv")
    equal((state / "key").stat().st_mode & 0o777, 0o600, "mode of the key")
    equal(state.stat().st_mode & 0o777, 0o700, "mode of the folder")
    equal(sorted(p.name for p in state.iterdir()), ["identity", "key", "lock"], "files")
    check("PRIVATE KEY" in (state / "key").read_text(), "no key")
    status = bench.status("tv")
    equal((status["code"], status["state"]), (3, "stopped"))
    before = (state / "identity").read_bytes()
    done = bench.enrol("tv", gate.token, expect=1)
    check("enrolled already" in done.stderr and "--again" in done.stderr, done.stderr)
    equal((state / "identity").read_bytes(), before, "the identity")
    key = (state / "key").read_bytes()
    bench.enrol("tv", gate.token, "--again")
    equal((state / "key").read_bytes(), key, "the key")


def enrolment_that_was_cut_can_be_repeated_with_the_same_key(bench):
    gate = Gate(bench, "--mode", "cut")
    done = bench.enrol("cut", gate.token, expect=75)
    check("was not reached" in done.stderr, done.stderr)
    key = (bench.state("cut") / "key").read_bytes()
    gate.tell("mode normal")
    bench.enrol("cut", gate.token)
    equal((bench.state("cut") / "key").read_bytes(), key, "the key")
    gate.stop()
    bench.enrol("nobody", gate.token, expect=75)


def tls_1_2_will_do(bench):
    gate, agent = enrolled(bench, "old", "--tls12")
    equal(gate.request(), (200, b"page one"))
    wait_for("a resumed session", lambda: "resumed=1" in gate.said("link"))
    end(gate, agent)


def a_key_that_others_may_read_is_refused(bench):
    key = bench.state("cut") / "key"
    key.chmod(0o644)
    process = bench.run("cut")
    process.child.wait(20)
    process.expect_code = (78,)
    check("chmod 600" in process.text(), process.text())


def a_request_reaches_the_service_over_a_link(bench):
    bench.agent = bench.run("tv")
    bench.wait_linked("tv")
    equal(bench.gate.request(), (200, b"page one"))
    equal(bench.gate.request("/until-close"), (200, BLOCK * 50))
    wait_for("two spares", lambda: bench.status("tv")["idle"] == 2)
    wait_for("a resumed session", lambda: "resumed=1" in bench.gate.said("link"))
    other = bench.run("tv")
    other.child.wait(20)
    other.expect_code = (78,)
    check("another lanthorn-agent runs" in other.text(), other.text())


def twenty_at_once_are_served(bench):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: bench.gate.request("/slow"), range(20)))
    equal(answers, [(200, b"slow")] * 20)
    wait_for("calm", lambda: bench.status("tv")["busy"] == 0)


def an_upgraded_connection_carries_bytes_both_ways(bench):
    with socket.create_connection(("127.0.0.1", bench.gate.tap), 30) as s:
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: tv\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += s.recv(1)
        check(b" 101 " in head, head)
        for size in (1, 5, 20000):
            s.sendall(BLOCK[:size])
            got = b""
            while len(got) < size:
                got += s.recv(65536)
            equal(got, BLOCK[:size], "echo")
    wait_for("the link to be closed", lambda: bench.status("tv")["busy"] == 0)


def a_service_that_is_down_becomes_a_502(bench):
    port = bench.service.port
    bench.service.stop()
    status, body = bench.gate.request("/", "PUT", BLOCK)
    equal((status, len(body)), (502, 48))
    equal(bench.status("tv")["state"], "linked")
    bench.service = Service("two", port)
    equal(bench.gate.request(), (200, b"page two"))


def sighup_moves_the_service_without_cutting_a_link(bench):
    other = Service("three")
    client = http.client.HTTPConnection("127.0.0.1", bench.gate.tap, timeout=30)
    client.request("GET", "/")
    equal(client.getresponse().read(), b"page two")
    bench.config("tv", service=f"127.0.0.1:{other.port}")
    bench.agent.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "reloaded" in bench.agent.text())
    equal(bench.gate.request(), (200, b"page three"))
    client.request("GET", "/")
    equal(client.getresponse().read(), b"page two", "over the connection of before")
    client.close()
    bench.folder.joinpath("tv.conf").write_text("spares 99\n")
    bench.agent.child.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: "all stays as it was" in bench.agent.text())
    equal(bench.gate.request(), (200, b"page three"))
    other.stop()
    bench.config("tv")
    bench.agent.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: bench.gate.request() == (200, b"page two"))


def a_gateway_that_restarts_is_found_again(bench):
    port = bench.gate.port
    bench.gate.stop()
    wait_for("notice", lambda: bench.status("tv")["code"] == 1)
    check(bench.status("tv")["last_error"], "no cause")
    bench.gate = Gate(bench, "--port", str(port))
    bench.wait_linked("tv")
    equal(bench.gate.request(), (200, b"page two"))


def a_gateway_that_moved_is_found_by_its_name(bench):
    equal(bench.agent.stop(), 0)
    path = bench.state("tv") / "identity"
    path.write_text(path.read_text().replace("addr 127.0.0.1", "addr 127.0.0.77"))
    bench.agent = bench.run("tv")
    equal(bench.wait_linked("tv")["gateway"], "127.0.0.1", "the gateway's address")
    equal(bench.gate.request(), (200, b"page two"))


def sigterm_ends_it_within_five_seconds_even_when_busy(bench):
    with socket.create_connection(("127.0.0.1", bench.gate.tap), 30) as s:
        s.sendall(b"GET /big HTTP/1.1\r\nHost: tv\r\n\r\n")
        s.recv(1)  # and no more
        begun = time.monotonic()
        equal(bench.agent.stop(seconds=6), 0, "the exit code")
        check(time.monotonic() - begun < 5.5, "it took too long")
    equal(bench.status("tv")["state"], "stopped")
    check(not (bench.state("tv") / "agent.sock").exists(), "the socket stayed")


def a_certificate_with_a_third_left_is_renewed(bench):
    gate = Gate(bench, "--life", "20", folder="gate-renew")  # of 80 s
    bench.enrol("renew", gate.token)
    gate.tell("life 1000000")
    before = bench.status("renew")["not_after"]
    agent = bench.run("renew")
    wait_for("the renewal", lambda: bench.status("renew")["not_after"] > before + 900000)
    equal(gate.request(), (200, b"page two"))
    end(gate, agent)
    check(bench.status("renew")["not_after"] > before + 900000, "it was not stored")


def an_expired_certificate_is_renewed_and_links_again(bench):
    gate = Gate(bench, "--life", "1000", folder="gate-expired")
    bench.enrol("expired", gate.token)
    gate.tell("offset 5000000")
    agent = bench.run("expired")
    wait_for("the refusal", lambda: "refused expired" in gate.said("link"))
    wait_for("the renewal", lambda: gate.process.text().count("renewed"))
    wait_for("an answer", lambda: gate.request() == (200, b"page two"), 40)
    end(gate, agent)


def a_gateway_whose_clock_had_run_ahead_is_followed(bench):
    gate = Gate(bench, "--offset", "500000000", folder="gate-ahead")
    bench.enrol("ahead", gate.token)
    gate.tell("offset 0")
    agent = bench.run("ahead")
    wait_for("the refusal", lambda: "refused future" in gate.said("link"))
    wait_for("an answer", lambda: gate.request() == (200, b"page two"), 40)
    check(abs(bench.status("ahead")["gateway_time"] - time.time()) < 60, "the time")
    end(gate, agent)


def a_device_whose_links_are_all_closed_says_what_to_do(bench):
    gate, agent = enrolled(bench, "closing")
    agent.stop()
    gate.tell("mode closing")
    agent = bench.run("closing")
    status = wait_for("the hint", lambda: (s := bench.status("closing"))["state"] == "refused" and
                      "hint" in s and s, 60)
    equal(status["code"], 1)
    check("lanthornctl pair" in status["hint"], status)
    equal(agent.text().count("the gateway closes every link"), 1, "lines in the log")
    end(gate, agent)


def a_removed_device_says_what_to_do(bench):
    gate, agent = enrolled(bench, "gone")
    agent.stop()
    gate.tell("mode gone")
    agent = bench.run("gone")
    status = wait_for("the verdict", lambda: (s := bench.status("gone"))["state"] == "removed" and s)
    equal(status["code"], 1)
    check("lanthornctl pair" in status["hint"], status)
    equal(agent.text().count("was removed at its gateway"), 1, "lines in the log")
    end(gate, agent)


def small(bench):
    """A gateway, a device, and the agent as README builds it."""
    gate = Gate(bench, folder="gate-small")
    bench.enrol("small", gate.token, program=bench.small)
    return gate


def rss_kib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def upload(gate):
    client = http.client.HTTPConnection("127.0.0.1", gate.tap, timeout=120)
    client.request("PUT", "/", (BLOCK for _ in range(BIG // len(BLOCK))),
                   {"Content-Length": str(BIG)})
    answer = client.getresponse()
    return answer.read().decode()


def download(gate):
    client = http.client.HTTPConnection("127.0.0.1", gate.tap, timeout=120)
    client.request("GET", "/big")
    answer, digest = client.getresponse(), hashlib.sha256()
    while data := answer.read(1 << 18):
        digest.update(data)
    return digest.hexdigest()


def sixty_four_mib_both_ways_in_less_than_12_mib(bench):
    gate = small(bench)
    agent = bench.run("small", program=bench.small)
    bench.wait_linked("small")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(upload, gate), pool.submit(download, gate)]
        equal([f.result() for f in both], [BIG_SHA256] * 2, "hashes")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: gate.request("/slow"), range(20)))
    most = rss_kib(agent.pid)
    print(f"# at most {most} KiB resident", flush=True)
    check(most < RSS_MOST_KIB, f"{most} KiB resident")
    equal(agent.stop(), 0)
    bench.gate = gate


def a_device_in_1970_links_and_renews(bench):
    """Certificates of 2026 onwards, a clock that begins in 1970."""
    path = shutil.which("faketime")
    check(path, "faketime is missing")
    gate = bench.gate
    fake = (path, "-f", "@1970-01-01 00:00:10")
    state = bench.state("dawn")
    done = subprocess.run([*fake, bench.small, "enrol", "--state", state],
                          input=gate.token, text=True, capture_output=True, timeout=60)
    equal(done.returncode, 0, f"enrolment in 1970: {done.stderr}")
    agent = bench.run("dawn", program=bench.small, prefix=fake)
    status = wait_for("the gateway's time",
                      lambda: (s := bench.status("dawn")).get("gateway_time") and s)
    check(abs(status["gateway_time"] - time.time()) < 60, f"time: {status}")
    check("1970-01-01T00:00" in agent.text(), "the clock was not that of 1970")
    equal(gate.request(), (200, b"page two"))
    agent.stop()
    gate.stop()


def make():
    bench = Bench()
    bench.service = Service()
    return bench


if __name__ == "__main__":
    lib.run([
        the_command_in_the_readme_builds_it,
        the_command_line_explains_itself,
        a_token_in_argv_is_refused_with_the_reason,
        a_wrong_setting_names_its_line,
        a_device_without_an_identity_says_how_to_get_one,
        a_damaged_token_is_refused,
        a_wrong_secret_is_refused_by_the_gateway,
        a_gateway_that_is_not_the_tokens_gets_no_byte,
        enrolment_makes_a_private_key_and_an_identity,
        enrolment_that_was_cut_can_be_repeated_with_the_same_key,
        tls_1_2_will_do,
        a_key_that_others_may_read_is_refused,
        a_request_reaches_the_service_over_a_link,
        twenty_at_once_are_served,
        an_upgraded_connection_carries_bytes_both_ways,
        a_service_that_is_down_becomes_a_502,
        sighup_moves_the_service_without_cutting_a_link,
        a_gateway_that_restarts_is_found_again,
        a_gateway_that_moved_is_found_by_its_name,
        sigterm_ends_it_within_five_seconds_even_when_busy,
        a_certificate_with_a_third_left_is_renewed,
        an_expired_certificate_is_renewed_and_links_again,
        a_gateway_whose_clock_had_run_ahead_is_followed,
        a_removed_device_says_what_to_do,
        a_device_whose_links_are_all_closed_says_what_to_do,
        sixty_four_mib_both_ways_in_less_than_12_mib,
        a_device_in_1970_links_and_renews,
    ], make=make)
