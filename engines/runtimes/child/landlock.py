"""Landlock rules: which files a process may still read, and nothing else of the file system (Linux 5.13+).

Source: the kernel's userspace-api/landlock documentation.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, the same on all machines."""
ASK_VERSION = 1
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 1 << 1, 1 << 2, 1 << 3
REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
"""Remove folders and files; make devices, folders, files, sockets, pipes and links."""
MAKE_SOCKET = 1 << 9
REFER_SINCE, REFER = 2, 1 << 13
TRUNCATE_SINCE, TRUNCATE = 3, 1 << 14
CONNECT_SINCE, CONNECT = 4, 0b11
"""Bind and connect of TCP."""
CONTROL_SINCE, CONTROL = 5, 1 << 15
"""ioctl of devices."""
SCOPES_SINCE, SCOPES = 6, 0b11
"""Abstract sockets, signals."""

READ = READ_FILE | READ_FOLDER
USE = READ | WRITE_FILE | CONTROL
"""What a device needs."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | CONTROL
"""Rights that a rule on a plain file or a device may name."""


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("file_rights", ctypes.c_uint64),
        ("net_rights", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    ]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("path", ctypes.c_int32)]


@dataclass(frozen=True, slots=True)
class Access:
    """Paths that stay open, folders with all they hold; one that does not exist is left out."""

    read: Iterable[str] = ()
    write: Iterable[str] = ()
    """May be written to where they exist, besides being read; nothing is made or removed."""
    execute: Iterable[str] = ()
    """Programs that the process may become, and what loads their libraries."""
    make_sockets: Iterable[str] = ()
    """Folders in which it may make Unix sockets."""
    kept: list[int] = field(default_factory=list)
    """Descriptors that must stay open: an entry of ``/proc`` that nobody holds loses its rule."""


def version(libc: ctypes.CDLL | None = None) -> int:
    """Version of this kernel's Landlock; 0 or less where it has none."""
    if sys.platform != "linux":
        return 0
    found = (libc or ctypes.CDLL(None)).syscall(
        CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION
    )
    return int(found)


def leave_only(libc: ctypes.CDLL, access: Access) -> bool:
    """Give up all files but these for good; False where the system cannot do that.

    The process must have given up new privileges and have no other thread yet. Descriptors that are
    open already stay so.
    """
    known = version(libc)
    if known < 1:
        return False
    wanted = _known_to(known)
    size = ctypes.c_size_t(8 * (3 if known >= SCOPES_SINCE else 2 if known >= CONNECT_SINCE else 1))
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(wanted), size, 0)
    if ruleset < 0:
        return False
    try:
        for path in access.read:
            _allow(libc, ruleset, path, READ, access)
        for path in access.write:
            _allow(libc, ruleset, path, USE & wanted.file_rights, access)
        for path in access.execute:
            _allow(libc, ruleset, path, EXECUTE | READ_FILE, access)
        for path in access.make_sockets:
            _allow(libc, ruleset, path, MAKE_SOCKET, access)
        return bool(libc.syscall(RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _known_to(version: int) -> _Ruleset:
    """Everything that this kernel's Landlock can refuse."""
    rights = EXECUTE | WRITE_FILE | READ | REMOVE_AND_MAKE
    rights |= REFER if version >= REFER_SINCE else 0
    rights |= TRUNCATE if version >= TRUNCATE_SINCE else 0
    rights |= CONTROL if version >= CONTROL_SINCE else 0
    network = CONNECT if version >= CONNECT_SINCE else 0
    return _Ruleset(rights, network, SCOPES if version >= SCOPES_SINCE else 0)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int, access: Access) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # Not there, or not ours to reach: then it stays closed.
        return
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    rule = _PathRule(rights if is_folder else rights & _OF_FILES, descriptor)
    libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    if path.startswith("/proc/"):
        access.kept.append(descriptor)
    else:
        os.close(descriptor)
