"""Make a running process try a system call, and see what the kernel says to it. As root, on x86-64.

The process is stopped where it waits in the kernel, so the instruction before is the one that
enters it; that one is stepped over with other registers, which are put back afterwards.
"""
import ctypes
import errno
import os
import platform
import signal

import lib

REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp "
             "ss fs_base gs_base ds es fs gs").split()
POKE, CONT, STEP, GET, SET, ATTACH, DETACH = 5, 7, 9, 12, 13, 16, 17
WALL = 0x40000000  # threads, too
CALLS = {"open": 2, "socket": 41, "bind": 49, "kill": 62, "setuid": 105, "prctl": 157,
         "mount": 165, "unlink": 87, "fork": 57, "getpid": 39}
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def possible():
    return platform.machine() == "x86_64" and os.geteuid() == 0


def ptrace(request, pid, addr=0, data=0):
    if libc.ptrace(request, pid, addr, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request}: {os.strerror(number)}")


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS]


def wait(pid):
    """Until it stops: the signal that did it. Raises when it has ended."""
    _, status = os.waitpid(pid, WALL)
    if os.WIFSIGNALED(status):
        raise ProcessLookupError(os.WTERMSIG(status), "it was killed")
    return os.WSTOPSIG(status)


def put(pid, where, data):
    data += b"\0" * (8 - len(data) % 8)
    for i in range(0, len(data), 8):
        ptrace(POKE, pid, where + i, int.from_bytes(data[i:i + 8], "little"))
    return where


def attach(pid):
    """Stopped in a system call."""
    ptrace(ATTACH, pid)
    wait(pid)
    saved = Registers()
    ptrace(GET, pid, 0, ctypes.addressof(saved))
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(saved.rip - 2)
        if memory.read(2) == b"\x0f\x05":
            return saved
    ptrace(DETACH, pid)
    raise lib.Failure(f"{pid} was not in a system call")


def attempt(pid, call, *args):
    """What the call returns to the process: 0 or more, or the name of an error, or of the signal
    that ended it. Strings and bytes are put on its stack."""
    saved = lib.wait_for("the process in a system call", lambda: attach(pid))
    used = Registers.from_buffer_copy(saved)
    free = saved.rsp - 8192 & ~15
    for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8"), args):
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            free -= 512
            value = put(pid, free, value)
        setattr(used, name, value)
    used.rax, used.orig_rax, used.rip = CALLS[call], 2**64 - 1, saved.rip - 2
    ptrace(SET, pid, 0, ctypes.addressof(used))
    try:
        ptrace(STEP, pid)
        while (stopped := wait(pid)) != signal.SIGTRAP:
            ptrace(STEP, pid, 0, 0 if stopped == signal.SIGSTOP else stopped)
        ptrace(GET, pid, 0, ctypes.addressof(used))
        ptrace(SET, pid, 0, ctypes.addressof(saved))
        ptrace(DETACH, pid)
    except ProcessLookupError as end:
        return signal.Signals(end.errno).name
    code = ctypes.c_longlong(used.rax).value
    return errno.errorcode[-code] if code < 0 else code
