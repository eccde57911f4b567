#!/usr/bin/env python3
"""Room for everybody: one address gets its share of the connections and no more, links and other
people go on, and what a crowd took is given back."""
import socket
import time

import lib
from lib import check, equal, wait_for
from web import Browser

MOST = 128         # limits.connections
SHARE = MOST // 8  # of one address
STATE = {}
lib.WORKERS = "1"  # each has a part of both, and not less than some for one address


def make():
    return lib.Stack(f"limits:\n  connections: {MOST}\n")


def a_home_with_a_device(stack):
    stack.start_gateway()
    stack.add_device("tv")
    stack.wait_for_certificate("tv")
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    equal(browser.open(browser.origin(stack.host("tv")) + "/").status, 200)


def is_open(sock):
    sock.settimeout(0.02)
    try:
        return sock.recv(1) != b""
    except (TimeoutError, BlockingIOError):
        return True
    except OSError:
        return False


def one_address_gets_its_share(stack):
    crowd = STATE["crowd"] = [
        socket.create_connection(("127.0.0.1", stack.port), 5, ("127.0.0.77", 0))
        for _ in range(4 * SHARE)]
    wait_for("the rest is closed", lambda: sum(map(is_open, crowd)) <= SHARE, 5)
    equal(sum(map(is_open, crowd)), SHARE, "open")
    equal(stack.gateway.text().count("one address has all the connections"), 1, "lines in the log")


def others_go_on(stack):
    browser = STATE["browser"]
    begun = time.monotonic()
    page = browser.open(browser.origin(stack.host("tv")) + "/")
    equal(page.status, 200)
    check(time.monotonic() - begun < 5 * lib.SLOW, "slow")
    equal(stack.ctl("devices")["devices"][0]["online"], True, "the device")


def the_share_is_free_again_when_they_leave(stack):
    for sock in STATE["crowd"]:
        sock.close()

    def enters():
        with socket.create_connection(("127.0.0.1", stack.port), 5, ("127.0.0.77", 0)) as sock:
            time.sleep(0.1)
            return is_open(sock)

    wait_for("room for the address", enters, 5)


lib.run([
    a_home_with_a_device,
    one_address_gets_its_share,
    others_go_on,
    the_share_is_free_again_when_they_leave,
], make)
