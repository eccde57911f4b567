"""The gate's end of the message pair, in Python: the same bytes as base/procmsg."""
import os
import socket
import struct
import subprocess
import threading
import time
from types import SimpleNamespace

from lib import Process

HEAD = struct.Struct("<BBBBIQqHI")
ORDER, PUBLISH, CANCEL, SET_SECRET, DNS_TEST, RELOAD, CHAIN, STATE = 1, 2, 3, 4, 5, 6, 64, 65
FORCE = 1
(STARTED, WORKING, PUBLISHED, TESTED, OURS, DNS, CA, LIMIT, NET, LOG) = range(1, 11)


def encode(kind, number=0, flags=0, names=(), addrs=(), text="", blob=b""):
    out = HEAD.pack(kind, 0, len(names), len(addrs), flags, number, 0, len(text), len(blob))
    for word in (*names, *addrs):
        out += bytes([len(word)]) + word.encode()
    return out + text.encode() + blob


def decode(data):
    kind, cls, n_names, n_addrs, flags, number, next_at, n_text, n_blob = HEAD.unpack_from(data)
    at, words = HEAD.size, []
    for _ in range(n_names + n_addrs):
        words.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return SimpleNamespace(kind=kind, cls=cls, id=number, next_at=next_at, names=words[:n_names],
                           text=data[at:at + n_text].decode(errors="replace"), flags=flags,
                           blob=data[at + n_text:at + n_text + n_blob])


class StewardProcess(Process):
    """lanthorn-steward with our end of its message pair."""

    def __init__(self, name, program, config, folder):
        self.mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.name, self.log = name, folder / f"{name}.log"
        self.expect_code = (0,)
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [program, "--config", config], stdout=log, stderr=log, cwd=folder,
                stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(3,),
                preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        theirs.close()
        self.pid = self.child.pid
        self.messages, self.logs = [], []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            try:
                data = self.mine.recv(65536)
            except OSError:
                return
            if not data:
                return
            message = decode(data)
            (self.logs if message.cls == LOG else self.messages).append(message)

    def close_pipe(self):
        """Shut down first: the reading thread still holds the descriptor."""
        self.mine.shutdown(socket.SHUT_RDWR)
        self.mine.close()

    def send(self, *args, **more):
        self.mine.send(encode(*args, **more))

    def wait_message(self, what, wanted, seconds=60):
        """The first message from now on or before, not yet taken, for which `wanted` is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in list(self.messages):
                if wanted(message):
                    self.messages.remove(message)
                    return message
            time.sleep(0.02)
        raise AssertionError(f"{what}: nothing within {seconds} s; have {self.messages}")
