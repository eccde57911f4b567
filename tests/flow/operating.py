#!/usr/bin/env python3
"""For whoever looks after the gateway: DNS tested and its secrets handed over, tokens for scripts, a
name that gets a second owner, and upgrades that must not become tunnels."""
import json
import stat

import lib
from lib import check, equal, wait_for
from web import Browser

STATE = {}


def a_home_with_two_devices(stack):
    stack.start_gateway()
    for name in ("tv", "lamp"):
        stack.add_device(name)
    stack.wait_for_certificate("tv")
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(stack.setup_link())
    check(browser.signed_in(), "not signed in")


def dns_is_tested_and_left_clean(stack):
    done = stack.ctl_run("dns", "test")
    equal(done.returncode, 0, done.stderr)
    check(done.stdout.startswith("DNS works: "), done.stdout)
    wait_for("no test record", lambda: stack.lab.dig("_lanthorn-test." + stack.domain, "TXT") == [])
    equal(stack.ctl("dns", "test")["state"], "passed")


def a_secret_is_kept_for_the_steward_alone(stack):
    done = stack.ctl_run("secret", "desec-token", stdin="top-secret-value\n")
    equal(done.returncode, 0, done.stderr)
    path = stack.folder / "state/steward/secrets/desec-token"
    wait_for("the secret", path.exists)
    equal(path.read_text(), "top-secret-value")
    equal(stat.S_IMODE(path.stat().st_mode), 0o600, "mode")
    for bad in ("../gate.db", "A", "a b", "x" * 65):
        stack.ctl_run("secret", bad, stdin="value\n")
    equal([p.name for p in path.parent.iterdir()], ["desec-token"], "files")
    equal(stack.ctl_run("secret", "empty", stdin="").returncode, 64, "no input")
    equal(stack.ctl_run("secret", "unended", stdin="top-secret-value").returncode, 0, "no newline")
    equal(stack.ctl_run("secret", "empty", stdin="\n").returncode, 1, "an empty line")
    check("top-secret-value" not in stack.gateway.text(), "the secret is in the log")


def script(stack, host, token, method="GET", path="/headers", **fields):
    headers = {"Lanthorn-Token": token, **{k.replace("_", "-"): v for k, v in fields.items()}}
    return Browser(stack).request(method, stack.host(host), path, headers)


def a_script_token_opens_one_device(stack):
    equal(stack.ctl_run("users", "add", "ada").returncode, 0)
    done = stack.ctl_run("users", "token", "ada", "tv")
    equal(done.returncode, 1, "a token for what is not open")
    check("allow" in done.stderr, done.stderr)
    equal(stack.ctl_run("users", "allow", "ada", "tv").returncode, 0)
    token = STATE["token"] = stack.ctl("users", "token", "ada", "tv")["token"]
    wait_for("the token", lambda: script(stack, "tv", token).status == 200)
    seen = json.loads(script(stack, "tv", token).body)["headers"]
    equal(seen.get("lanthorn-user"), "ada", "who the device sees")
    check(token not in json.dumps(seen), "the token reaches the device")
    equal(script(stack, "lamp", token).status, 401, "on another device")
    equal(script(stack, None, token, path="/api/v1/status").status, 401, "on the gateway")
    equal(script(stack, "tv", token[:-1] + "_").status, 401, "a wrong one")


def a_script_token_stands_in_for_an_origin(stack):
    token = STATE["token"]
    equal(script(stack, "tv", token, "POST", "/api/state").status // 100 in (2, 4), True)
    check(script(stack, "tv", token, "POST", "/upload").status == 200, "POST without Origin")
    equal(script(stack, "tv", token, "POST", "/upload", Origin="https://evil.example").status, 403)
    equal(script(stack, "tv", token, "POST", "/upload", Sec_Fetch_Site="same-site").status, 403)


def signing_a_person_out_ends_their_tokens(stack):
    equal(stack.ctl_run("users", "sign-out", "ada").returncode, 0)
    wait_for("the end", lambda: script(stack, "tv", STATE["token"]).status == 401, 2)


def only_websocket_is_let_through_as_an_upgrade(stack):
    browser = STATE["browser"]
    browser.open(browser.origin(stack.host("tv")) + "/")
    answer = browser.request("GET", stack.host("tv"), "/headers", {
        "Sec-Fetch-Site": "same-origin", "Origin": browser.origin(stack.host("tv")),
        "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"})
    equal(answer.status, 200)
    seen = json.loads(answer.body)["headers"]
    for name in ("upgrade", "http2-settings"):
        check(name not in seen, f"{name} reaches the device")


def first_page(stack):
    """The headers of the page that ends the code flow on tv's host, in a fresh browser."""
    browser = Browser(stack)
    browser.sign_in()
    seen = []
    keep = browser.keep_cookies

    def note(host, headers):
        if host == stack.host("tv"):
            seen.append(headers.get("Clear-Site-Data"))
        keep(host, headers)

    browser.keep_cookies = note
    browser.open(browser.origin(stack.host("tv")) + "/")
    return [value for value in seen if value]


def a_second_owner_of_a_name_begins_clean(stack):
    equal(first_page(stack), [], "the first owner")
    equal(stack.ctl_run("devices", "remove", "tv").returncode, 0)
    stack.agents["tv"].stop()
    (stack.folder / "agent-tv").rename(stack.folder / "agent-tv-old")
    done = stack.enrol("tv")
    equal(done.returncode, 0, done.stderr)
    stack.start_agent("tv")
    stack.wait_for_certificate("tv")
    equal(first_page(stack), ['"cache", "storage"'], "the second owner")


def a_dns_that_is_down_is_said_with_a_remedy(stack):
    stack.lab.stop()
    done = stack.ctl_run("dns", "test")
    equal(done.returncode, 1, done.stdout)
    check(done.stdout.startswith("DNS does not work: "), done.stdout)
    check("What to do: " in done.stdout, done.stdout)


lib.run([
    a_home_with_two_devices,
    dns_is_tested_and_left_clean,
    a_secret_is_kept_for_the_steward_alone,
    a_script_token_opens_one_device,
    a_script_token_stands_in_for_an_origin,
    signing_a_person_out_ends_their_tokens,
    only_websocket_is_let_through_as_an_upgrade,
    a_second_owner_of_a_name_begins_clean,
    a_dns_that_is_down_is_said_with_a_remedy,
])
