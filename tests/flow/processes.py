#!/usr/bin/env python3
"""Decision 5 from outside: each process dies and returns without the other dropping anything, a
wrong file changes nothing, one lanthornd a state and port, the end leaves nothing, and who may
read what.
"""
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import stat
import subprocess
import threading
import time

import lib
from lib import BUILD, Failure, check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket, shown_names, tls_connect

STATE = {}
GATE_UID, STEWARD_UID = 61001, 61002


def devices_yaml(stack, *names):
    return "devices:\n" + "".join(
        f"  - name: {name}\n    upstream: http://127.0.0.1:{stack.devices['tv']}\n"
        for name in names)


def same(stack, name="tv"):
    return {"Sec-Fetch-Site": "same-origin", "Origin": STATE["browser"].origin(stack.host(name))}


def get(stack, name="tv", path="/headers", connection=None):
    return STATE["browser"].request("GET", stack.host(name), path, same(stack, name),
                                    connection=connection)


def write_config(stack, text=None):
    path = stack.folder / "gateway.yaml"
    path.write_text(text or stack.config_text())
    return path


class Traffic(threading.Thread):
    """Requests on one kept connection, until told to end; it must stay the same connection."""

    def __init__(self, stack):
        super().__init__()
        self.stack, self.ending, self.failed, self.done = stack, threading.Event(), [], 0

    def run(self):
        line = STATE["browser"].connection(self.stack.host("tv"))
        line.connect()
        held = line.sock
        while not self.ending.is_set():
            try:
                answer = get(self.stack, connection=line)
                if answer.status != 200 or line.sock is not held:
                    self.failed.append(f"status {answer.status}, same {line.sock is held}")
                    return
                self.done += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                return
            time.sleep(0.005)
        line.close()

    def finish(self):
        """Some more after what was done meanwhile, however quick that was."""
        enough = self.done + 10
        wait_for("requests", lambda: self.done >= enough or self.failed)
        self.ending.set()
        self.join(20)
        equal(self.failed, [], "failed requests")


def a_gateway_starts_and_serves(stack):
    stack.start_device("tv")
    stack.http_port = lib.free_port()
    stack.config = devices_yaml(stack, "tv")
    stack.start_gateway()
    stack.add_device("lamp")
    stack.wait_for_certificate()
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    for name in ("tv", "lamp"):
        host = stack.host(name)
        wait_for(f"a certificate for {name} alone",
                 lambda host=host: shown_names(stack.port, host, stack.lab.ca) == [host], 60)
        equal(browser.open(browser.origin(host) + "/").status, 200, name)


def plain_http(stack, head, source="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", stack.http_port), 10, (source, 0)) as raw:
        raw.sendall(head.encode())
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def plain_http_only_redirects(stack):
    tv = stack.host("tv")
    for method in ("GET", "POST", "HEAD"):
        status, headers, _ = plain_http(stack, f"{method} /a?b=c HTTP/1.1\r\nHost: {tv}\r\n"
                                               "Content-Length: 0\r\nConnection: close\r\n\r\n")
        equal((status, headers["Location"]), (301, f"https://{tv}:{stack.port}/a?b=c"), method)
        check(not headers.get("Set-Cookie"), "a cookie over plain HTTP")
        check(not headers.get("Strict-Transport-Security"), "HSTS over plain HTTP")
    for host in ("unknown." + stack.domain, "evil.example", "127.0.0.1"):
        status, headers, _ = plain_http(stack, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
        equal((status, headers.get("Location")), (421, None), host)
    status, headers, _ = plain_http(stack, f"GET //evil.example/ HTTP/1.1\r\nHost: {tv}\r\n\r\n")
    check(status in (301, 400, 421), f"status {status}")
    check(not headers["Location"] or headers["Location"].startswith(f"https://{tv}:"),
          headers["Location"])


def a_killed_steward_drops_nothing_and_issues_again(stack):
    sock = WebSocket(STATE["browser"], stack.host("tv"))
    sock.echo("before")
    traffic = Traffic(stack)
    traffic.start()
    old, gate = stack.steward_pid(), stack.gate_pid()
    stack.expect_crashes.add(("steward", "signal=9"))
    os.kill(old, signal.SIGKILL)
    sock.echo("at once")
    wait_for("a new steward", lambda: stack.steward_pid() not in (None, old))
    stack.config = devices_yaml(stack, "tv", "radio")
    write_config(stack)
    equal(stack.ctl_run("reload").returncode, 0, "reload")
    host = stack.host("radio")
    wait_for("a certificate for radio alone",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 60)
    sock.echo("after")
    traffic.finish()
    equal(stack.gate_pid(), gate, "the gate")
    STATE["socket"] = sock


def reload_adds_and_removes_live(stack):
    browser, traffic = STATE["browser"], Traffic(stack)
    kept, going = STATE["socket"], None
    traffic.start()
    equal(browser.open(browser.origin(stack.host("radio")) + "/").status, 200, "radio")
    going = WebSocket(browser, stack.host("radio"))
    going.echo("radio")
    stack.config = devices_yaml(stack, "tv")
    write_config(stack)
    begun = time.monotonic()
    os.kill(stack.gateway.pid, signal.SIGHUP)
    going.sock.settimeout(10)
    try:
        going.receive()
        raise Failure("the WebSocket of a removed device goes on")
    except TimeoutError:
        raise Failure("the WebSocket of a removed device stays open") from None
    except (ConnectionError, OSError):
        check(time.monotonic() - begun <= 2 * lib.SLOW, "it ended late")
    equal([d["name"] for d in stack.ctl("devices")["devices"] if d["name"] == "radio"], [])
    try:
        equal(get(stack, "radio").status, 421, "a removed device")
    except ssl.SSLError as error:
        equal(error.reason, "TLSV1_UNRECOGNIZED_NAME")
    wait_for("radio out of DNS", lambda: stack.lab.dig(stack.host("radio")) == [])
    kept.echo("tv goes on")
    traffic.finish()


def a_wrong_file_changes_nothing(stack):
    sock, good = STATE["socket"], stack.config_text()
    for wrong, line, words in (
            (good.replace("ttl: 1s", "tll: 1s"), "tll: 1s", "ttl"),
            (good.replace("level: debug", "level: loud"), "level: loud", "debug"),
            (good + "limits: [\n", "limits: [", ""),
            (good.replace("upstream: http:", "upstream: https:"), "upstream: https:", "pin")):
        path = write_config(stack, wrong)
        number = [n for n, text in enumerate(wrong.splitlines(), 1) if line in text][0]
        done = stack.ctl_run("reload")
        equal(done.returncode, 1, f"reload with {line}")
        check(words in done.stderr and "gateway.yaml" in done.stderr, done.stderr)
        check(any(f"gateway.yaml:{n}" in done.stderr for n in (number, number - 1, number + 1)),
              lambda: f"line {number} is not named: {done.stderr}")
        os.kill(stack.gateway.pid, signal.SIGHUP)
        checked = subprocess.run([BUILD / "lanthornd", "--config", path, "--check"],
                                 capture_output=True, text=True, timeout=20, check=False)
        equal(checked.returncode, 78, "--check")
        sock.echo("still")
        equal(get(stack).status, 200, "a request")
    write_config(stack, good)
    equal(stack.ctl_run("reload").returncode, 0, "the right file")


def a_killed_gate_returns_with_its_certificates_and_links(stack):
    browser = STATE["browser"]
    pebble = int((stack.folder / "lab/run/pebble.pid").read_text())
    # Nothing may be needed from the CA: it stands still meanwhile.
    os.kill(pebble, signal.SIGSTOP)
    try:
        old, steward = stack.gate_pid(), stack.steward_pid()
        stack.expect_crashes.add(("gate", "signal=9"))
        os.kill(old, signal.SIGKILL)
        wait_for("a new gate", lambda: stack.gate_pid() not in (None, old), 10)
        begun = time.monotonic()
        host = stack.host("tv")
        wait_for("its certificate", lambda: shown_names(stack.port, host, stack.lab.ca) == [host])
        check(time.monotonic() - begun < 5 * lib.SLOW, "the certificate came late")
        equal(get(stack).status, 200, "a session from before")
        wait_for("lamp's links", lambda: get(stack, "lamp").status == 200, 30)
        equal(stack.steward_pid(), steward, "the steward")
    finally:
        os.kill(pebble, signal.SIGCONT)
    stack.config = devices_yaml(stack, "tv", "oven")
    write_config(stack)
    equal(stack.ctl_run("reload").returncode, 0, "reload")
    host = stack.host("oven")
    wait_for("a certificate for oven alone: gate and steward talk again",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 60)
    equal(browser.open(browser.origin(host) + "/").status, 200, "oven")


def a_process_that_cannot_be_started_is_tried_again(stack):
    old, parent = stack.gate_pid(), stack.gateway.pid
    stack.expect_crashes.add(("gate", "signal=9"))
    strace = subprocess.Popen(["strace", "-q", "-o", "/dev/null", "-e", "trace=clone,clone3,fork,vfork", "-e",
                               "inject=clone,clone3,fork,vfork:error=EAGAIN:when=1", "-p", str(parent)],
                              stdin=subprocess.DEVNULL)
    try:
        wait_for("strace", lambda: "TracerPid:\t0" not in pathlib.Path(
            f"/proc/{parent}/status").read_text(), 10)
        os.kill(old, signal.SIGKILL)
        wait_for("the refusal", lambda: "cannot start, will try again process=gate" in
                 stack.gateway.text(), 40)
        # Still under strace, whose leaving would wake it.
        wait_for("a new gate", lambda: stack.gate_pid() not in (None, old), 40)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(10)
    wait_for("service", lambda: get(stack).status == 200, 20)


def second(stack, text):
    path = stack.folder / "second.yaml"
    path.write_text(text)
    return subprocess.run([BUILD / "lanthornd", "--config", path, "--libexec", BUILD],
                          capture_output=True, text=True, timeout=20, check=False)


def a_second_one_is_refused(stack):
    text = stack.config_text()
    done = second(stack, text)
    equal(done.returncode, 1, "the same state and port")
    check("another lanthornd" in done.stderr and "state" in done.stderr, done.stderr)
    other = text.replace(f"{stack.folder}/run", f"{stack.folder}/run2")
    done = second(stack, other.replace(f"port: {stack.port}", f"port: {lib.free_port()}"))
    equal(done.returncode, 1, "the same state")
    check("another lanthornd" in done.stderr, done.stderr)
    other = other.replace(f"{stack.folder}/state", f"{stack.folder}/state2")
    done = second(stack, other)
    equal(done.returncode, 1, "the same port")
    check("another program" in done.stderr and str(stack.port) in done.stderr, done.stderr)
    equal(get(stack).status, 200, "the first one")
    check(stack.ctl("status"), "its socket")


def processes_naming(text):
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if text in (folder / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def sockets_below(folder):
    return [str(path) for path in folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]


def refuses(stack):
    with socket.socket() as probe:
        probe.settimeout(1)
        try:
            probe.connect(("127.0.0.1", stack.port))
        except ConnectionRefusedError:
            return True
    return False


def a_stop_refuses_who_comes_and_finishes_what_is_under_way(stack):
    host, browser = stack.host("tv"), STATE["browser"]
    line = tls_connect(stack.port, host, stack.lab.ca)
    line.settimeout(10 * lib.SLOW)
    line.sendall((f"POST /headers HTTP/1.1\r\nHost: {host}:{stack.port}\r\n"
                  f"Cookie: {browser.cookie_header(host)}\r\nOrigin: {browser.origin(host)}\r\n"
                  "Content-Length: 4\r\n\r\nab").encode())
    time.sleep(0.2)  # until it is on its way
    gate = stack.gate_pid()
    os.kill(stack.gateway.pid, signal.SIGTERM)
    wait_for("the port to be closed", lambda: refuses(stack), 3)
    equal(stack.gate_pid(), gate, "the gate, which finishes")
    line.sendall(b"cd")
    check(line.recv(65536).startswith(b"HTTP/1.1 200"), "what was under way")
    line.close()
    equal(stack.gateway.stop(), 0, "exit code")
    stack.start_gateway()
    wait_for("tv", lambda: get(stack).status == 200, 30)


def its_end_leaves_nothing(stack):
    WebSocket(STATE["browser"], stack.host("tv")).echo("open")
    held = tls_connect(stack.port, stack.host("tv"), stack.lab.ca)
    begun = time.monotonic()
    code = stack.gateway.stop()
    took = time.monotonic() - begun
    held.close()
    equal(code, 0, "exit code")
    check(took <= 10 * lib.SLOW, f"{took:.1f} s")
    equal(processes_naming(f"{stack.folder}/gateway.yaml"), [], "processes")
    for folder in ("run", "run2", "state", "state2"):
        equal(sockets_below(stack.folder / folder), [], "sockets")
    with socket.socket() as probe:
        check(probe.connect_ex(("127.0.0.1", stack.port)) != 0, "the port answers")


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {k: v.split() for k, _, v in (line.partition(":") for line in lines)}


def may_open(uid, path):
    """Can a process of that uid, without any capability, open this?"""
    done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
                           "--bounding-set=-all", "cat", path], capture_output=True, check=False)
    return done.returncode == 0


def each_process_has_its_own_user(stack):
    if os.geteuid() != 0:
        raise lib.Skip("only root can start processes as other users")
    stack.folder.chmod(0o755)
    secret = stack.folder / "steward-secret"
    secret.write_bytes(pathlib.Path(stack.lab.tsig_secret_file).read_bytes())
    os.chown(secret, STEWARD_UID, STEWARD_UID)
    secret.chmod(0o600)
    text = (stack.config_text().replace('gate: ""', f'gate: "{GATE_UID}"')
            .replace('steward: ""', f'steward: "{STEWARD_UID}"')
            .replace(str(stack.lab.tsig_secret_file), str(secret))
            .replace(f"{stack.folder}/state", f"{stack.folder}/apart"))
    stack.config_text = lambda: text
    for name in ("run", "apart"):
        (stack.folder / name).mkdir(exist_ok=True)
        (stack.folder / name).chmod(0o755)
    for agent in stack.agents.values():
        agent.stop()
        agent.expect_code += (1, 75, 77, 78)
    stack.start_gateway()
    stack.wait_for_certificate()
    for pid, uid in ((stack.gate_pid(), GATE_UID), (stack.steward_pid(), STEWARD_UID)):
        seen = status_of(pid)
        equal(set(seen["Uid"] + seen["Gid"]), {str(uid)}, "uid and gid")
        equal(seen["Groups"], [], "groups")
        for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            equal(int(seen[name][0], 16), 0, name)
        equal(seen["NoNewPrivs"], ["1"], "NoNewPrivs")
        core = [line.split() for line in
                pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if "core" in line][0]
        equal(core[4:6], ["0", "0"], "core file size")
        # Files in /proc of a process that is not dumpable belong to root.
        equal(os.stat(f"/proc/{pid}/mem").st_uid, 0, "owner of /proc/PID/mem: dumpable")
    caps = int(status_of(stack.gateway.pid)["CapEff"][0], 16)
    equal(caps & ~(1 << 5 | 1 << 6 | 1 << 7), 0, "capabilities of the parent")


def the_gate_reaches_nothing_of_the_stewards(stack):
    if os.geteuid() != 0:
        raise lib.Skip("only root can start processes as other users")
    apart = stack.folder / "apart"
    keys = [path for path in (apart / "steward").rglob("*.pem")
            if b"PRIVATE KEY" in path.read_bytes()]
    check(keys, "no account key found")
    for path in [stack.folder / "steward-secret", *keys]:
        check(may_open(STEWARD_UID, path), f"the steward cannot open {path}")
        check(not may_open(GATE_UID, path), f"the gate can open {path}")
    for path in (apart / "gate").rglob("*"):
        if path.is_file():
            check(not may_open(STEWARD_UID, path), f"the steward can open {path}")
            equal(path.stat().st_mode & 0o077, 0, f"mode of {path}")
    for path in (apart / "steward").rglob("*"):
        if path.is_file():
            equal(path.stat().st_mode & 0o077, 0, f"mode of {path}")
    maps = pathlib.Path(f"/proc/{stack.gate_pid()}/maps").read_text()
    check("libcurl" not in maps, "libcurl is mapped in the gate")
    check("libssl" in maps, "the maps cannot be read")
    for pid in (stack.gate_pid(), stack.steward_pid()):
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(fd)
            except FileNotFoundError:
                continue  # closed meanwhile
            other = "steward" if pid == stack.gate_pid() else "gate"
            check(f"/apart/{other}" not in target and "steward-secret" not in target,
                  f"an open descriptor: {target}")


lib.run([
    a_gateway_starts_and_serves,
    plain_http_only_redirects,
    a_killed_steward_drops_nothing_and_issues_again,
    reload_adds_and_removes_live,
    a_wrong_file_changes_nothing,
    a_killed_gate_returns_with_its_certificates_and_links,
    a_process_that_cannot_be_started_is_tried_again,
    a_second_one_is_refused,
    a_stop_refuses_who_comes_and_finishes_what_is_under_way,
    its_end_leaves_nothing,
    each_process_has_its_own_user,
    the_gate_reaches_nothing_of_the_stewards,
])
