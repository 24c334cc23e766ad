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
from typing import Any

from engines import machine
from engines.exceptions import SamError
from engines.runtimes.child.landlock import write_nothing
from engines.runtimes.child.socket_filter import refuse_sockets

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
OPEN_FILES = 1024
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes; a child writes no files, but GPU drivers keep small caches."""
MEMORY_SHARE = 0.9
"""Of the machine's memory, when no other limit is asked for."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the parent asks for."""

    parent_pid: int
    memory_bytes: int = 0
    """Private memory, without the weights it maps; 0 means most of the machine's."""

    def as_options(self) -> dict[str, Any]:
        return asdict(self)


def enter(sandbox: Sandbox) -> dict[str, Any]:
    """Apply all limits; returns which of them hold.

    ``network`` is ``isolated`` (a namespace without interfaces), ``filtered`` (only the system
    call filter stands before it) or ``open`` (the system allows neither). ``files`` is ``read only``
    or, without Landlock, ``open``.
    The death signal comes last because entering a user namespace clears it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    memory = _set_limits(sandbox.memory_bytes)
    no_new_privileges = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    network = _leave_network(libc)
    files = "read only" if write_nothing(libc) else "open"
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != sandbox.parent_pid:
        # The parent died before the signal was armed: nobody is left to serve.
        os._exit(1)
    return {
        "network": network,
        "files": files,
        "no_new_privileges": no_new_privileges,
        "memory_bytes": memory,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def _set_limits(memory_bytes: int) -> int:
    """RLIMIT_DATA counts private writable memory: mapped weights are no part of it (setrlimit(2))."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_DATA, memory_bytes or int(machine.memory_bytes() * MEMORY_SHARE))
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def _lower(kind: int, value: int) -> None:
    """Soft and hard limit to ``value``, or to the hard limit in force when that is lower."""
    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _leave_network(libc: ctypes.CDLL) -> str:
    """An empty network namespace where the kernel allows it, and no way to open a socket."""
    # unshare(2): the second way needs no privileges; a container may forbid both.
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
    # What is stricter already stays.
    known = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_CPU, (min([limit, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


@contextmanager
def interrupted_after(seconds: float, error: SamError) -> Iterator[None]:
    """Raise ``error`` when the block, run by the main thread, costs more CPU time; Python code only."""

    def raise_it(_signal: int, _frame: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGVTALRM, raise_it)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
