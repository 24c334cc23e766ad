"""The box that an engine's child puts itself into before it touches a model file (Linux)."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
from dataclasses import asdict, dataclass
from typing import Any

from engines import machine
from engines.runtimes.child import landlock
from engines.runtimes.child.call_filter import CALL_TABLES, filter_calls
from engines.runtimes.child.messages import SandboxReport
from engines.runtimes.child.privileges import drop_capabilities
from engines.runtimes.child.readable import LOADERS, SYSTEM, driver_files, gpu_devices, model_files

PR_SET_PDEATHSIG = 1
PR_GET_SECCOMP = 21
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
OPEN_FILES = 1024
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Bytes; a child writes no files, but GPU drivers keep small buffers in some."""
MEMORY_SHARE = 0.9
"""Of the machine's memory, when no other limit is asked for."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the parent asks for."""

    parent_pid: int
    memory_bytes: int = 0
    """Private memory, without the weights it maps; 0 means most of the machine's."""
    readable: tuple[str, ...] = ()
    """Files and folders of the model."""
    program: str = ""
    """What the process becomes, if anything: it may be executed, and serve on a Unix socket."""
    folder: str = ""
    """Where such a program may make its socket."""

    def as_options(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the child needs of this machine besides its model."""

    code: tuple[str, ...]
    library_path: str = ""
    """``LD_LIBRARY_PATH``."""


def enter(sandbox: Sandbox, surroundings: Surroundings) -> SandboxReport:
    """Apply all limits; returns which of them hold.

    ``network`` is ``isolated`` (a namespace without interfaces), ``filtered`` (only the system
    call filter stands before it) or ``open`` (the system allows neither); ``calls`` is ``filtered`` or
    ``open``. ``files`` is ``model only`` or, without Landlock, ``open``.
    """
    # Landlock and seccomp need no_new_privs; a user namespace must come before the filter that would
    # forbid it, before its capabilities are dropped, and before the death signal that it would clear.
    libc = ctypes.CDLL(None, use_errno=True)
    memory = _set_limits(sandbox.memory_bytes)
    isolated = _leave_network(libc)
    no_capabilities = drop_capabilities(libc)
    no_new_privileges = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != sandbox.parent_pid:
        # The parent died before the signal was armed, so nothing else would end this process.
        os._exit(1)
    only_model = landlock.leave_only(libc, _access(sandbox, surroundings))
    filtered = filter_calls(libc, serves=bool(sandbox.program))
    return {
        "network": "isolated" if isolated else "filtered" if filtered else "open",
        "files": "model only" if only_model else "open",
        "calls": "filtered" if filtered else "open",
        "no_capabilities": no_capabilities,
        "no_new_privileges": no_new_privileges,
        "memory_bytes": memory,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def missing_parts() -> list[str]:
    """Return a sentence for each part of the box that this kernel lacks; empty when it is whole."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = []
    if landlock.version(libc) < 1:
        found.append(
            "The kernel has no Landlock: an engine's process may read what its user may read. "
            "Use Linux 5.13 or later and have 'landlock' in the boot parameter lsm=."
        )
    has_filter = hasattr(libc, "prctl") and libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    if platform.machine() not in CALL_TABLES or not has_filter:
        found.append(
            "This machine has no system call filter that SAM knows: an engine's process may open "
            "sockets. Use Linux with seccomp on x86_64 or aarch64."
        )
    return found


def _access(sandbox: Sandbox, surroundings: Surroundings) -> landlock.Access:
    devices = gpu_devices()
    drivers = driver_files(surroundings.library_path, devices)
    # CUDA names its threads through /proc, and does not start where it cannot.
    threads = ["/proc/self"] if devices else []
    return landlock.Access(
        read=[*SYSTEM, *surroundings.code, *drivers, *model_files(sandbox.readable)],
        write=["/dev/null", *devices, *threads],
        execute=[sandbox.program, *LOADERS] if sandbox.program else [],
        make_sockets=[sandbox.folder] if sandbox.program else [],
    )


def _set_limits(memory_bytes: int) -> int:
    """Limit files, core dumps and private memory; mapped weights do not count (setrlimit(2))."""
    # A core file would hold people's prompts, and as many gigabytes as the model.
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower_limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    _lower_limit(resource.RLIMIT_DATA, memory_bytes or int(machine.memory_bytes() * MEMORY_SHARE))
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def _lower_limit(kind: int, value: int) -> None:
    """Soft and hard limit to ``value``, or to the hard limit in force when that is lower."""
    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Enter an empty network namespace, where the kernel allows it."""
    # unshare(2): the second way needs no privileges; a container may forbid both.
    ways = (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET)
    return any(libc.unshare(flags) == 0 for flags in ways)
