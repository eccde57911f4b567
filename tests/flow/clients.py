"""Clients of other people, as flows use them: wrk (HTTP/1.1), h2load and nghttp (HTTP/2), curl (both)
and ws of npm. They find the hosts below the stack's domain at 127.0.0.1, and say what they got.
"""
import json
import os
import pathlib
import re
import signal
import subprocess

import lib
from lib import check, equal

HERE = pathlib.Path(__file__).resolve().parent


class Client:
    """A program that runs beside the flow until it ends by itself, or is told to."""

    def __init__(self, stack, argv, env=None):
        hosts = stack.folder / "hosts"
        names = [stack.domain, *(stack.host(name) for name in stack.known)]
        if not hosts.exists():
            hosts.write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
        flags = "-m" if os.getuid() == 0 else "-rm"
        inside = 'mount --bind "$0" /etc/hosts && exec "$@"'
        self.argv = [str(a) for a in argv]
        self.child = subprocess.Popen(["unshare", flags, "sh", "-c", inside, str(hosts), *self.argv],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      env={**os.environ, **(env or {})})

    def text(self, seconds=120, stop=None):
        """All it said; it must end well."""
        if stop:
            self.child.send_signal(stop)
        try:
            text = self.child.communicate(timeout=seconds * lib.SLOW)[0]
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise lib.Failure(f"{self.argv} does not end") from None
        equal(self.child.returncode, 0, f"{self.argv}: {text[-2000:]}")
        return text


def url(stack, name, path):
    return f"https://{stack.host(name)}:{stack.port}{path}"


def fields_of(stack, name, cookie):
    fields = {"Sec-Fetch-Site": "same-origin", "Origin": f"https://{stack.host(name)}:{stack.port}"}
    if cookie:
        fields["Cookie"] = cookie
    return [word for field in fields.items() for word in ("-H", ": ".join(field))]


def wrk(stack, name, path, seconds, cookie=""):
    return Client(stack, ["wrk", "-t1", "-c4", f"-d{seconds}s", "--timeout", "10s",
                          *fields_of(stack, name, cookie), url(stack, name, path)])


def wrk_count(client):
    """The requests that were answered, all of them well."""
    text = client.text()
    check("Socket errors" not in text and "Non-2xx" not in text, f"wrk: {text}")
    return int(re.search(r"(\d+) requests in", text)[1])


def h2load(stack, name, path, seconds, cookie=""):
    return Client(stack, ["h2load", "-t1", "-c2", "-m4", "-D", seconds,
                          *fields_of(stack, name, cookie), url(stack, name, path)])


def h2load_count(client):
    text = client.text()
    total = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, "
                      r"(\d+) errored, (\d+) timeout", text)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    check(total and codes and "Application protocol: h2" in text, f"h2load: {text}")
    done, well, *bad = map(int, total.groups())
    check(done == well and not any(bad) and not any(map(int, codes.groups()[1:])), f"h2load: {text}")
    return done


def curl(stack, name, path, version, *more, cookie=""):
    return Client(stack, ["curl", "--silent", "--show-error", "--cacert", stack.lab.ca,
                          f"--{version}", *fields_of(stack, name, cookie), *more,
                          url(stack, name, path)])


def nghttp(stack, name, path, times, cookie=""):
    """Statuses and bytes of `times` requests for it at once."""
    text = Client(stack, ["nghttp", "-n", "-s", "-m", times, *fields_of(stack, name, cookie),
                          url(stack, name, path)]).text()
    return [int(status) for status in re.findall(r"^ *\d+ +\S+ +\S+ +\S+ +(\d{3}) +\S+ /", text, re.M)]


def ws(stack, name, path, cookie=""):
    """A WebSocket that sends a number every 10 ms, and wants each back in its turn."""
    talk = Client(stack, ["node", HERE / "wscount.js", url(stack, name, path).replace("http", "ws", 1),
                          stack.lab.ca, cookie], {"NODE_PATH": str(lib.DEMO / "node_modules")})
    equal(talk.child.stdout.readline().strip(), "open", "a WebSocket")
    return talk


def ws_count(client):
    return json.loads(client.text(stop=signal.SIGTERM).strip().splitlines()[-1])["echoed"]
