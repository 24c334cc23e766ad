"""Limits an engine's child puts on itself before it touches a model file (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType

from engines import machine
from engines.exceptions import SamError
from engines.runtimes.child.landlock import forbid_writing
from engines.runtimes.child.messages import SandboxReport
from engines.runtimes.child.socket_filter import refuse_sockets

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
OPEN_FILES = 1024
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Bytes; a child writes no files, but GPU drivers keep small caches."""
MEMORY_SHARE = 0.9
"""Of the machine's memory, when no other limit is asked for."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the parent asks for."""

    parent_pid: int
    memory_bytes: int = 0
    """Private memory, without the weights it maps; 0 means most of the machine's."""

    def as_options(self) -> dict[str, int]:
        return asdict(self)


def enter(sandbox: Sandbox) -> SandboxReport:
    """Apply all limits; returns which of them hold.

    ``network`` is ``isolated`` (a namespace without interfaces), ``filtered`` (only the system
    call filter forbids sockets) or ``open`` (the system allows neither). ``files`` is ``read only``
    or, without Landlock, ``open``.
    The death signal comes last because entering a user namespace clears it.
    """
    # The order matters: Landlock and seccomp need no_new_privs, a user namespace must come before the
    # filter that would forbid it, and before the death signal that it would clear.
    libc = ctypes.CDLL(None, use_errno=True)
    memory = _set_limits(sandbox.memory_bytes)
    no_new_privileges = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    network = _leave_network(libc)
    files = "read only" if forbid_writing(libc) else "open"
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != sandbox.parent_pid:
        # The parent died before the signal was armed, so nothing else would end this process.
        os._exit(1)
    return {
        "network": network,
        "files": files,
        "no_new_privileges": no_new_privileges,
        "memory_bytes": memory,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def _set_limits(memory_bytes: int) -> int:
    """Limit files, core dumps and private memory; mapped weights do not count (setrlimit(2))."""
    # A core file would hold people's prompts, and as many gigabytes as the model.
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower_limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    _lower_limit(resource.RLIMIT_DATA, memory_bytes or int(machine.memory_bytes() * MEMORY_SHARE))
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def _lower_limit(kind: int, value: int) -> None:
    """Set soft and hard limit to ``value``, or to the hard limit in force when that is lower."""
    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _leave_network(libc: ctypes.CDLL) -> str:
    """An empty network namespace where the kernel allows it, and no way to open a socket."""
    # unshare(2): the first needs privileges, the second none; a container may forbid both.
    ways = (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET)
    isolated = any(libc.unshare(flags) == 0 for flags in ways)
    filtered = refuse_sockets(libc)
    if isolated:
        return "isolated"
    return "filtered" if filtered else "open"


@contextmanager
def cpu_limit(seconds: int) -> Iterator[None]:
    """End this process by SIGXCPU when the block costs more CPU time, of all threads together."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + seconds
    # A limit that is in force already and stricter stays.
    known = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_CPU, (min([limit, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


@contextmanager
def interrupt_after(seconds: float, error: SamError) -> Iterator[None]:
    """Raise ``error`` in the main thread when the block costs more CPU time; reaches Python code only."""

    def raise_it(_signal: int, _frame: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGVTALRM, raise_it)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
