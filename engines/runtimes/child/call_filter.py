"""A seccomp filter for an engine's process: no sockets, no other programs, no reach into other processes.

It also holds where a container forbids namespaces and where the kernel has no Landlock. A refused call
fails with EACCES. Source: seccomp(2), the kernel's system call tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
RETURN_ALLOW = 0x7FFF0000
RETURN_ERROR = 0x00050000

LOAD_WORD = 0x20
JUMP_IF_EQUAL = 0x15
JUMP_IF_AT_LEAST = 0x35
JUMP_IF_ANY_BIT = 0x45
AND = 0x54
RETURN = 0x06
CALL_NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
ARGUMENT_BYTES = 8
SOCKET_KINDS = 0xF
"""The rest of a socket's type are flags."""
"""Byte offsets in ``struct seccomp_data``; an argument's low half on a little-endian machine."""

X32_CALLS = 0x40000000
CLONE_THREAD = 0x00010000
IO_URING_SETUP = 425


@dataclass(frozen=True)
class CallTable:
    """Numbers of the system calls of one kind of machine."""

    architecture: int
    """As the audit system numbers it."""
    refused: tuple[int, ...]
    serving: tuple[int, ...]
    """Of the refused ones, those that a program needs which serves: to become it, and to listen."""
    socket: int
    """The call that opens a socket."""
    clone: int
    own_process: tuple[int, ...]
    """Calls whose first argument is a process: this one, or 0 which means the same."""
    unknown: tuple[int, ...] = field(default=(435,))
    """``clone3`` hides its flags in memory; the C library then takes ``clone``."""


_EVERYWHERE = (
    *range(IO_URING_SETUP, 434),  # io_uring opens sockets by itself; the new calls that mount
    424,  # pidfd_send_signal
    438,  # pidfd_getfd
    440,  # process_madvise
    442,  # mount_setattr
)
CALL_TABLES = {
    "x86_64": CallTable(
        architecture=0xC000003E,
        refused=(
            *(41, 42, 43, 49, 50, 53, 288),  # socket, connect, accept, bind, listen, socketpair
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(101, 310, 311, 312),  # ptrace, process_vm_*, kcmp
            *(129, 200, 297),  # signals by other ways than kill and tgkill
            *(155, 161, 165, 166, 167, 168, 169, 272, 308),  # mounts, swap, reboot, namespaces
            *(175, 176, 246, 313, 320),  # kernel modules, another kernel
            *(
                29,
                30,
                31,
                *range(64, 72),
                220,
            ),  # memory, semaphores, messages that a user's processes share
            *range(240, 246),  # message queues
            *(248, 249, 250, 298, 303, 304, 321, 323),  # keys, perf, file handles, bpf, userfaultfd
            *_EVERYWHERE,
        ),
        serving=(59, 43, 288, 49, 50),  # execve, accept, accept4, bind, listen
        socket=41,
        clone=56,
        own_process=(62, 234, 302),  # kill, tgkill, prlimit64
    ),
    "aarch64": CallTable(
        architecture=0xC00000B7,
        refused=(
            *(
                198,
                199,
                200,
                201,
                202,
                203,
                242,
            ),  # socket, socketpair, bind, listen, accept, connect
            *(221, 281),  # execve, execveat
            *(117, 270, 271, 272),  # ptrace, process_vm_*, kcmp
            *(130, 138, 240),  # signals by other ways than kill and tgkill
            *(39, 40, 41, 51, 97, 142, 224, 225, 268),  # mounts, swap, reboot, namespaces
            *(104, 105, 106, 273, 294),  # kernel modules, another kernel
            *range(186, 198),  # memory, semaphores, messages that a user's processes share
            *range(180, 186),  # message queues
            *(217, 218, 219, 241, 264, 265, 280, 282),  # keys, perf, file handles, bpf, userfaultfd
            *_EVERYWHERE,
        ),
        serving=(221, 202, 242, 200, 201),  # execve, accept, accept4, bind, listen
        socket=198,
        clone=220,
        own_process=(129, 131, 261),  # kill, tgkill, prlimit64
    ),
}


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]


def filter_calls(libc: ctypes.CDLL, *, serves: bool = False) -> bool:
    """Give up the refused calls for good, all later threads included; False where that is not possible.

    The process must have given up new privileges. It can start threads, but no process. One that
    ``serves`` may become another program, and listen on Unix sockets; it can connect to nothing.
    """
    table = CALL_TABLES.get(platform.machine())
    if table is None:
        return False
    steps = [_Instruction(*step) for step in _steps(table, serves=serves)]
    array = (_Instruction * len(steps))(*steps)
    program = _Program(len(steps), array)
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


_Step = tuple[int, int, int, int]
"""Code, instructions to skip if true and if false, value."""
_REFUSE: _Step = (RETURN, 0, 0, RETURN_ERROR | errno.EACCES)
_ALLOW: _Step = (RETURN, 0, 0, RETURN_ALLOW)


def _steps(table: CallTable, *, serves: bool) -> Iterator[_Step]:
    """Each rule is whole in itself: it returns, or goes on to the next with the number loaded."""
    yield (LOAD_WORD, 0, 0, ARCHITECTURE)
    yield (JUMP_IF_EQUAL, 1, 0, table.architecture)
    yield _REFUSE
    yield (LOAD_WORD, 0, 0, CALL_NUMBER)
    yield (JUMP_IF_AT_LEAST, 0, 1, X32_CALLS)
    yield _REFUSE
    needed = {*table.serving, table.socket} if serves else set()
    for number in table.refused:
        if number not in needed:
            yield (JUMP_IF_EQUAL, 0, 1, number)
            yield _REFUSE
    if serves:
        yield from _only_unix_streams(table.socket)
    for number in table.unknown:
        yield (JUMP_IF_EQUAL, 0, 1, number)
        yield (RETURN, 0, 0, RETURN_ERROR | errno.ENOSYS)
    yield from _only(table.clone, [(JUMP_IF_ANY_BIT, 0, 1, CLONE_THREAD)])
    own = os.getpid()
    for number in table.own_process:
        yield from _only(number, [(JUMP_IF_EQUAL, 0, 1, own), (JUMP_IF_EQUAL, 0, 1, 0)])
    yield _ALLOW


def _only_unix_streams(call: int) -> Iterator[_Step]:
    """Refuse sockets but those of the kind Unix stream: no other is sent from without a connection."""
    yield (JUMP_IF_EQUAL, 0, 7, call)
    yield (LOAD_WORD, 0, 0, ARGUMENTS)
    yield (JUMP_IF_EQUAL, 0, 4, socket.AF_UNIX)
    yield (LOAD_WORD, 0, 0, ARGUMENTS + ARGUMENT_BYTES)
    yield (AND, 0, 0, SOCKET_KINDS)
    yield (JUMP_IF_EQUAL, 0, 1, socket.SOCK_STREAM)
    yield _ALLOW
    yield _REFUSE


def _only(call: int, allowed: list[_Step]) -> Iterator[_Step]:
    """Allow a call when one of the conditions on its first argument holds, else refuse it."""
    yield (JUMP_IF_EQUAL, 0, 2 + 2 * len(allowed), call)
    yield (LOAD_WORD, 0, 0, ARGUMENTS)
    for condition in allowed:
        yield condition
        yield _ALLOW
    yield _REFUSE
