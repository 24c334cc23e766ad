"""Write an encrypted archive in one pass, with one chunk in memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from engines.archive.keys import MasterKey
from engines.archive.layout import (
    DEFAULT_LIMITS,
    END,
    MEMBER,
    MEMBER_HEAD,
    ArchiveLimits,
    ArchiveSummary,
    Tally,
)
from engines.archive.sealed_stream import SealedWriter
from engines.exceptions import ArchiveError
from engines.files.durable import BLOCK, Checkpoint, durable_file, go_on, open_regular


class ArchiveWriter:
    """One archive being written; ``with`` closes it, and after an error leaves no file.

    Given a path, the file appears there complete, durable and read-only, or not at all. Given an open
    file, the bytes go there, and flushing or discarding it is the caller's business.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        master_key: MasterKey,
        *,
        limits: ArchiveLimits = DEFAULT_LIMITS,
        checkpoint: Checkpoint = go_on,
    ) -> None:
        """``checkpoint`` is called before each block of a member; what it raises ends the archive."""
        self._checkpoint = checkpoint
        self._exits = ExitStack()
        file = (
            self._exits.enter_context(durable_file(target)) if isinstance(target, Path) else target
        )
        self._sealed = SealedWriter(file, master_key)
        self._tally = Tally(limits)
        self._summary: ArchiveSummary | None = None
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._broken = True
            self._exits.__exit__(kind, error, trace)
        else:
            self.close()

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a member from memory; UnsafeNameError, or ArchiveError on a double name or a limit."""
        self._add(name, len(data), io.BytesIO(data))

    def add_json(self, name: str, value: object) -> None:
        """Add a member as UTF-8 JSON with sorted keys: equal values give equal bytes."""
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        self.add_bytes(name, text.encode())

    def add_file(self, name: str, path: Path) -> None:
        """Add a regular file; ArchiveError when it changes size meanwhile (close is refused then)."""
        try:
            source = open_regular(path)
        except OSError as error:
            raise ArchiveError(f"{name!r} cannot be backed up: {error}.") from error
        with source:
            self._add(name, os.fstat(source.fileno()).st_size, source)

    def close(self) -> ArchiveSummary:
        """End the archive, make it durable, say what it is; again: the same summary."""
        if self._summary is None:
            self._check_usable()
            self._sealed.write(END + self._tally.trailer())
            digest = self._sealed.finish()
            self._exits.close()
            self._summary = ArchiveSummary(
                digest,
                self._sealed.size,
                self._tally.members,
                self._tally.content_bytes,
                self._sealed.wrapped_key,
            )
        return self._summary

    def _add(self, name: str, size: int, source: BinaryIO) -> None:
        self._check_usable()
        self._tally.admit(name, size)
        encoded = name.encode()
        # Until the member is complete: after an error in between, the archive must not be closed as whole.
        self._broken = True
        self._sealed.write(MEMBER + MEMBER_HEAD.pack(len(encoded), size) + encoded)
        digest = self._copy(name, size, source)
        self._sealed.write(digest)
        self._broken = False
        self._tally.seal(name, digest)

    def _copy(self, name: str, size: int, source: BinaryIO) -> bytes:
        digest = hashlib.sha256()
        copied = 0
        while block := source.read(BLOCK):
            self._checkpoint()
            copied += len(block)
            if copied > size:
                # The head with the size is written already, and a file that grows may never end.
                break
            digest.update(block)
            self._sealed.write(block)
        if copied != size:
            raise ArchiveError(
                f"{name!r} changed its size while it was backed up ({size} bytes at the start); "
                "make the backup again."
            )
        return digest.digest()

    def _check_usable(self) -> None:
        if self._broken or self._summary is not None:
            raise ArchiveError(
                "This backup is closed or broke off inside a member; begin a new one."
            )
