#!/usr/bin/env python3
"""What people and scripts type: every verb of lanthornctl with and without --json, exit codes,
help, the QR code, lanthornd's own options; and no secret of a whole run in any log.
"""
import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.parse

import lib
from lib import BUILD, check, equal, wait_for
from web import NAVIGATE, Browser, WebSocket, shown_names

PASSWORD, WRONG = "a calm long password", "an unfit guess at it"
VERBS = ("setup", "status", "pair", "devices", "users", "certs", "renew", "reload", "logs")
STATE = {"secrets": {}}


def secret(what, text):
    check(len(text) >= 8, f"{what} is too short to look for: {text!r}")
    STATE["secrets"][what] = text
    return text


def ctl_alone(*args):
    return subprocess.run([BUILD / "lanthornctl", *args], capture_output=True, text=True,
                          timeout=20, check=False)


def daemon(*args):
    return subprocess.run([BUILD / "lanthornd", *args], capture_output=True, text=True, timeout=20,
                          check=False)


# ---- without a gateway ----

def help_names_every_verb_with_an_example(_):
    done = ctl_alone("--help")
    equal((done.returncode, done.stderr), (0, ""), "--help")
    for verb in VERBS:
        check(re.search(rf"^  {verb} ", done.stdout, re.M), f"{verb} is not there")
        check(f"e.g. lanthornctl {verb}" in done.stdout, f"no example of {verb}")
    check("Exit codes" in done.stdout, "no exit codes")
    check(max(map(len, done.stdout.splitlines())) <= 140, "very long lines")
    for verb in VERBS:
        done = ctl_alone(verb, "--help")
        equal((done.returncode, done.stderr), (0, ""), f"{verb} --help")
        check(done.stdout.startswith(f"Usage: lanthornctl {verb} ") and
              done.stdout.count("Example: ") == 1, f"more than {verb}: {done.stdout}")
    equal(ctl_alone("--version").stdout.split()[0], "lanthornctl")
    for program in ("lanthornd", "lanthorn-agent"):
        done = subprocess.run([BUILD / program, "--help"], capture_output=True, text=True,
                              timeout=20, check=False)
        equal(done.returncode, 0, f"{program} --help")
        check("xample" in done.stdout and program in done.stdout, f"{program}: {done.stdout}")


def wrong_usage_is_64_and_says_what_is_right(_):
    equal(ctl_alone().returncode, 64, "no verb")
    for typed, meant in (("statsu", "status"), ("device", "devices"), ("cert", "certs"),
                         ("par", "pair"), ("relaod", "reload")):
        done = ctl_alone(typed)
        equal(done.returncode, 64, typed)
        check(f'did you mean "{meant}"?' in done.stderr, done.stderr)
    done = ctl_alone("somethingelse")
    check("did you mean" not in done.stderr and "--help" in done.stderr, done.stderr)
    for args in (["pair"], ["pair", "a", "b"], ["renew"], ["devices", "remove"],
                 ["devices", "destroy", "tv"], ["users", "allow", "ada"], ["users", "frob"],
                 ["status", "tv"], ["certs", "tv"], ["logs", "many"], ["logs", "1", "2"],
                 ["logs", "100000"]):
        done = ctl_alone(*args)
        equal(done.returncode, 64, args)
        check("Usage: lanthornctl" in done.stderr and "Example:" in done.stderr, done.stderr)
    equal(ctl_alone("--frob", "status").returncode, 64, "an unknown option")
    equal(daemon("--frob").returncode, 64, "lanthornd --frob")
    equal(daemon("frob").returncode, 64, "lanthornd frob")


def without_a_gateway_every_verb_is_69(stack):
    for verb in VERBS:
        args = {"pair": ["tv"], "renew": ["tv"]}.get(verb, [])
        for more in ([], ["--json"]):
            done = ctl_alone("--socket", str(stack.folder / "nobody.sock"), verb, *args, *more)
            equal((done.returncode, done.stdout), (69, ""), f"{verb} {more}")
            check("nobody.sock" in done.stderr, f"{verb}: {done.stderr}")


def the_schema_is_a_configuration(stack):
    done = daemon("--print-schema")
    equal((done.returncode, done.stderr), (0, ""), "--print-schema")
    path = stack.folder / "schema.yaml"
    path.write_text(done.stdout)
    checked = daemon("--check", "--config", path)
    equal(checked.returncode, 78, "--check without a domain")
    check("domain is missing" in checked.stderr, checked.stderr)
    path.write_text(done.stdout + "\ndomain: home.example.com\n")
    checked = daemon("--check", "--config", path)
    equal(checked.returncode, 0, f"--check of it: {checked.stderr}")
    for key in ("domain:", "http_port:", "tsig", "idle_timeout:", "pin"):
        check(key in done.stdout, f"{key} is not there")


def check_names_the_line_and_the_nearest_key(stack):
    path = stack.folder / "checked.yaml"
    good = stack.config_text()
    path.write_text(good)
    done = daemon("--check", "--config", path)
    equal((done.returncode, done.stderr), (0, ""), "a good file")
    check("in order" in done.stdout, done.stdout)
    for wrong, line, words in (
            (good.replace("http_port:", "htp_port:"), "htp_port", "http_port"),
            (good.replace("ttl: 1s", "ttl: fast"), "ttl: fast", "duration"),
            (good.replace("provider: rfc2136", "provider: cloudflair"), "cloudflair", "rfc2136"),
            (good.replace(f"port: {stack.port}", "port: 70000"), "port: 70000", "65535"),
            (good.replace("tsig_secret_file:", "tsig_secret:"), "tsig_secret:", "_file"),
            (good + "domain: again.example\n", "again", "domain"),
            (good + "a: [b\n", "a: [b", "")):
        path.write_text(wrong)
        number = [n for n, text in enumerate(wrong.splitlines(), 1) if line in text][-1]
        done = daemon("--check", "--config", path)
        equal(done.returncode, 78, line)
        found = [int(n) for n in re.findall(r"checked\.yaml:(\d+)", done.stderr)]
        check(any(abs(n - number) <= 1 for n in found) and words in done.stderr,
              lambda: f"{line} at {number}: {done.stderr}")
        equal(daemon("--config", path, "--libexec", BUILD).returncode, 78, f"a start with {line}")
    done = daemon("--check", "--config", stack.folder / "nothing.yaml")
    check(done.returncode == 78 and "nothing.yaml" in done.stderr, done.stderr)


# ---- with one ----

def a_gateway_starts_with_json_logs(stack):
    stack.start_device("tv")
    text = stack.config_text
    stack.config_text = lambda: text().replace("  level: debug", "  level: debug\n  format: json")
    stack.config = ("devices:\n  - name: box\n"
                    f"    upstream: http://127.0.0.1:{stack.devices['tv']}\n")
    stack.start_gateway()
    stack.wait_for_certificate()


def both(stack, *args, words=(), code=0):
    """Run a verb for people and for scripts; the JSON."""
    plain = stack.ctl_run(*args)
    equal(plain.returncode, code, f"{args}: {plain.stderr}")
    said = plain.stdout if code == 0 else plain.stderr
    for word in words:
        check(word in said, f"{args} does not say {word!r}: {said}")
    check(not re.search(r"[\x00-\x08\x0b-\x1a]", plain.stdout), "control bytes")
    done = stack.ctl_run("--json", *args)
    return json.loads(done.stdout) if done.stdout else {}


def setup_and_pair_print_what_is_needed(stack):
    link = stack.setup_link()
    secret("setup token", link.split("token=")[1])
    again = json.loads(stack.ctl_run("setup", "--json").stdout)["link"]
    secret("second setup token", again.split("token=")[1])
    browser = STATE["browser"] = Browser(stack)
    browser.set_up(again, password=secret("password", PASSWORD))
    Browser(stack).sign_in("admin", secret("wrong password", WRONG))
    both(stack, "setup", words=["administrator already", "users invite"], code=1)
    done = stack.ctl_run("pair", "tv", "--title", "Living room")
    equal(done.returncode, 0, done.stderr)
    token = re.search(r"lt1\.[\w-]+", done.stdout)[0]
    secret("pairing token", token)
    raw = base64.urlsafe_b64decode(token[4:] + "=" * (-len(token[4:]) % 4))
    secret("its secret in hex", raw[-24:-8].hex())
    STATE["qr"], STATE["token"] = done.stdout, token
    fresh = json.loads(stack.ctl_run("pair", "tv", "--json").stdout)
    equal((fresh["name"], fresh["token"][:4]), ("tv", "lt1."))
    secret("second pairing token", fresh["token"])
    equal(stack.enrol("tv", token).returncode != 0, True, "the token before the last")
    done = stack.enrol("tv", fresh["token"])
    equal(done.returncode, 0, f"enrol: {done.stderr}")
    stack.start_agent("tv")
    both(stack, "pair", "Not a name!", words=["What to do"], code=1)
    both(stack, "pair", "box", code=1)


def the_qr_code_is_one(_):
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in STATE["qr"].splitlines()
             if re.search("[█▀▄]", line)]
    check(lines, "no block characters")
    width = len(lines[0])
    equal({len(line) for line in lines}, {width}, "widths")
    light = []
    for line in lines:
        light.append([c in "█▀" for c in line])
        light.append([c in "█▄" for c in line])
    size = width - 4
    check((size - 17) % 4 == 0 and 21 <= size <= 177, f"{size} modules are no QR code")
    check(len(light) >= size + 4, f"{len(light)} rows of {width}")
    check(all(light[y][x] for y in (0, 1) for x in range(width)), "no quiet zone above")
    check(all(row[x] for row in light for x in (0, 1, -1, -2)), "no quiet zone beside")
    dark = [[not light[y + 2][x + 2] for x in range(size)] for y in range(size)]
    for left, top in ((0, 0), (size - 7, 0), (0, size - 7)):
        for y in range(7):
            for x in range(7):
                ring = max(abs(x - 3), abs(y - 3))
                equal(dark[top + y][left + x], ring != 2, f"finder pattern {left},{top}: {x},{y}")
    equal([dark[6][x] for x in range(8, size - 8)],
          [x % 2 == 0 for x in range(8, size - 8)], "timing pattern")
    bits = 8 * len(STATE["token"])
    check(sum(map(sum, dark)) > bits / 4, "too little in it")


def status_devices_and_certs_tell_everything(stack):
    host = stack.host("tv")
    wait_for("tv's own certificate",
             lambda: shown_names(stack.port, host, stack.lab.ca) == [host], 60)
    wait_for("a link", lambda: any(d["name"] == "tv" and d["links"] > 0
                                   for d in stack.ctl("devices")["devices"]))
    status = both(stack, "status", words=[host, stack.domain, "Certificates", "Devices"])
    equal((status["domain"], status["mode"], status["steward"]["up"]),
          (stack.domain, "per-device", True))
    names = {name: row for row in both(stack, "certs", words=[host])["certificates"]
             for name in row["names"]}
    check({host, stack.domain, "*." + stack.domain} <= set(names), names)
    for row in names.values():
        check(row["not_after"] > 1.7e9, f"no expiry: {row}")
    rows = {d["name"]: d for d in both(stack, "devices", words=["tv", "box"])["devices"]}
    check({"tv", "box"} <= set(rows) and rows["tv"]["links"] > 0, rows)
    both(stack, "devices", "list", words=["tv", f"of HTTP/{'2' if rows['tv']['protocol'] == 'h2' else '1.1'}"])


def users_come_and_go(stack):
    made = stack.ctl_run("users", "add", "ada")
    equal(made.returncode, 0, made.stderr)
    secret("invitation", re.search(r"token=([\w-]+)", made.stdout)[1])
    both(stack, "users", "add", "ada", code=1)
    both(stack, "users", "add", "Not A Name", words=["What to do"], code=1)
    people = {u["name"]: u for u in both(stack, "users", words=["ada", "admin"])["users"]}
    equal((people["ada"]["admin"], people["admin"]["admin"]), (False, True), "who is an admin")
    both(stack, "users", "list", words=["ada"])
    link = both(stack, "users", "invite", "ada", words=["https://"])["link"]
    secret("second invitation", link.split("token=")[1])
    both(stack, "users", "allow", "ada", "box", words=["Done"])
    both(stack, "users", "allow", "ada", "nothing", code=1)
    both(stack, "users", "allow", "nobody", "box", code=1)
    done = stack.ctl_run("users", "token", "ada", "box", "--json")
    equal(done.returncode, 0, f"token: {done.stderr}")
    given = [v for v in json.loads(done.stdout).values() if isinstance(v, str) and len(v) > 30]
    check(given, "no token in the answer")
    for n, text in enumerate(given):
        secret(f"a script's token {n}", text)
    both(stack, "users", "deny", "ada", "box", words=["Done"])
    both(stack, "users", "sign-out", "ada", words=["Done"])
    equal(stack.ctl_run("users", "remove", "ada").returncode, 0, "remove")
    both(stack, "users", "remove", "ada", words=["nobody of this name"], code=1)


def renew_reload_and_logs_work(stack):
    # Issued just now: to order again is put off, and that is told with its cause and remedy.
    equal(stack.ctl_run("renew", "tv").returncode, 0, "renew")
    row = wait_for("why tv is not renewed", lambda: [
        c for c in stack.ctl("certs")["certificates"] if c["id"] == "tv" and c["failure"]])[0]
    check("issued" in row["failure"]["text"] and row["failure"]["remedy"], row)
    check(row["valid"] and row["next_try"], row)
    for verb in ("certs", "status"):
        both(stack, verb, words=[row["failure"]["text"], row["failure"]["remedy"]])
    both(stack, "renew", "nothing", code=1)
    equal(both(stack, "reload", words=["read again"])["restart_needed_for"], [])
    path = stack.folder / "gateway.yaml"
    good = path.read_text()
    path.write_text(good.replace("title: ", "titel: ") + "titel: x\n")
    wrong = both(stack, "reload", words=["gateway.yaml:", "title", "What to do"], code=1)
    equal(wrong["error"]["code"], "config")
    path.write_text(good.replace("  http_port: 0", f"  http_port: {lib.free_port()}"))
    equal(both(stack, "reload", words=["restart"])["restart_needed_for"], ["listen"])
    path.write_text(good)
    both(stack, "reload")
    lines = both(stack, "logs", "5")["lines"]
    equal(len(lines), 5, "lines")
    check(all(json.loads(line)["event"] for line in lines), lines)
    check(len(both(stack, "logs", "1000")["lines"]) > 50, "few lines")


def a_gateway_that_is_not_there_yet_is_waited_for_aloud(stack):
    """As while lanthornd waits before it starts the gate again."""
    gate = stack.gate_pid()
    os.kill(gate, signal.SIGSTOP)
    try:
        child = subprocess.Popen([BUILD / "lanthornctl", "--socket", stack.folder / "run/api.sock",
                                  "status"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 text=True)
        line = child.stderr.readline()
    finally:
        os.kill(gate, signal.SIGCONT)
    rest = child.communicate(timeout=20 * lib.SLOW)[1]
    check("does not answer yet" in line and "30 seconds" in line, line)
    equal((child.returncode, rest), (0, ""), "in the end")


def a_browser_comes_by(stack):
    browser = STATE["browser"]
    box = stack.host("box")
    page = browser.request("GET", box, "/?secret-of-the-page=1", NAVIGATE)
    secret("state cookie", browser.cookies[box]["__Host-ls"])
    at = urllib.parse.urlsplit(page.headers["Location"])
    secret("hash of the state", urllib.parse.parse_qs(at.query)["state"][0])
    page = browser.request("GET", stack.domain, f"{at.path}?{at.query}", NAVIGATE)
    if page.status == 200:
        page = browser.request("POST", stack.domain, "/signin", {
            **NAVIGATE, "Sec-Fetch-Site": "same-origin", "Origin": browser.origin(stack.domain),
            "Content-Type": "application/x-www-form-urlencoded"},
            urllib.parse.urlencode({"user": "admin", "password": PASSWORD,
                                    **dict(urllib.parse.parse_qsl(at.query))}))
    at = urllib.parse.urlsplit(page.headers["Location"])
    secret("code", urllib.parse.parse_qs(at.query)["code"][0])
    equal(browser.request("GET", box, f"{at.path}?{at.query}", NAVIGATE).status, 303, "the code")
    WebSocket(browser, box).echo("hello")
    for host in (box, stack.domain):
        secret(f"session at {host}", browser.cookies[host]["__Host-lanthorn"])
    made_up = secret("a made-up code", "Z" * 22)
    browser.request("GET", box, "/.lanthorn/cb?code=" + made_up, NAVIGATE)
    with_basic = {"Authorization": "Basic " + secret("a device's own password", "dTpwYXNzd29yZA")}
    browser.request("GET", box, "/headers", with_basic)
    secret("TSIG secret", pathlib.Path(stack.lab.tsig_secret_file).read_text().strip())


def every_log_line_is_a_json_object(stack):
    equal(stack.ctl_run("devices", "remove", "tv").returncode, 0, "remove")
    stack.agents["tv"].expect_code += (1, 2, 75, 77, 78)
    stack.agents["tv"].stop()
    STATE["ring"] = stack.ctl_run("logs", "1000").stdout
    equal(stack.gateway.stop(), 0, "the end")
    for line in stack.gateway.text().splitlines():
        try:
            row = json.loads(line)
        except ValueError as error:
            raise lib.Failure(f"no JSON: {line!r}") from error
        check({"time", "level", "area", "event"} <= set(row), line)
        check(row["level"] in ("error", "warn", "info", "debug"), line)


def no_secret_is_in_any_log(stack):
    keys = [p for p in (stack.folder / "state").rglob("*")
            if p.is_file() and b"PRIVATE KEY" in p.read_bytes()]
    check(keys, "no key files")
    for path in keys:
        body = [line for line in path.read_text(errors="replace").splitlines() if "-" not in line]
        secret(f"the key in {path.name}", body[0][:40])
    logs = {path: path.read_text(errors="replace") for path in stack.folder.glob("*.log")}
    logs["lanthornctl logs"] = STATE["ring"]
    check(len(logs) >= 4 and sum(map(len, logs.values())) > 5000, "few logs")
    for path, text in logs.items():
        for what, value in STATE["secrets"].items():
            check(value not in text, lambda path=path, what=what: f"{what} is in {path}")


def no_session_or_link_is_stored_in_clear(stack):
    stored = b"".join(p.read_bytes() for p in (stack.folder / "state/gate").rglob("*")
                      if p.is_file())
    for what, value in STATE["secrets"].items():
        if re.match("session|(second )?(setup|invitation)|password|wrong|a script", what):
            check(value.encode() not in stored, f"{what} is in the state folder")


lib.run([
    help_names_every_verb_with_an_example,
    wrong_usage_is_64_and_says_what_is_right,
    without_a_gateway_every_verb_is_69,
    the_schema_is_a_configuration,
    check_names_the_line_and_the_nearest_key,
    a_gateway_starts_with_json_logs,
    setup_and_pair_print_what_is_needed,
    the_qr_code_is_one,
    status_devices_and_certs_tell_everything,
    users_come_and_go,
    renew_reload_and_logs_work,
    a_gateway_that_is_not_there_yet_is_waited_for_aloud,
    a_browser_comes_by,
    every_log_line_is_a_json_object,
    no_secret_is_in_any_log,
    no_session_or_link_is_stored_in_clear,
])
