"""The unfinished file: locked by one process, hashed as it grows, usable only after its rename.

The lock belongs to the open file and not to the name: it ends with the process, and a part that was
renamed or removed meanwhile is noticed by comparing the two.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engines.exceptions import FetchedElsewhereError
from engines.faults import faultpoint
from engines.files.durable import BLOCK, READ_BY_ALL, rename_durably
from engines.files.private import private_folder
from engines.transfer.journal import Journal, boot_id, read_journal, remove_journal, write_journal
from engines.transfer.verify import Content

FOLDER = ".parts"
"""Of unfinished files, beside the finished ones."""
SUFFIX = ".part"
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
_PRIVATE = 0o600


class PartFile:
    """Bytes ``0 .. offset`` of one file, and the running digest of exactly these bytes."""

    def __init__(self, descriptor: int, path: Path, size: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._journal_path = path.with_suffix(".json")
        self._size = size
        self._digest = hashlib.sha256()
        self._synced = 0
        self.offset = 0
        self.etag = ""

    @property
    def unsynced(self) -> int:
        return self.offset - self._synced

    def sha256(self) -> str:
        """Return the digest of the bytes so far."""
        return self._digest.hexdigest()

    def resume(self) -> Iterator[int]:
        """Hash again what an earlier process left, block by block; yields the offset reached."""
        journal = read_journal(self._journal_path)
        usable = 0
        if journal is not None and journal.size == self._size:
            usable = journal.usable_bytes(os.fstat(self._descriptor).st_size)
            self.etag, self._synced = journal.etag, min(journal.synced, usable)
        # What is beyond may be zeros that the file system never wrote.
        os.ftruncate(self._descriptor, usable)
        while block := os.pread(self._descriptor, BLOCK, self.offset):
            self._digest.update(block)
            self.offset += len(block)
            yield self.offset

    def begin(self, etag: str) -> None:
        """Note the validator of the bytes that come now; called before the first of them."""
        self.etag = etag
        write_journal(self._journal_path, Journal(self._size, self.etag, self._synced, boot_id()))

    def append(self, chunk: bytes) -> None:
        """Write all of ``chunk``; after an OSError the offset says how much of it is there."""
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._descriptor, view, self.offset)
            self._digest.update(view[:written])
            self.offset += written
            view = view[written:]

    def sync(self) -> None:
        """Bring all bytes to the disk, then say so in the journal."""
        # In this order: a journal that promised bytes before they are on the disk would be wrong after a
        # power cut.
        os.fsync(self._descriptor)
        self._synced = self.offset
        self.begin(self.etag)

    def restart(self) -> None:
        """Forget every byte."""
        os.ftruncate(self._descriptor, 0)
        self._digest = hashlib.sha256()
        self.offset = self._synced = 0
        self.etag = ""

    def publish(self, destination: Path) -> None:
        """Make the part the finished, read-only file."""
        os.fsync(self._descriptor)
        faultpoint("download.before_rename")
        rename_durably(self._path, destination)
        faultpoint("download.after_rename")
        # Only now: another process could not reopen a read-only part to continue it.
        os.fchmod(self._descriptor, READ_BY_ALL)
        remove_journal(self._journal_path)

    def discard(self) -> None:
        """Remove the part and its journal while the lock is still held."""
        _remove(self._path)
        self.offset = self._synced = 0


@dataclass(frozen=True, slots=True)
class UnfinishedFile:
    """A part that lies there: which content it is to become, its bytes so far, and when the last came."""

    path: Path
    sha256: str
    size: int
    written_at: datetime


def list_parts(models_dir: Path) -> Iterator[UnfinishedFile]:
    """Yield the parts below a folder of model files."""
    for path in sorted(models_dir.glob(f"*/{FOLDER}/*{SUFFIX}")):
        with suppress(FileNotFoundError):
            found = path.lstat()
            written_at = datetime.fromtimestamp(found.st_mtime, UTC)
            yield UnfinishedFile(path, path.stem, found.st_size, written_at)


def remove_abandoned_part(path: Path) -> bool:
    """Remove a part and its journal; False when a download holds it."""
    try:
        descriptor = _lock(path)
    except FetchedElsewhereError:
        return False
    try:
        _remove(path)
    finally:
        os.close(descriptor)
    return True


@contextmanager
def claim_part(destination: Path, sha256: str, size: int) -> Iterator[PartFile]:
    """Lock the part of this content beside ``destination``; the kernel frees it with the process.

    Raises FetchedElsewhereError when another process or thread has it.
    """
    folder = destination.parent / FOLDER
    private_folder(folder)
    path = folder / f"{sha256}{SUFFIX}"
    descriptor = _lock(path)
    part = PartFile(descriptor, path, size)
    try:
        yield part
    finally:
        # An empty part left behind would look like an interrupted download.
        if os.fstat(descriptor).st_size == 0 and _is_at(descriptor, path):
            part.discard()
        os.close(descriptor)


def missing_bytes(destination: Path, content: Content) -> int:
    """Return the bytes that are still to come: none where the file is, the rest where a part is."""
    part = destination.parent / FOLDER / f"{content.sha256}{SUFFIX}"
    arrived = (path.stat().st_size for path in (destination, part) if path.is_file())
    return content.size - min(max(arrived, default=0), content.size)


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    remove_journal(part.with_suffix(".json"))


def _lock(path: Path) -> int:
    """Open and lock; retry when the name was given to another file in between."""
    while True:
        descriptor = os.open(path, _OPEN_FLAGS, _PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise FetchedElsewhereError(
                "Another process on this host is already downloading this file. Wait for it."
            ) from error
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
