"""A seccomp filter that leaves a process no sockets but local ones (Linux, seccomp(2), BPF).

It holds where a container forbids network namespaces. ``io_uring`` is refused as well, because it
opens sockets without the system call that is filtered.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
RETURN_ALLOW = 0x7FFF0000
RETURN_ERROR = 0x00050000

LOAD_WORD = 0x20
JUMP_IF_EQUAL = 0x15
JUMP_IF_AT_LEAST = 0x35
RETURN = 0x06
CALL_NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Byte offsets in ``struct seccomp_data``; the argument's low half on a little-endian machine."""

X32_CALLS = 0x40000000
IO_URING_SETUP = 425
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Machine -> (audit architecture, number of the ``socket`` call)."""


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]


def refuse_sockets(libc: ctypes.CDLL) -> bool:
    """Let this process open local (AF_UNIX) sockets only, for good; False where that is not possible.

    The process must have given up new privileges. A refused call fails with EACCES.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return False
    instructions = _instructions(*machine)
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _instructions(architecture: int, socket_call: int) -> list[_Instruction]:
    """Jumps count the instructions to skip; the last two refuse and allow."""
    steps = [
        (LOAD_WORD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 0, 6, architecture),
        (LOAD_WORD, 0, 0, CALL_NUMBER),
        (JUMP_IF_AT_LEAST, 4, 0, X32_CALLS),
        (JUMP_IF_EQUAL, 3, 0, IO_URING_SETUP),
        (JUMP_IF_EQUAL, 0, 3, socket_call),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_EQUAL, 1, 0, socket.AF_UNIX),
        (RETURN, 0, 0, RETURN_ERROR | errno.EACCES),
        (RETURN, 0, 0, RETURN_ALLOW),
    ]
    return [_Instruction(*step) for step in steps]
