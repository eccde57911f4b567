"""A flow in a network namespace of its own: enter() runs it again inside, as root of it."""
import os
import subprocess
import sys


def ip(*args):
    subprocess.run(["ip", *args], check=True, timeout=20, env={
        **os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})


def enter(mounts=False):
    """Returns only inside the namespace, with loopback up; `mounts`: and with mounts of its own."""
    if os.environ.get("FLOW_NETNS") != str(os.getpid()):
        # exec keeps the process id, and nobody else has set the variable to it.
        os.environ["FLOW_NETNS"] = str(os.getpid())
        options = ["--net"] if os.geteuid() == 0 else ["--net", "--user", "--map-root-user"]
        if mounts:
            options.append("--mount")
        os.execvp("unshare", ["unshare", *options, "--", sys.executable, *sys.argv])
    ip("link", "set", "lo", "up")
