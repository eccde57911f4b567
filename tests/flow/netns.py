"""A flow in a network namespace of its own: enter() runs it again inside, as root of it. Where the
machine forbids that, the whole flow is skipped and says why.
"""
import os
import subprocess
import sys


def ip(*args):
    subprocess.run(["ip", *args], check=True, timeout=20, env={
        **os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})


def skip_all(why):
    """Ends the flow: nothing of it can be tried here."""
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def enter(mounts=False):
    """Returns only inside the namespace, with loopback up; `mounts`: and with mounts of its own."""
    if os.environ.get("FLOW_NETNS") != str(os.getpid()):
        # exec keeps the process id, and nobody else has set the variable to it.
        os.environ["FLOW_NETNS"] = str(os.getpid())
        options = ["--net"] if os.geteuid() == 0 else ["--net", "--user", "--map-root-user"]
        if mounts:
            options.append("--mount")
        tried = subprocess.run(["unshare", *options, "--", "true"], capture_output=True, text=True,
                               timeout=20, check=False)
        if tried.returncode:
            skip_all(f"no network namespaces here: {tried.stderr.strip()}")
        os.execvp("unshare", ["unshare", *options, "--", sys.executable, *sys.argv])
    ip("link", "set", "lo", "up")
