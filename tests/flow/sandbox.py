#!/usr/bin/env python3
"""What the kernel says of each process: it is asked what they are, and then made to refuse them."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import lib
import puppet
from lib import BUILD, check, children_of, equal, wait_for

GATE_UID, STEWARD_UID, AGENT_UID = 61011, 61012, 61013
SETGID, SETUID, KILL = 1 << 6, 1 << 7, 1 << 5
O_WRONLY, O_CREAT = 1, 64
SANITIZED = b"__asan_init" in (BUILD / "lanthorn-hook").read_bytes() or \
    b"__tsan_init" in (BUILD / "lanthorn-hook").read_bytes()
STATE = {}


def landlock():
    """Version of the kernel's; 0: none."""
    found = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)
    return max(found, 0)


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {k: v.split() for k, _, v in (line.partition(":") for line in lines)}


def is_closed_in(pid, what, uid=None, caps=0, filters=1, dumpable=False):
    seen = status_of(pid)
    for name in ("CapEff", "CapPrm"):
        equal(int(seen[name][0], 16), caps, f"{what}: {name}")
    for name in ("CapInh", "CapAmb"):
        equal(int(seen[name][0], 16), 0, f"{what}: {name}")
    equal(int(seen["CapBnd"][0], 16) & ~(SETGID | SETUID | KILL), 0, f"{what}: CapBnd")
    equal((seen["NoNewPrivs"], seen["Seccomp"]), (["1"], ["2"]), what)
    check(int(seen.get("Seccomp_filters", [99])[0]) >= filters, f"{what}: too few filters")
    if uid is not None:
        equal(set(seen["Uid"] + seen["Gid"]), {str(uid)}, f"{what}: uid and gid")
        equal(seen["Groups"], [], f"{what}: groups")
    core = [line.split()[4:6] for line in
            pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line]
    equal(core, [["0", "0"]], f"{what}: core file size")
    if uid and not dumpable:
        equal(os.stat(f"/proc/{pid}/mem").st_uid, 0, f"{what}: owner of /proc/PID/mem")
        check(not may_attach(uid, pid), f"{what}: its own user may attach to it")


def may_attach(uid, pid):
    code = (f"import ctypes, os\nc = ctypes.CDLL(None)\nos.setgroups([])\n"
            f"os.setresgid(*[{uid}] * 3)\nos.setresuid(*[{uid}] * 3)\n"
            f"raise SystemExit(c.ptrace(16, {pid}, 0, 0) != 0)")
    return subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 0


PLUGIN = """#!/bin/sh
cat /proc/self/status >>"$0.status"
for path in "{outside}/made" "{folder}/run/steward/made" "{folder}/apart/steward/made"; do
	if (: >"$path") 2>/dev/null; then echo "$path"; fi
done >"$0.wrote"
unshare -U true 2>/dev/null && echo unshare >>"$0.wrote"
cat >"$0.input"
while [ -e "$0.wait" ]; do sleep 0.1; done
exit 75
"""


def a_gateway_runs_under_three_users(stack):
    if os.geteuid() != 0:
        raise lib.Fatal("only root can start processes as other users")
    stack.folder.chmod(0o755)
    # Where everybody may write, but no process of ours has to.
    STATE["outside"] = outside = pathlib.Path(tempfile.mkdtemp(dir="/run"))
    outside.chmod(0o777)
    (outside / "file").write_text("open to all")
    (outside / "file").chmod(0o666)
    for name in ("run", "apart"):
        (stack.folder / name).mkdir(exist_ok=True)
        (stack.folder / name).chmod(0o755)
    STATE["plugins"] = plugins = stack.folder / "plugins"
    plugins.mkdir()
    os.chown(plugins, STEWARD_UID, STEWARD_UID)
    STATE["plugin"] = plugin = plugins / "plugin"
    plugin.write_text(PLUGIN.format(outside=outside, folder=stack.folder))
    plugin.chmod(0o755)
    (plugins / "plugin.wait").touch()
    secret = stack.folder / "secret"
    secret.write_text("the plugin's secret")
    os.chown(secret, STEWARD_UID, STEWARD_UID)
    secret.chmod(0o600)
    text = (stack.config_text().replace('gate: ""', f'gate: "{GATE_UID}"')
            .replace('steward: ""', f'steward: "{STEWARD_UID}"')
            .replace(f"{stack.folder}/state", f"{stack.folder}/apart"))
    before, _, after = text.partition("dns:\n")
    after = "\n".join(line for line in after.splitlines()
                      if not line.startswith(("  provider", "  settings", "    ")))
    stack.config_text = lambda: (f"{before}dns:\n  provider: exec\n  command: {plugin}\n"
                                 f"  settings:\n    token_file: {secret}\n{after}")
    stack.start_gateway()


def each_process_of_the_gateway_is_closed_in(stack):
    is_closed_in(stack.gateway.pid, "parent", caps=SETGID | SETUID | KILL)
    is_closed_in(stack.gate_pid(), "gate", GATE_UID, filters=2)
    is_closed_in(stack.steward_pid(), "steward", STEWARD_UID, filters=2)


def proving(steward):
    """The uacme that has called the hook, and the hook."""
    for uacme, _ in children_of(steward):
        for hook, line in children_of(uacme):
            if line[0].endswith("/lanthorn-hook"):
                return uacme, hook
    return None


def its_children_are_too(stack):
    steward, plugin = stack.steward_pid(), STATE["plugin"]
    uacme, hook = wait_for("uacme and its hook", lambda: proving(steward), 30)
    script = wait_for("the plugin", lambda: [
        pid for pid, line in children_of(steward) if str(plugin) in line], 30)[0]
    wait_for("its report", pathlib.Path(f"{plugin}.input").exists)
    is_closed_in(uacme, "uacme", STEWARD_UID, filters=3)
    is_closed_in(hook, "hook", STEWARD_UID, filters=4)
    # A program of others is what exec made of it.
    is_closed_in(script, "plugin", STEWARD_UID, filters=2, dumpable=True)
    if puppet.possible() and landlock():
        refused(uacme, "uacme", ("EACCES", "open", f"{STATE['outside']}/file", O_WRONLY))
        if not SANITIZED:
            refused(uacme, "uacme", ("EACCES", "open", f"{stack.folder}/secret", 0))
    environment = pathlib.Path(f"/proc/{hook}/environ").read_text()
    check("LD_PRELOAD" not in environment and "LANTHORN" in environment, environment)


def a_plugin_writes_where_it_may(stack):
    plugin = STATE["plugin"]
    wrote = pathlib.Path(f"{plugin}.wrote").read_text().splitlines()
    check("unshare" not in wrote, "a plugin made a namespace")
    own = [path for path in wrote if path.startswith(str(stack.folder))]
    equal(len(own), 2, f"its own folders: {own}")
    pathlib.Path(f"{plugin}.wait").unlink()
    if not landlock():
        raise lib.Skip("this kernel has no Landlock")
    equal((STATE["outside"] / "made").exists(), False, "a file made outside")


def lanthorn_dns_is_closed_in_before_it_reads(_stack):
    argv = ["setpriv", "--reuid", str(STEWARD_UID), "--regid", str(STEWARD_UID), "--clear-groups",
            "--bounding-set=-all", BUILD / "lanthorn-dns", "rfc2136", "set", "x.example",
            "TXT", "60", "y"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            wait_for("its filter", lambda: status_of(child.pid)["Seccomp"] == ["2"])
            is_closed_in(child.pid, "lanthorn-dns", STEWARD_UID)
        finally:
            child.stdin.close()
            child.wait(20)


def an_agent_is_closed_in(stack):
    stack.start_device("tv")
    argv = ["setpriv", "--reuid", str(AGENT_UID), "--regid", str(AGENT_UID), "--clear-groups",
            "--bounding-set=-all"]
    conf, state = stack.agent_conf("tv"), stack.folder / "agent-tv"
    os.chown(state, AGENT_UID, AGENT_UID)
    done = stack.enrol("tv")
    equal(done.returncode, 0, done.stderr)
    equal({path.stat().st_uid for path in state.iterdir()}, {AGENT_UID}, "owner of its identity")
    agent = stack.start("agent-user", *argv, BUILD / "lanthorn-agent", "--config", conf, "run")
    wait_for("its filter", lambda: status_of(agent.pid)["Seccomp"] == ["2"])
    is_closed_in(agent.pid, "agent", AGENT_UID)
    STATE["agent"] = agent


def refused(pid, who, *cases):
    for expected, call, *args in cases:
        found = puppet.attempt(pid, call, *args)
        equal("done" if isinstance(found, int) else found, expected, f"{who}: {call} {args}")


def limits_of_files(version):
    """Cases that hold for all processes."""
    outside = STATE["outside"]
    return [("EACCES" if version else "done", "open", f"{outside}/file", O_WRONLY),
            ("EACCES" if version else "done", "open", f"{outside}/new", O_WRONLY | O_CREAT, 384)]


def the_kernel_refuses_each_of_them(stack):
    if not puppet.possible():
        raise lib.Skip("needs root on x86-64")
    version, port = landlock(), struct.pack("=HH4s8s", 2, socket.htons(lib.free_port()),
                                            socket.inet_aton("127.0.0.1"), b"")
    everywhere = [("done", "getpid"), ("EAFNOSUPPORT", "socket", 17, 3, 0),
                  *limits_of_files(version)]
    mount = ("EPERM", "mount", "none", "/mnt", "tmpfs", 0)
    narrow = [("EPERM", "setuid", 0), ("done", "socket", 2, 2, 0)]
    if not SANITIZED:
        narrow += [("EPERM", "prctl", 4, 1)]
    refused(stack.gateway.pid, "parent", *everywhere, mount)
    refused(stack.steward_pid(), "steward", *everywhere, *narrow, mount)
    for who, pid in (("gate", stack.gate_pid()), ("agent", STATE["agent"].pid)):
        refused(pid, who, *everywhere, *narrow)
        if not SANITIZED:
            refused(pid, who,
                    ("EACCES" if version else "done", "open", f"{STATE['outside']}/file", 0))
        if version >= 4:
            listener = puppet.attempt(pid, "socket", 2, 1, 0)
            refused(pid, who, ("EACCES", "bind", listener, port, 16))
    if not SANITIZED:
        refused(stack.gate_pid(), "gate", ("EPERM", "fork"))
    if version >= 6:
        refused(STATE["agent"].pid, "agent", ("EPERM", "kill", os.getpid(), 0))
    check(stack.ctl("status")["sandbox"] == {"system_calls": True, "landlock": version},
          lambda: str(stack.ctl("status")["sandbox"]))


def a_call_that_only_an_attacker_makes_is_the_end(stack):
    if not puppet.possible():
        raise lib.Skip("needs root on x86-64")
    old, agent = stack.gate_pid(), STATE["agent"]
    agent.expect_code = (0,)  # the tracer has reaped it, and checks how it ended
    stack.expect_crashes.add(("gate", f"signal={signal.SIGSYS.value}"))
    for pid in (old, agent.pid):
        found = puppet.attempt(pid, "mount", "none", "/mnt", "tmpfs", 0)
        equal(found, "SIGSYS", "mount")
    wait_for("a new gate", lambda: stack.gate_pid() not in (None, old))
    check("the kernel stopped a system call outside its list process=gate" in stack.gateway.text(),
          "the parent did not say why")
    wait_for("its answer", lambda: stack.ctl("status"))




try:
    lib.run([a_gateway_runs_under_three_users, each_process_of_the_gateway_is_closed_in,
             its_children_are_too, a_plugin_writes_where_it_may,
             lanthorn_dns_is_closed_in_before_it_reads, an_agent_is_closed_in,
             the_kernel_refuses_each_of_them, a_call_that_only_an_attacker_makes_is_the_end])
finally:
    if "outside" in STATE:
        shutil.rmtree(STATE["outside"], ignore_errors=True)
