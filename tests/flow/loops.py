#!/usr/bin/env python3
"""Several loops: whatever connection a browser has and wherever a device's links are, requests, bodies,
WebSockets, news, removal, sign-out and the end are as with one. WORKERS says how many, else three.
"""
import concurrent.futures
import json
import os
import pathlib
import signal
import ssl
import subprocess
import time

import lib
from lib import BUILD, SLOW, Failure, check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket

if "WORKERS" not in os.environ:
    lib.WORKERS = "3"
STATE = {}
MIB = 1 << 20
SANITIZED = "--with-sanitizers" in (BUILD / "config.status").read_text(errors="replace")
GROWTH_MAX = (96 if SANITIZED else 24) * MIB
# What was freed is not kept for long, so that memory shows what is held.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"


def crossed(stack):
    return stack.gateway.text().count("a call came from another loop")


def same(stack, name="tv"):
    browser = STATE["browser"]
    return {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin(stack.host(name))}


def too_many_addresses_for_the_workers_are_refused(stack):
    addresses = ", ".join(f"127.0.0.{i}" for i in range(1, 9))
    text = stack.config_text().replace("addresses: [127.0.0.1]\naddresses", f"addresses: [{addresses}]\naddresses")
    text = text.replace(f"workers: {lib.WORKERS}", "workers: 16").replace(
        f"{stack.folder}/", f"{stack.folder}/many/")
    for name in ("state", "run"):
        (stack.folder / "many" / name).mkdir(mode=0o700, parents=True)
    path = stack.folder / "many.yaml"
    path.write_text(text.replace(f"{stack.folder}/many/lab", f"{stack.folder}/lab"))
    done = subprocess.run([BUILD / "lanthornd", "--config", path, "--libexec", BUILD],
                          capture_output=True, text=True, timeout=30 * SLOW, check=False)
    check(done.returncode > 0, f"it ended with {done.returncode}")
    check("8 listen.addresses for 16 workers are too many ports" in done.stderr, done.stderr)


def each_loop_has_a_thread(stack):
    stack.start_gateway()
    names = {p.read_text().strip() for p in
             pathlib.Path(f"/proc/{stack.gate_pid()}/task").glob("*/comm")}
    loops = {f"gate-loop-{i}" for i in range(1, int(lib.WORKERS))}
    check(loops <= names and f"gate-loop-{lib.WORKERS}" not in names, names)


def a_device_links_and_somebody_signs_in(stack):
    stack.wait_for_certificate(seconds=90)
    stack.add_device("tv", "Television")
    stack.wait_for_certificate("tv")
    Browser(stack).set_up(stack.setup_link())
    browser = STATE["browser"] = Browser(stack, timeout=30)
    browser.sign_in()
    browser.open(browser.origin(stack.host("tv")) + "/")


def ask(stack, number):
    """One request over a connection of its own; how long it took."""
    browser = STATE["browser"]
    begun = time.monotonic()
    if number % 3:
        answer = browser.request("GET", stack.host("tv"), "/api/state", same(stack))
        equal(answer.status, 200, f"GET {number}")
    else:
        body = os.urandom(1000 + number)
        answer = browser.request("POST", stack.host("tv"), "/upload", same(stack), body)
        equal(answer.status, 200, f"POST {number}")
        equal(json.loads(answer.body)["bytes"], len(body), f"POST {number}")
    return time.monotonic() - begun


def requests_over_many_connections_all_succeed(stack):
    before = crossed(stack)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        took = sorted(pool.map(lambda n: ask(stack, n), range(300)))
    print(f"# crossed {crossed(stack) - before} of 300; median {took[150] * 1000:.0f} ms, "
          f"slowest {took[-1] * 1000:.0f} ms")
    check(crossed(stack) - before >= 30, f"only {crossed(stack) - before} of 300 crossed")
    check(took[-1] < 5 * SLOW, f"the slowest took {took[-1]:.1f} s")


def one_request_at_a_time_never_waits(stack):
    took = [ask(stack, n) for n in range(60)]
    print(f"# slowest {max(took) * 1000:.0f} ms")
    check(max(took) < 2 * SLOW, f"the slowest took {max(took):.1f} s")


def websockets_cross(stack):
    before = crossed(stack)
    sockets = STATE["sockets"] = [WebSocket(STATE["browser"], stack.host("tv")) for _ in range(10)]
    for socket in sockets:
        equal(socket.status, 101)
    for socket in sockets:
        socket.echo("x" * 50000)
    check(crossed(stack) > before, "none crossed")


def memory(stack):
    text = pathlib.Path(f"/proc/{stack.gate_pid()}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def big_bodies_cross_at_bounded_memory(stack):
    browser, before, begun = STATE["browser"], crossed(stack), memory(stack)
    most = begun
    for number in range(16):
        if number % 2:
            answer = browser.request("POST", stack.host("tv"), "/upload", same(stack),
                                     bytes(64 * MIB))
            equal(json.loads(answer.body)["bytes"], 64 * MIB, "up")
        else:
            answer = browser.request("GET", stack.host("tv"), f"/big?bytes={64 * MIB}", same(stack))
            equal(len(answer.body), 64 * MIB, "down")
        most = max(most, memory(stack))
        if number >= 3 and crossed(stack) - before >= 4:
            break
    print(f"# crossed {crossed(stack) - before}; memory grew by {(most - begun) / MIB:.1f} MiB")
    check(crossed(stack) - before >= 2, "hardly any crossed")
    check(most - begun < GROWTH_MAX, f"memory grew by {(most - begun) / MIB:.1f} MiB")


def stream(stack):
    """An event stream, open."""
    browser = STATE["browser"]
    line = browser.connection(stack.domain)
    line.request("GET", "/api/v1/events", headers={
        "Host": browser.authority(stack.domain), "Cookie": browser.cookie_header(stack.domain),
        "Accept": "text/event-stream", "Sec-Fetch-Site": "same-origin"})
    answer = line.getresponse()
    equal(answer.status, 200, "event stream")
    return answer


def events_reach_streams_on_all_loops(stack):
    streams = [stream(stack) for _ in range(4)]
    stack.start_device("lamp", "Lamp")
    equal(stack.enrol("lamp").returncode, 0, "enrol")
    for one in streams:
        heard = b""
        while b"devices" not in heard:
            part = one.readline()
            check(part, "the stream has ended")
            heard += part
        one.close()
    stack.start_agent("lamp")


def a_reload_keeps_everything(stack):
    os.kill(stack.gateway.pid, signal.SIGHUP)
    wait_for("the reload", lambda: "configuration" in stack.gateway.text())
    for socket in STATE["sockets"]:
        socket.echo("after the reload")
    for number in range(10):
        ask(stack, number)


def ends_within(sockets, seconds, begun):
    for socket in sockets:
        socket.sock.settimeout(10)
        try:
            socket.receive()
            raise Failure("a WebSocket goes on")
        except (ConnectionError, OSError, ssl.SSLError) as error:
            took = time.monotonic() - begun
            check(not isinstance(error, TimeoutError) and took <= seconds * SLOW, f"{took:.2f} s")


def a_removed_device_ends_on_all_loops(stack):
    equal(stack.ctl_run("devices", "remove", "tv").returncode, 0, "remove")
    ends_within(STATE["sockets"], 1.0, time.monotonic())
    stack.agents["tv"].expect_code += (1, 2, 75, 77, 78)
    stack.agents["tv"].stop()


def sign_out_ends_on_all_loops(stack):
    browser = STATE["browser"]
    stack.wait_for_certificate("lamp")
    browser.open(browser.origin(stack.host("lamp")) + "/")
    sockets = [WebSocket(browser, stack.host("lamp")) for _ in range(8)]
    for socket in sockets:
        socket.echo("open")
    browser.request("POST", stack.domain, "/signout", {
        **NAVIGATE, "Sec-Fetch-Site": "same-origin", "Origin": browser.origin(stack.domain)})
    ends_within(sockets, 2.0, time.monotonic())
    for _ in range(8):
        answer = browser.request("GET", stack.host("lamp"), "/api/state", same(stack, "lamp"))
        equal(answer.status, 401)


def the_end_lets_all_loops_finish(stack):
    browser = STATE["browser"] = Browser(stack, timeout=30)
    browser.sign_in()
    browser.open(browser.origin(stack.host("lamp")) + "/")
    answers = []
    for _ in range(6):
        line = browser.connection(stack.host("lamp"))
        line.request("GET", f"/big?bytes={8 * MIB}", headers={
            "Host": browser.authority(stack.host("lamp")), **same(stack, "lamp"),
            "Cookie": browser.cookie_header(stack.host("lamp"))})
        answers.append(line.getresponse())
        equal(answers[-1].status, 200)
    os.kill(stack.gateway.pid, signal.SIGTERM)
    time.sleep(0.3)
    for answer in answers:
        equal(len(answer.read()), 8 * MIB, "what was under way")
    equal(stack.gateway.child.wait(15 * SLOW), 0, "lanthornd's end")


lib.run([
    too_many_addresses_for_the_workers_are_refused,
    each_loop_has_a_thread,
    a_device_links_and_somebody_signs_in,
    requests_over_many_connections_all_succeed,
    one_request_at_a_time_never_waits,
    websockets_cross,
    big_bodies_cross_at_bounded_memory,
    events_reach_streams_on_all_loops,
    a_reload_keeps_everything,
    a_removed_device_ends_on_all_loops,
    sign_out_ends_on_all_loops,
    the_end_lets_all_loops_finish,
])
