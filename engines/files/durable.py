"""Files that are there whole or not at all: written aside, fsynced, renamed in, read-only."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engines.files.private import own_like_folder, private_folder

BLOCK = 1024 * 1024
"""Bytes moved at a time when a file is copied or hashed."""

READ_ONLY = 0o400

Checkpoint = Callable[[], None]
"""Called between blocks by what reads or writes much; may raise to stop."""


def go_on() -> None:
    """Be the checkpoint of work that nobody stops."""


"""Of what belongs to people."""
READ_BY_ALL = 0o444
"""Of published weights: another program may share the file; the folder of SAM's name is closed anyway."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


@contextmanager
def durable_file(path: Path, *, mode: int = READ_ONLY) -> Iterator[BinaryIO]:
    """Give a file to write; at the end it is ``path``, after an error nothing is left.

    A file already at ``path`` is replaced as one step, so whoever has it open keeps the old bytes.
    """
    private_folder(path.parent)
    aside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with _create(aside) as file:
            own_like_folder(file.fileno(), path.parent)
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            # Before the rename: after a power cut the name must not stand for an empty file.
            os.fsync(file.fileno())
        rename_durably(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def rename_durably(source: Path, target: Path) -> None:
    """Rename and make the new name survive a power cut."""
    source.replace(target)
    # The name is an entry of the folder, which has to be synced as well (fsync(2)).
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_regular(path: Path) -> BinaryIO:
    """Open for reading; OSError when it is a link, a folder, a pipe or anything but a plain file."""
    # O_NONBLOCK: opening a pipe that nobody writes to would block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, _NEW_FILE, 0o600), "wb")
