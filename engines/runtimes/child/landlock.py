"""Landlock rules: no file can be written and no process signalled (Linux 5.13 and later).

Reading stays allowed. Source: the kernel's userspace-api/landlock documentation.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, the same on all machines."""
ASK_VERSION = 1
RULE_PATH_BENEATH = 1
WRITE_FILE = 1 << 1
REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
"""Remove folders and files; make devices, folders, files, sockets, pipes and links."""
REFER_SINCE, REFER = 2, 1 << 13
TRUNCATE_SINCE, TRUNCATE = 3, 1 << 14
SCOPES_SINCE, SCOPES = 6, 0b11
"""Abstract sockets, signals."""
WRITABLE = ("/dev", "/proc", "/tmp")  # noqa: S108 - what may be written to, not a file of ours
"""GPU drivers talk through the first two and some libraries compile in the last."""


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("file_rights", ctypes.c_uint64),
        ("net_rights", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    ]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def forbid_writing(libc: ctypes.CDLL, writable: Iterable[str] = WRITABLE) -> bool:
    """Give up writing outside ``writable`` for good; False where the system cannot do that.

    The process must have given up new privileges and have no other thread yet.
    """
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)
    if version < 1:
        return False
    rights, scopes = _supported_rights(version)
    wanted = _Ruleset(rights, 0, scopes)
    # Older kernels refuse a struct that is longer than theirs with anything but zeros behind.
    size = ctypes.c_size_t(ctypes.sizeof(wanted) if scopes else ctypes.sizeof(ctypes.c_uint64))
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(wanted), size, 0)
    if ruleset < 0:
        return False
    try:
        for folder in writable:
            _allow(libc, ruleset, folder, rights)
        return bool(libc.syscall(RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _supported_rights(version: int) -> tuple[int, int]:
    """Rights and scopes that this kernel's Landlock knows."""
    rights = WRITE_FILE | REMOVE_AND_MAKE
    rights |= REFER if version >= REFER_SINCE else 0
    rights |= TRUNCATE if version >= TRUNCATE_SINCE else 0
    return rights, SCOPES if version >= SCOPES_SINCE else 0


def _allow(libc: ctypes.CDLL, ruleset: int, folder: str, rights: int) -> None:
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        # Without a rule the folder stays forbidden, which is right for one that appears later.
        return
    try:
        rule = _PathRule(rights, descriptor)
        libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
