"""A second name for verified bytes, and what a file really costs on its disk.

A hard link is a name of an inode, so removing one name never takes the bytes from another
(link(2)). Two filesystems cannot share an inode: a clone that shares
blocks (ioctl_ficlone(2)) or a plain copy is made only when asked for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from engines.exceptions import SharingError
from engines.files.durable import BLOCK, READ_BY_ALL, durable_file, open_regular, rename_durably
from engines.transfer.remote_file import Progress
from engines.transfer.verify import Content, verify_open_file

BLOCK_UNIT = 512
"""Bytes of ``st_blocks``'s unit (stat(2))."""
CLONE = 0x40049409
"""``FICLONE``."""
OPEN_FILES = "/proc/self/fd"
NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP})
NO_CLONE = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS})


class SharedBy(StrEnum):
    """How a name came to have its bytes."""

    LINK = "link"
    CLONE = "clone"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class FileUse:
    """Where a file's bytes are and who has a name for them; ``disk_bytes`` counts whole blocks."""

    device: int
    inode: int
    names: int
    disk_bytes: int


def _unheard(_progress: Progress) -> None:
    """Report to nobody."""


def _never() -> bool:
    """Never cancel."""
    return False


def share_file(
    source: Path,
    target: Path,
    content: Content,
    *,
    copy: bool = False,
    progress: Callable[[Progress], None] = _unheard,
    cancelled: Callable[[], bool] = _never,
) -> SharedBy:
    """Make ``target`` a name of ``source``'s bytes, after these were verified.

    A ``target`` that is another file is replaced as one step. Where no hard link is possible, a
    clone or copy is made if ``copy`` allows it. Raises SharingError (nothing changed),
    ArtifactMissingError, DigestMismatchError or TransferCancelledError.
    """
    with _open_private(source) as file:
        verify_open_file(file, source, content, progress=progress, cancelled=cancelled)
        # Verified before: that it is the same file does not say that its bytes are right.
        if _is_same(file, target):
            return SharedBy.LINK
        _make_folder(target.parent)
        if _link(file, target):
            return SharedBy.LINK
        # Sharing is asked for to save the disk; a silent copy would take it twice.
        if not copy:
            raise SharingError(
                f"{source} cannot have a second name in {target.parent}: another filesystem, or "
                "its owner forbids it. Put both folders on one filesystem, or ask for a copy."
            )
        return _duplicate(file, target)


def file_use(path: Path) -> FileUse:
    """Tell where a file's bytes are; OSError when there is no such file."""
    found = path.stat()
    return FileUse(found.st_dev, found.st_ino, found.st_nlink, found.st_blocks * BLOCK_UNIT)


def disk_bytes(paths: Iterable[Path]) -> int:
    """Bytes of disk that these files take together; several names of one file count once."""
    # An inode number is unique only within its device.
    uses = {(use.device, use.inode): use.disk_bytes for use in map(file_use, paths)}
    return sum(uses.values())


def remove_name(path: Path) -> int:
    """Remove one name of a file; returns the bytes of disk that this gave back.

    What another name still uses stays, and then that is 0. A name that is gone already is fine.
    """
    try:
        use = file_use(path)
        path.unlink()
    except FileNotFoundError:
        return 0
    # Looked up before the unlink, because afterwards nobody can. A name that another process adds or
    # removes in between makes this figure wrong, and nothing else.
    return use.disk_bytes if use.names == 1 else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SharingError(f"{folder} cannot be made: {error.strerror}.") from error


def _open_private(path: Path) -> BinaryIO:
    """Open a regular file that not everybody can write: it could change after it was verified."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise SharingError(f"{path} cannot be shared: {error.strerror}.") from error
    # On the open file: the path may lead elsewhere a moment later.
    if os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
        file.close()
        raise SharingError(f"{path} cannot be shared: everybody may write to it.")
    return file


def _is_same(file: BinaryIO, target: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), target.lstat())
    except FileNotFoundError:
        return False


def _link(file: BinaryIO, target: Path) -> bool:
    """Link the very inode that was verified, aside and then renamed; False where that is refused."""
    # link(2) does not replace a name; rename(2) does, and whoever has the old file open keeps it.
    aside = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        _link_descriptor(file.fileno(), aside)
    except OSError as error:
        if error.errno in NO_LINK:
            return False
        raise SharingError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        rename_durably(aside, target)
    finally:
        # rename(2) of two names of one file does nothing and leaves both.
        aside.unlink(missing_ok=True)
    return True


def _link_descriptor(descriptor: int, target: Path) -> None:
    """Name what is open (linkat(2) with AT_SYMLINK_FOLLOW): its path may be another file by now."""
    # Python passes that flag only together with a folder's descriptor.
    folder = os.open(OPEN_FILES, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(str(descriptor), target, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _duplicate(file: BinaryIO, target: Path) -> SharedBy:
    file.seek(0)
    with durable_file(target, mode=READ_BY_ALL) as copy:
        try:
            fcntl.ioctl(copy.fileno(), CLONE, file.fileno())
        except OSError as error:
            if error.errno not in NO_CLONE:
                raise
        else:
            return SharedBy.CLONE
        shutil.copyfileobj(file, copy, BLOCK)
    return SharedBy.COPY
