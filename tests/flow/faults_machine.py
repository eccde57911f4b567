#!/usr/bin/env python3
"""A machine that runs out of disk and descriptors, devices that stop and break, and peers that are
slow: what works goes on, what does not says why, and all is well again without a restart.
"""
import http.client
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time

import lib
import netns
from lib import check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket, tls_connect

sys.path.insert(0, str(lib.TOP / "tests/fakes"))
from oddservice import OddService  # noqa: E402

IDLE_S = 4
HEAD_S = 3
CROWD = 300
SLOW_CLIENTS = 500  # from one address, which may have 512
SLOW_ADDR = "127.0.0.66"
STATE = {}


class Bench(lib.Stack):
    def __init__(self):
        super().__init__(config=f"limits:\n  idle_timeout: {IDLE_S}s\n"
                                f"  head_timeout: {HEAD_S}s\n"
                                # An eighth is one address's share, on each loop.
                                f"  connections: {SLOW_CLIENTS * 8 * int(lib.WORKERS)}\n")
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", state],
                       check=True, timeout=20)

    def stop(self):
        super().stop()
        subprocess.run(["umount", self.folder / "state"], check=False, timeout=20)


def same(stack, name):
    browser = STATE["browser"]
    return {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin(stack.host(name))}


def ask(stack, name="tv", method="GET", path="/api/state", body=None, timeout=20, **more):
    """(status, body, seconds) of one request of the person who is signed in."""
    browser = STATE["browser"]
    browser.timeout = timeout
    begun = time.monotonic()
    answer = browser.request(method, stack.host(name), path, {**same(stack, name), **more}, body)
    return answer.status, answer.text(), time.monotonic() - begun


def works(stack, name="tv"):
    status, text, seconds = ask(stack, name)
    equal(status, 200, f"{name}: {text}")
    return seconds


def pids(stack):
    return stack.gateway.pid, stack.gate_pid(), stack.steward_pid()


def links(stack, name):
    return next(d["links"] for d in stack.ctl("devices")["devices"] if d["name"] == name)


def a_home_on_a_disk_of_one_mebibyte(stack):
    stack.start_gateway()
    stack.add_device("tv", "Television")
    STATE["odd"] = OddService()
    stack.devices["odd"] = STATE["odd"].port
    done = stack.enrol("odd")
    equal(done.returncode, 0, f"enrol odd: {done.stderr}")
    stack.start_agent("odd")
    stack.wait_for_certificate()
    browser = STATE["browser"] = Browser(stack)
    Browser(stack).set_up(stack.setup_link())
    browser.sign_in()
    for name in ("tv", "odd"):
        wait_for(f"a link of {name}", lambda name=name: links(stack, name) > 0)
        equal(browser.open(browser.origin(stack.host(name)) + "/").status, 200, name)
    wait_for("certificates", lambda: all(
        c["state"] == "held" for c in stack.ctl("certs")["certificates"]), 40)
    STATE["socket"] = WebSocket(browser, stack.host("tv"))
    STATE["pids"] = pids(stack)


def fill(stack):
    """Write until there is no more room, down to the last byte."""
    path = stack.folder / "state/ballast"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for size in (65536, 4096, 1):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError:
                continue
    finally:
        os.close(fd)
    return path


def on_a_full_disk_sessions_go_on(stack):
    STATE["ballast"] = fill(stack)
    works(stack)
    works(stack, "odd")
    STATE["socket"].echo("still here")
    equal(STATE["browser"].open(STATE["browser"].origin(stack.domain) + "/").status, 200, "home")


def on_a_full_disk_new_writes_say_so(stack):
    # What is left in the database's files takes some more.
    for verb in (("users", "add", "ada{}"), ("pair", "lamp{}"), ("pair", "tv")):
        for n in range(300):
            done = stack.ctl_run(*(word.format(n) for word in verb))
            if done.returncode:
                break
        words = done.stdout + done.stderr
        equal(done.returncode, 1, f"lanthornctl {verb}: {words}")
        check("disk is full" in words and "Free space" in words, words)
    page = Browser(stack).sign_in()
    check(page.status >= 500 and "cannot write to its disk" in page.text(),
          f"sign-in answers {page.status}: {page.text()[-700:]}")
    stranger = Browser(stack)
    stranger.sign_in(password="wrong")
    check(not stranger.signed_in(), "a wrong password signs in")


def an_order_on_a_full_disk_says_so(stack):
    done = stack.ctl_run("renew", "tv")
    if done.returncode == 0:
        cert = wait_for("the failure", lambda: next(
            (c for c in stack.ctl("certs")["certificates"] if c["id"] == "tv" and c["failure"]),
            None), 20)
        equal(cert["failure"]["class"], "ours")
        check("No space left" in cert["failure"]["text"] or "disk" in cert["failure"]["text"],
              cert["failure"])
        check(cert["valid"], "the old certificate is gone")
    tls_connect(stack.port, stack.host("tv"), stack.lab.ca).close()


def with_room_again_all_works_within_five_seconds(stack):
    STATE["ballast"].unlink()
    begun = time.monotonic()
    wait_for("a user", lambda: stack.ctl_run("users", "add", "eve").returncode == 0, 5)
    wait_for("a token", lambda: stack.ctl_run("pair", "bell").returncode == 0, 5)
    late = Browser(stack)
    wait_for("a sign-in", lambda: late.sign_in() and late.signed_in(), 5)
    check(time.monotonic() - begun <= 5 * lib.SLOW, f"{time.monotonic() - begun:.1f} s")
    equal(pids(stack), STATE["pids"], "processes")
    STATE["socket"].echo("and still")


def a_database_that_cannot_be_written_says_so(stack):
    tracer = stack.start("strace", "strace", "-f", "-q", "-p", stack.gate_pid(), "-e",
                         "trace=pwrite64", "-e", "inject=pwrite64:error=EIO", "-o",
                         stack.folder / "strace.out")
    tracer.expect_code += (0, 130, -signal.SIGINT)
    wait_for("strace", lambda: traced(stack.gate_pid()))
    done = stack.ctl_run("users", "add", "bob")
    words = done.stdout + done.stderr
    works(stack)
    tracer.stop(signal.SIGINT)
    equal(done.returncode, 1, words)
    check("disk I/O error" in words and "Check the gateway's disk" in words, words)
    wait_for("a user", lambda: stack.ctl_run("users", "add", "bob").returncode == 0, 5)
    equal(pids(stack), STATE["pids"], "processes")


def traced(pid):
    return "TracerPid:\t0" not in pathlib.Path(f"/proc/{pid}/status").read_text()


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def without_descriptors_accepting_rests(stack):
    gate = stack.gate_pid()
    was = resource.prlimit(gate, resource.RLIMIT_NOFILE)
    resource.prlimit(gate, resource.RLIMIT_NOFILE, (64, was[1]))
    crowd = []
    try:
        for _ in range(CROWD):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", stack.port))
            crowd.append(sock)
        before = cpu_s(gate)
        time.sleep(5)
        used = cpu_s(gate) - before
        check(used <= 0.3 * lib.SLOW, f"{used:.2f} s of processor time in 5 s")
        print(f"processor time without descriptors: {used:.2f} s", file=sys.stderr)
    finally:
        for sock in crowd:
            sock.close()
    wait_for("an answer", lambda: works(stack), 5)
    resource.prlimit(gate, resource.RLIMIT_NOFILE, was)
    equal(pids(stack), STATE["pids"], "processes")


def a_stopped_agent_is_away_and_the_others_are_not(stack):
    agent = stack.agents["tv"].child
    agent.send_signal(signal.SIGSTOP)
    try:
        browser = Browser(stack, timeout=60)
        browser.cookies = STATE["browser"].cookies
        line = browser.connection(stack.host("tv"))
        begun = time.monotonic()
        line.request("GET", "/", headers={
            **NAVIGATE, "Cookie": browser.cookie_header(stack.host("tv")),
            "Host": f"{stack.host('tv')}:{stack.port}"})
        for _ in range(10):
            check(works(stack, "odd") < 1 * lib.SLOW, "the other device waits too")
        answer = line.getresponse()
        page = answer.read().decode()
        took = time.monotonic() - begun
        equal(answer.status, 504, page)
        check("The device is silent" in page and "said nothing for" in page, page)
        check(took < 2 * IDLE_S + 12, f"after {took:.1f} s")
        line.close()
    finally:
        agent.send_signal(signal.SIGCONT)
    wait_for("the device again", lambda: works(stack), 15)


def expect_broken(stack, words, statuses=(502,)):
    status, text, seconds = ask(stack, "odd", Accept="text/html")
    check(status in statuses, f"status {status}: {text}")
    check(any(w in text for w in words), text)
    check(seconds < IDLE_S + 3, f"after {seconds:.1f} s")
    check(works(stack) < 1 * lib.SLOW, "the other device waits too")


def a_service_that_is_down_is_told(stack):
    odd = STATE["odd"]
    odd.close()
    odd.become("good")
    expect_broken(stack, ["The service on this device is not running now"])
    odd.open()
    wait_for("the service again", lambda: works(stack, "odd"), 10)


def a_service_that_hangs_is_told(stack):
    STATE["odd"].become("silent")
    expect_broken(stack, ["The device is silent"], (504,))
    STATE["odd"].become("good")
    wait_for("the service again", lambda: works(stack, "odd"), 10)


def a_service_that_says_nothing_and_closes_is_told(stack):
    for mode in ("shut", "reset"):
        STATE["odd"].become(mode)
        expect_broken(stack, ["did not answer"], (502, 503))
        check(1 <= STATE["odd"].requests <= 2, f"{mode}: {STATE['odd'].requests} tries")
        STATE["odd"].become("good")
        wait_for(f"the service after {mode}", lambda: works(stack, "odd"), 10)


def what_may_not_be_repeated_is_sent_once(stack):
    for mode in ("shut", "reset"):
        STATE["odd"].become(mode)
        status, text, _ = ask(stack, "odd", "POST", body=b"x", Accept="text/html")
        check(status in (502, 503), f"{status}: {text}")
        equal(STATE["odd"].requests, 1, f"requests that the service saw ({mode})")
        STATE["odd"].become("good")
        wait_for(f"the service after {mode}", lambda: works(stack, "odd"), 10)


def half_an_answer_is_never_passed_as_whole(stack):
    for mode in ("cut", "cut_reset"):
        STATE["odd"].become(mode)
        try:
            status, text, _ = ask(stack, "odd")
            raise lib.Failure(f"{mode}: {status} {text!r} looks whole")
        except (http.client.IncompleteRead, ConnectionError, ssl.SSLError):
            pass
        STATE["odd"].become("good")
        wait_for(f"the service after {mode}", lambda: works(stack, "odd"), 10)


def client_hello(host):
    """The bytes of a first flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def crowd_of(stack, text, tls, first):
    """Clients that have sent `first` bytes of `text` and go on a byte at a time."""
    context = ssl.create_default_context(cafile=str(stack.lab.ca))
    crowd = []
    for _ in range(SLOW_CLIENTS):
        sock = socket.create_connection(("127.0.0.1", stack.port), 10, (SLOW_ADDR, 0))
        if tls:
            sock = context.wrap_socket(sock, server_hostname=stack.domain)
        sock.sendall(text[:first])
        sock.setblocking(False)
        crowd.append(sock)
    return crowd


def drip(stack, crowd, text, first, seconds):
    """A byte each, twice a second, with requests of somebody else between; how many were ended."""
    ended, slowest, at = set(), 0.0, first
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for sock in crowd:
            if sock in ended:
                continue
            try:
                sock.send(text[at:at + 1])
                if sock.recv(65536) == b"":
                    ended.add(sock)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                ended.add(sock)
        at += 1
        slowest = max(slowest, works(stack), works(stack, "odd"))
        time.sleep(0.4)
    check(slowest < 1.0 * lib.SLOW, f"a good client waits {slowest:.2f} s")
    print(f"the slowest good answer: {slowest:.3f} s, {len(ended)} ended", file=sys.stderr)
    return len(ended)


def slow(stack, text, tls, first, seconds):
    crowd = crowd_of(stack, text, tls, first)
    try:
        return drip(stack, crowd, text, first, seconds)
    finally:
        for sock in crowd:
            sock.close()


def five_hundred_slow_handshakes_delay_nobody(stack):
    ended = slow(stack, client_hello(stack.domain), False, 1, HEAD_S + 3)
    equal(ended, SLOW_CLIENTS, "clients that were ended")


def five_hundred_slow_heads_delay_nobody(stack):
    head = f"GET / HTTP/1.1\r\nHost: {stack.domain}:{stack.port}\r\nX-Slow: {'x' * 200}".encode()
    ended = slow(stack, head, True, 1, HEAD_S + 4)
    equal(ended, SLOW_CLIENTS, "clients that were ended")


def five_hundred_slow_bodies_delay_nobody(stack):
    head = (f"POST /signin HTTP/1.1\r\nHost: {stack.domain}:{stack.port}\r\nSec-Fetch-Site: "
            f"same-origin\r\nOrigin: https://{stack.domain}:{stack.port}\r\nContent-Type: "
            "application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n").encode()
    slow(stack, head + b"user=" + b"x" * 900, True, len(head), 5)
    works(stack)


def five_hundred_slow_readers_delay_nobody(stack):
    """Each asks for much and then reads a byte at a time, through a small window."""
    gate = stack.gate_pid()
    before = len(os.listdir(f"/proc/{gate}/fd"))
    page = STATE["browser"].open(STATE["browser"].origin(stack.domain) + "/").text()
    path = re.search(r'src="(/[^"]+\.js)"', page)[1]
    text = (f"GET {path} HTTP/1.1\r\nHost: {stack.domain}:{stack.port}\r\n\r\n").encode() * 20
    crowd = crowd_of(stack, text, True, len(text))
    try:
        slowest, deadline = 0.0, time.monotonic() + 2 * IDLE_S
        while time.monotonic() < deadline:
            for sock in crowd:
                sip(sock)
            slowest = max(slowest, works(stack), works(stack, "odd"))
            time.sleep(0.4)
    finally:
        for sock in crowd:
            sock.close()
    check(slowest < 1.0 * lib.SLOW, f"a good client waits {slowest:.2f} s")
    print(f"the slowest good answer: {slowest:.3f} s", file=sys.stderr)
    wait_for("the end of their connections",
             lambda: len(os.listdir(f"/proc/{gate}/fd")) <= before + 2, 3 * IDLE_S + 5)


def sip(sock):
    try:
        sock.recv(1)
    except (OSError, ssl.SSLError):
        pass


def peers_that_take_no_more_are_forgotten(stack):
    """Clients that take no byte of their answers any more, and never say goodbye."""
    gate = stack.gate_pid()
    browser = STATE["browser"]
    before = len(os.listdir(f"/proc/{gate}/fd"))
    crowd = []
    for _ in range(5):
        tls = tls_connect(stack.port, stack.host("tv"), stack.lab.ca)
        tls.sendall((f"GET /big?bytes=50000000 HTTP/1.1\r\nHost: {stack.host('tv')}:{stack.port}"
                     f"\r\nCookie: {browser.cookie_header(stack.host('tv'))}\r\n"
                     "Sec-Fetch-Site: same-origin\r\n\r\n").encode())
        check(tls.recv(15) == b"HTTP/1.1 200 OK", "no answer")
        crowd.append(tls)
    check(len(os.listdir(f"/proc/{gate}/fd")) >= before + 5, "the clients are not seen")
    works(stack)
    wait_for("the end of their connections",
             lambda: len(os.listdir(f"/proc/{gate}/fd")) <= before + 2, 3 * IDLE_S + 5)
    works(stack)
    for tls in crowd:
        tls.close()


def nothing_was_restarted(stack):
    equal(pids(stack), STATE["pids"], "processes")
    STATE["socket"].close()


def a_disk_that_is_read_only_is_told_at_the_start(stack):
    equal(stack.gateway.stop(), 0, "exit code")
    state = stack.folder / "state"
    remount(state, "ro")
    stack.gateway = stack.start("lanthornd-ro", lib.BUILD / "lanthornd", "--config",
                                stack.folder / "gateway.yaml", "--libexec", lib.BUILD)
    stack.gateway.expect_code += (1, 75, 78)
    wait_for("the words", lambda: re.search(
        "Read-only file system|cannot be written", stack.gateway.text()), 10)
    time.sleep(3)
    tries = stack.gateway.text().count("parent: ended")
    check(tries <= 8, f"{tries} starts in 3 s")
    remount(state, "rw")
    if not stack.gateway.alive():
        stack.start_gateway()
    stack.expect_crashes |= set(re.findall(r"parent: ended .*?process=(\w+) (\w+=\d+)",
                                           stack.gateway.text()))
    wait_for("the device again", lambda: works(stack), 40)


def remount(path, how):
    subprocess.run(["mount", "-o", f"remount,{how}", path], check=True, timeout=20)


netns.enter(mounts=True)
lib.run([
    a_home_on_a_disk_of_one_mebibyte,
    on_a_full_disk_sessions_go_on,
    on_a_full_disk_new_writes_say_so,
    an_order_on_a_full_disk_says_so,
    with_room_again_all_works_within_five_seconds,
    a_database_that_cannot_be_written_says_so,
    without_descriptors_accepting_rests,
    a_stopped_agent_is_away_and_the_others_are_not,
    a_service_that_is_down_is_told,
    a_service_that_hangs_is_told,
    a_service_that_says_nothing_and_closes_is_told,
    what_may_not_be_repeated_is_sent_once,
    half_an_answer_is_never_passed_as_whole,
    five_hundred_slow_handshakes_delay_nobody,
    five_hundred_slow_heads_delay_nobody,
    five_hundred_slow_bodies_delay_nobody,
    five_hundred_slow_readers_delay_nobody,
    peers_that_take_no_more_are_forgotten,
    nothing_was_restarted,
    a_disk_that_is_read_only_is_told_at_the_start,
], Bench)
