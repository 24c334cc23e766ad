"""Limits an engine's child puts on itself before it touches a model file (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import asdict, dataclass
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
OPEN_FILES = 1024
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes; a child writes no files, but GPU drivers keep small caches."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the parent asks for."""

    parent_pid: int
    address_space: int = 0
    """Bytes of address space; 0 means unlimited (a mapped model counts in full)."""

    def as_options(self) -> dict[str, Any]:
        return asdict(self)


def enter(sandbox: Sandbox) -> str:
    """Apply all limits; returns how far the network is cut off.

    The death signal comes last because entering a user namespace clears it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _set_limits(sandbox.address_space)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    network = _leave_network(libc)
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != sandbox.parent_pid:
        # The parent died before the signal was armed: nobody is left to serve.
        os._exit(1)
    return network


def _set_limits(address_space: int) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    if address_space:
        _lower(resource.RLIMIT_AS, address_space)


def _lower(kind: int, value: int) -> None:
    """Soft and hard limit to ``value``, or to the hard limit in force when that is lower."""
    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _leave_network(libc: ctypes.CDLL) -> str:
    """An empty network namespace where the kernel allows it; a container may forbid both ways."""
    for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return "isolated"
    return "not isolated"
