#!/usr/bin/python3
"""conf/examples/dns-desec.sh against a small fake of deSEC's API: values beside each other stay,
each refusal has its exit code and a line, the token shows in no list of processes. Prints TAP."""

import glob
import http.server
import json
import pathlib
import subprocess
import threading

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "conf/examples/dns-desec.sh"
ZONE = "home.dedyn.io"
TOKEN = "tOken-123_xyz"
NAME = "_acme-challenge." + ZONE

count = 0
failed = 0


def check(ok, name, why=""):
    global count, failed
    count += 1
    print(("ok" if ok else "not ok"), count, "-", name, flush=True)
    if not ok:
        failed += 1
        for line in str(why).splitlines():
            print("#", line, flush=True)


class Api(http.server.BaseHTTPRequestHandler):
    """Whole record sets, by (subname, type), as deSEC keeps them."""

    rrsets = {}
    fail = None  # answer this code instead
    leaks = []
    last = None

    def log_message(self, *args):
        pass

    def answer(self, code, value):
        body = json.dumps(value, separators=(",", ":")).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def check_in(self):
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                line = pathlib.Path(path).read_bytes()
            except OSError:
                continue
            if TOKEN.encode() in line:
                Api.leaks.append(line)
        if self.headers["Authorization"] != "Token " + TOKEN:
            self.answer(401, {"detail": "Invalid token."})
        elif Api.fail:
            self.answer(Api.fail, {"detail": "as you wish"})
        elif not self.path.startswith(f"/api/v1/domains/{ZONE}/rrsets/"):
            self.answer(404, {"detail": "Not found."})
        else:
            return True
        return False

    def do_GET(self):
        if not self.check_in():
            return
        sub, kind = self.path.split("/")[-3:-1]
        rrset = Api.rrsets.get(("" if sub == "@" else sub, kind))
        self.answer(200, rrset) if rrset else self.answer(404, {"detail": "Not found."})

    def do_PATCH(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.check_in():
            return
        Api.last = body
        for rrset in json.loads(body):
            key = rrset["subname"], rrset["type"]
            assert rrset["ttl"] >= 3600
            if rrset["records"]:
                Api.rrsets[key] = dict(rrset, name=f"{key[0]}.{ZONE}.", domain=ZONE)
            else:
                Api.rrsets.pop(key, None)
        self.answer(200, [])


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api/v1"

    def run(verb, value, name=NAME, kind="TXT", ttl="60", **settings):
        given = dict({"url": url, "zone": ZONE, "token": TOKEN}, **settings)
        lines = "".join(f"{key}={text}\n" for key, text in given.items())
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), verb, name, kind, ttl, value],
            input=lines.encode(), capture_output=True, timeout=60,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}, cwd="/",
        )

    def records(sub="_acme-challenge", kind="TXT"):
        return Api.rrsets.get((sub, kind), {}).get("records", [])

    def expect(result, code, words, name):
        said = result.stderr.decode()
        ok = result.returncode == code and words in said and TOKEN not in said
        check(ok and said.count("\n") == (code != 0), name, f"{result.returncode} {said}")

    expect(run("set", "-one_1"), 0, "", "the first value makes the set")
    expect(run("set", "two"), 0, "", "a second value is taken")
    check(records() == ['"-one_1"', '"two"'], "base and wildcard stand side by side", records())
    Api.last = None
    expect(run("set", "two"), 0, "", "a value that is there is success")
    expect(run("unset", "three"), 0, "", "a value that is not there is success")
    check(Api.last is None, "nothing is written then", Api.last)
    Api.rrsets["_acme-challenge", "TXT"]["records"] += ['"a\\", \\"b" "c,d"']
    expect(run("unset", "-one_1"), 0, "", "one value goes")
    check(records() == ['"two"', '"a\\", \\"b" "c,d"'], "the others stay as they were", records())
    Api.rrsets["_acme-challenge", "TXT"]["records"] = ['"x]y"', '"two"']
    expect(run("unset", "two"), 1, "cannot read", "what cannot be kept is not touched")
    check(records() == ['"x]y"', '"two"'], "and stays whole", records())
    Api.rrsets["_acme-challenge", "TXT"]["records"] = ['"two"']
    expect(run("unset", "two"), 0, "", "the last value goes")
    check(records() == [], "and the set with it", records())
    expect(run("set", "192.168.1.2", ZONE, "A", "7200"), 0, "", "an address at the zone's own name")
    check(records("", "A") == ["192.168.1.2"] and Api.rrsets["", "A"]["ttl"] == 7200,
          "with its own TTL", Api.rrsets)
    expect(run("set", "fd00::2", "tv." + ZONE, "AAAA"), 0, "", "an IPv6 address below it")

    expect(run("set", "x", token="wrong"), 1, "token is not accepted", "a wrong token: never")
    expect(run("set", "x", zone="other.org"), 1, "not in the zone", "a foreign name: never")
    expect(run("set", "x", "a.b.io", zone="b.io"), 1, "no domain b.io", "an unknown zone: never")
    expect(run("set", "x", token=""), 1, "token is missing", "no token: never")
    expect(run("set", 'x"],"y'), 1, "unusual", "a value that would change the request: never")
    expect(run("set", "x", kind="MX"), 1, "not supported", "another type: never")
    for code, exit_code in ((429, 75), (503, 75), (400, 1)):
        Api.fail = code
        expect(run("set", "x"), exit_code, "", f"HTTP {code} is exit code {exit_code}")
    Api.fail = None
    server.shutdown()
    server.server_close()
    expect(run("set", "x"), 75, "no answer", "nobody listening: later")
    check(not Api.leaks, "the token was in no list of processes", Api.leaks)
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    raise SystemExit(main())
