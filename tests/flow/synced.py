"""Would it survive a loss of power? The system calls of an operation, as strace wrote them down, are
replayed against what POSIX promises: data is on the disk after an fsync of its file, a name after
an fsync of its folder, and nothing sooner.
"""
import os
import re

PATH = re.compile(r'(?:AT_FDCWD<[^>]*>, )?"([^"]*)"')
FD = re.compile(r"\d+<([^>]*)>")
WRITES = ("write", "writev", "pwrite64", "ftruncate", "fallocate")
SYNCS = ("fsync", "fdatasync")


class Disk:
    """What would be lost now."""

    def __init__(self, folder):
        self.folders = (f"{folder}/state", f"{folder}/agents")
        self.files, self.names, self.faults = {}, {}, []

    def take(self, call, rest):
        """One call; what failed changed nothing."""
        fd, paths = FD.match(rest), PATH.findall(rest)
        where = fd[1] if fd else paths[0] if paths else ""
        if "= -1 E" in rest or not where.startswith(self.folders):
            return
        if call in WRITES and fd:
            self.files[fd[1]] = call
        elif call in SYNCS and fd:
            self.files.pop(fd[1], None)
            self.names = {n: d for n, d in self.names.items() if d != fd[1]}
        elif call.startswith("rename") and len(paths) == 2:
            self.rename(*paths)
        elif call.startswith(("mkdir", "link", "symlink")) and paths:
            self.names[paths[-1]] = os.path.dirname(paths[-1])
        elif call.startswith("unlink") and paths and not is_scratch(paths[0]):
            self.files.pop(paths[0], None)
            self.names[paths[0]] = os.path.dirname(paths[0])

    def rename(self, old, new):
        if old in self.files:
            self.faults.append(f"{new} was put in place before its content was on the disk")
        self.files.pop(old, None)
        self.names.pop(old, None)
        self.names[new] = os.path.dirname(new)

    def complaints(self):
        """At the end of an operation that said it was done."""
        return self.faults + [f"{path}: what was written is not on the disk"
                              for path in self.files if not path.endswith("-shm")] + [
            f"{path}: its name is not on the disk" for path in self.names]


def is_scratch(path):
    """Nobody minds when it comes back: a start sweeps the one and SQLite the other."""
    return path.endswith((".tmp~", "-wal", "-shm", "-journal", ".sock"))


def complaints(calls, folder):
    """calls: (call, rest of its line)."""
    disk = Disk(folder)
    for call, rest in calls:
        disk.take(call, rest)
    return disk.complaints()


def proves_itself():
    """What must be found is found, and nothing else."""
    write = ("write", '3</h/state/a.x.tmp~>, ""..., 9) = 9')
    sync, put = ("fsync", "3</h/state/a.x.tmp~>) = 0"), ("rename", '"/h/state/a.x.tmp~", "/h/state/a") = 0')
    settle, wal = ("fsync", "4</h/state>) = 0"), ("pwrite64", '5</h/state/db-wal>, ""..., 24, 0) = 24')
    made, synced = ("mkdir", '"/h/state/new", 0700) = 0'), ("fdatasync", "5</h/state/db-wal>) = 0")
    for calls, faults in (([write, sync, put, settle], 0), ([write, put, sync, settle], 1),
                          ([write, put, settle], 1), ([write, sync, put], 1), ([write], 1),
                          ([wal], 1), ([wal, synced], 0), ([wal, synced, wal], 1), ([made], 1),
                          ([made, settle], 0), ([("unlink", '"/h/state/a") = 0')], 1),
                          ([("rename", '"/h/state/a", "/h/state/b") = -1 ENOENT')], 0)):
        found = complaints(calls, "/h")
        assert len(found) == faults, (calls, found)
