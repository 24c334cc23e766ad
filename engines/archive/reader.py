"""Read an encrypted archive in one pass; nothing unauthenticated is ever given out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from engines.archive.keys import MasterKeyRing, WrappedKey
from engines.archive.layout import (
    DEFAULT_LIMITS,
    DIGEST_BYTES,
    END,
    MEMBER,
    MEMBER_HEAD,
    TRAILER,
    ArchiveLimits,
    ArchiveSummary,
    Tally,
)
from engines.archive.sealed_stream import SealedReader
from engines.exceptions import ArchiveError
from engines.files.durable import BLOCK, Checkpoint, go_on, open_regular

MAX_IN_MEMORY = 64 * 1024 * 1024
"""Bytes of a member that ``read_all`` accepts by default."""


class MemberStream:
    """One member: ``name``, ``size`` in bytes, and its content, readable until the next is asked for."""

    def __init__(self, name: str, size: int, sealed: SealedReader, checkpoint: Checkpoint) -> None:
        self.name = name
        self.size = size
        self._sealed = sealed
        self._checkpoint = checkpoint
        self._left = size
        self._digest = hashlib.sha256()

    def read(self, count: int = BLOCK) -> bytes:
        """Up to ``count`` bytes, empty at the end of the member."""
        self._checkpoint()
        piece = self._sealed.read(min(count, self._left))
        if self._left and count and not piece:
            raise ArchiveError(f"The backup ends inside {self.name!r}; use another backup.")
        self._left -= len(piece)
        self._digest.update(piece)
        return piece

    def read_all(self, max_bytes: int = MAX_IN_MEMORY) -> bytes:
        """Return the whole content; ArchiveError when it is larger than ``max_bytes``."""
        if self.size > max_bytes:
            raise ArchiveError(
                f"{self.name!r} has {self.size} bytes, more than the {max_bytes} that fit in "
                "memory here; read it in pieces."
            )
        return b"".join(iter(self.read, b""))

    def finish(self) -> bytes:
        """Read over what is left; return the SHA-256 of the whole content."""
        while self.read():
            pass
        return self._digest.digest()


class ArchiveReader:
    """One archive being read; use with ``with``.

    A complete archive is proven only when ``members`` has been walked to its end: restore to a staging
    place, or call ``verify_archive`` first.
    """

    def __init__(
        self,
        path: Path,
        wrapped_key: WrappedKey | None,
        keys: MasterKeyRing,
        *,
        limits: ArchiveLimits = DEFAULT_LIMITS,
        checkpoint: Checkpoint = go_on,
    ) -> None:
        """Open and check the header; ArchiveError when file and keys do not belong together.

        ``wrapped_key`` is that of the archive's record, None for an archive without one. ``checkpoint`` is called
        before each piece of a member is read, and may raise to stop.
        """
        self._checkpoint = checkpoint
        self._tally = Tally(limits)
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise ArchiveError(f"The backup {path.name!r} cannot be opened: {error}.") from error
        try:
            self._sealed = SealedReader(self._file, wrapped_key, keys)
        except BaseException:
            # Nobody gets this object, so nobody else can close it.
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def members(self) -> Iterator[MemberStream]:
        """Yield the members in order, each checked before the next, all of them at the end.

        Can be walked once. ArchiveError on damage or a broken limit, UnsafeNameError on a bad name.
        """
        while (mark := self._exactly(1)) == MEMBER:
            member = self._next_member()
            yield member
            # Reads what the caller left unread: the digest is over the whole member.
            self._check(member)
        if mark != END or self._exactly(TRAILER.size) != self._tally.trailer():
            raise ArchiveError("The backup's members are not those it lists; use another backup.")
        # Reading to the authenticated end also proves that the last chunk is the last.
        if self._sealed.read(1):
            raise ArchiveError("The backup goes on after its end; use another backup.")

    def summary(self) -> ArchiveSummary:
        """Say what was read; of the whole archive after ``members`` has ended."""
        return ArchiveSummary(
            self._sealed.sha256,
            self._sealed.size,
            self._tally.members,
            self._tally.content_bytes,
            self._sealed.wrapped_key,
        )

    def _next_member(self) -> MemberStream:
        name_length, size = MEMBER_HEAD.unpack(self._exactly(MEMBER_HEAD.size))
        name = self._exactly(name_length).decode("ascii", "replace")
        # Before the content is read: the name decides where a restore would write.
        self._tally.admit(name, size)
        return MemberStream(name, size, self._sealed, self._checkpoint)

    def _check(self, member: MemberStream) -> None:
        digest = member.finish()
        if self._exactly(DIGEST_BYTES) != digest:
            raise ArchiveError(f"{member.name!r} in the backup is damaged; use another backup.")
        self._tally.seal(member.name, digest)

    def _exactly(self, count: int) -> bytes:
        taken = bytearray()
        while len(taken) < count:
            piece = self._sealed.read(count - len(taken))
            if not piece:
                raise ArchiveError(
                    "The backup ends before its list of members; use another backup."
                )
            taken += piece
        return bytes(taken)


def verify_archive(
    path: Path,
    wrapped_key: WrappedKey | None,
    keys: MasterKeyRing,
    *,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    checkpoint: Checkpoint = go_on,
) -> ArchiveSummary:
    """Decrypt and check all of an archive, as a restore would read it; ArchiveError on any fault."""
    with ArchiveReader(path, wrapped_key, keys, limits=limits, checkpoint=checkpoint) as reader:
        for member in reader.members():
            member.finish()
        return reader.summary()
