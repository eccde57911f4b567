#!/usr/bin/env python3
"""The main job with programs of another kind of machine: a gateway of it takes over what one of this
machine has written, and the other way round; an agent of it is served by both.

BUILD has the other machine's programs, NATIVE this one's. ONLY_AGENT: the gateway is always NATIVE's.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))
import lib
from lib import check, equal, wait_for
from web import Browser, WebSocket, shown_names

FOREIGN, NATIVE = lib.BUILD, pathlib.Path(os.environ["NATIVE"]).resolve()
GATEWAYS = {"foreign": NATIVE if os.environ.get("ONLY_AGENT") else FOREIGN, "native": NATIVE}
lib.SLOW = 3
STATE = {}


def start_gateway(stack, kind):
    lib.BUILD = GATEWAYS[kind]
    stack.start_gateway()
    stack.wait_for_certificate()


def linked(stack, name):
    wait_for(f"a link of {name}", lambda: any(d["name"] == name and d["links"] > 0
                                              for d in stack.ctl("devices")["devices"]))


def add_device(stack, name, programs):
    """With an agent out of that folder."""
    gateway, lib.BUILD = lib.BUILD, programs
    stack.start_device(name)
    lib.BUILD = gateway
    token = stack.token(name)
    lib.BUILD = programs
    done = stack.enrol(name, token)
    check(done.returncode == 0, f"enrol {name}: {done.returncode} {done.stderr}")
    stack.start_agent(name)
    lib.BUILD = gateway
    linked(stack, name)


def answers(stack, *names):
    """Each device's page, by the session of the first sign-in, and a WebSocket's echo."""
    browser = STATE["browser"]
    for name in names:
        page = browser.open(browser.origin(stack.host(name)) + "/")
        equal(page.status, 200, name)
        check(name in page.text(), f"the page of {name}: {page.text()[:200]}")
        socket = WebSocket(browser, stack.host(name))
        socket.echo("big and little")
        socket.close()


def the_other_machine_gets_a_certificate(stack):
    start_gateway(stack, "foreign")


def its_agent_enrols_and_serves(stack):
    add_device(stack, "tv", FOREIGN)
    Browser(stack).set_up(stack.setup_link())
    STATE["browser"] = browser = Browser(stack)
    browser.sign_in()
    answers(stack, "tv")


def this_machine_goes_on_with_its_state(stack):
    stack.gateway.stop()
    start_gateway(stack, "native")
    linked(stack, "tv")
    answers(stack, "tv")


def this_machine_adds_a_device(stack):
    add_device(stack, "lamp", NATIVE)
    answers(stack, "tv", "lamp")
    host = stack.host("lamp")
    wait_for("a certificate for lamp", lambda: shown_names(stack.port, host, stack.lab.ca) == [host],
             60)


def the_other_machine_goes_on_with_that(stack):
    stack.gateway.stop()
    start_gateway(stack, "foreign")
    for name in ("tv", "lamp"):
        linked(stack, name)
    answers(stack, "tv", "lamp")


def a_removed_device_is_cut(stack):
    done = stack.ctl_run("devices", "remove", "tv")
    check(done.returncode == 0, done.stderr)
    wait_for("tv out of DNS", lambda: stack.lab.dig(stack.host("tv")) == [])
    check(all(d["name"] != "tv" for d in stack.ctl("devices")["devices"]), "tv is still listed")
    stack.agents["tv"].expect_code += (1, 2, 75, 77, 78)


if __name__ == "__main__":
    lib.run([the_other_machine_gets_a_certificate, its_agent_enrols_and_serves,
             this_machine_goes_on_with_its_state, this_machine_adds_a_device,
             the_other_machine_goes_on_with_that, a_removed_device_is_cut])
