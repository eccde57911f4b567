#!/usr/bin/env python3
"""A whole LAN for the browser tests: two linked devices with certificates of their own, and one
without an agent, the screen, which the lamp's page may embed. With the argument "hostile" a guest
is linked as well, whose page attacks the others, and there is a port for plain HTTP. With "wildcard"
all have one certificate, and browsers come through a relay whose connections can be cut.

Prints one JSON line when all is up; then each line on stdin is a JSON list, a call of lanthornctl or
a verb of this script, each answered by one JSON line; the end of stdin ends everything. Exit 1 when
a program ended badly.
"""
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))
import lib  # noqa: E402
from web import shown_names  # noqa: E402

sys.path.insert(0, str(lib.TOP / "tests/fakes"))
from faultproxy import FaultProxy  # noqa: E402
from relay import Relay  # noqa: E402


class Stack(lib.Stack):
    """One whose certificate authority is behind a door that fails when told to."""

    def __init__(self):
        super().__init__()
        pebble = self.lab.folder / "pebble"
        self.door = FaultProxy(self.lab.acme_port, pebble / "cert.pem", pebble / "key.pem",
                               self.lab.acme_ca)
        self.lab.settings["acme_directory"] = f"https://localhost:{self.door.port}/dir"
        self.relay = Relay(self.port) if "wildcard" in sys.argv[1:] else None


def bring_up(stack):
    port = stack.start_device("screen", "Screen")
    stack.config = f"""devices:
  - name: screen
    title: Screen
    upstream: http://127.0.0.1:{port}
    embed_from: [lamp]
"""
    if stack.relay:
        stack.config += f"certificates: wildcard\npublic_port: {stack.relay.port}\n"
    if "hostile" in sys.argv[1:]:
        stack.http_port = lib.free_port()
    stack.start_gateway()
    for name, title in (("tv", "Television"), ("lamp", "Lamp")):
        stack.ctl("pair", name, "--title", title)
        stack.add_device(name, title)
    names = ["tv", "lamp"]
    if "hostile" in sys.argv[1:]:
        stack.add_device("guest", "Guest", "hostile.js")
        names.append("guest")
    for name in names:
        host = stack.host(name)
        want = [host] if not stack.relay else ["*." + stack.domain, stack.domain]
        lib.wait_for(f"the certificate of {host}",
                     lambda host=host, want=want: shown_names(stack.port, host, stack.lab.ca) == want,
                     60)
    return {"port": stack.relay.port if stack.relay else stack.port, "http_port": stack.http_port, "domain": stack.domain,
            "ca": stack.lab.ca, "folder": str(stack.folder), "services": stack.devices,
            "setup": stack.setup_link()}


def stop_agent(stack, name):
    stack.agents[name].stop()


def start_agent(stack, name):
    stack.start_agent(name)


def replace(stack, name):
    """Another device gets the name."""
    stack.ctl("devices", "remove", name)
    stop_agent(stack, name)
    (stack.folder / f"agent-{name}").rename(stack.folder / f"agent-{name}-before")
    (stack.folder / f"{name}.port").unlink()
    stack.add_device(name)
    stack.wait_for_certificate(name)


def enrol(stack, name, token):
    """A service, and an agent that takes the token to come."""
    stack.start_device(name, name.capitalize())
    done = stack.enrol(name, token)
    lib.check(done.returncode == 0, f"enrol {name}: {done.stderr}")
    stack.start_agent(name)


def stop_gateway(stack):
    stack.gateway.stop()


def start_gateway(stack):
    stack.start_gateway()


def authority(stack, mode):
    """How the certificate authority behaves from now on: a mode of the faulty door."""
    stack.door.misbehave(mode)


def connections(stack):
    """Numbers of the browsers' connections that are open."""
    return stack.relay.open()


def cut(stack, number):
    stack.relay.cut(number)


VERBS = {"connections": connections, "cut": cut, "stop-agent": stop_agent, "start-agent": start_agent, "replace": replace, "enrol": enrol,
         "stop-gateway": stop_gateway, "start-gateway": start_gateway, "authority": authority}


def obey(stack, words):
    """The answer to a line: of a verb of ours, or of lanthornctl."""
    if words[0] in VERBS:
        return VERBS[words[0]](stack, *words[1:]) or {}
    done = stack.ctl_run(*words)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def main():
    stack = Stack()
    code = 1
    try:
        print(json.dumps(bring_up(stack)), flush=True)
        for line in sys.stdin:
            print(json.dumps(obey(stack, json.loads(line))), flush=True)
        code = 0
    finally:
        stack.stop()
        complaints = stack.complaints()
        for line in complaints:
            print(line, file=sys.stderr)
        if code or complaints:
            stack.dump()
        shutil.rmtree(stack.folder, ignore_errors=True)
    sys.exit(1 if complaints else code)


main()
