"""The layout of members inside the sealed stream, and what an archive may hold.

Per member: a byte 1, name length (u16), size (u64), the name, the content, its SHA-256. At the end: a
byte 0, the number of members (u32), their bytes together (u64), the SHA-256 over all names and digests.
Numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field

from engines.archive.keys import WrappedKey
from engines.exceptions import ArchiveError, UnsafeNameError

MEMBER = b"\x01"
END = b"\x00"
MEMBER_HEAD = struct.Struct(">HQ")
TRAILER = struct.Struct(">IQ32s")
DIGEST_BYTES = 32
MAX_NAME = 255
_NAME_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What a writer and a reader accept; the number of members bounds their memory."""

    members: int = 100_000
    total_bytes: int = 256 * 1024**3


DEFAULT_LIMITS = ArchiveLimits()


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """What an archive is: of the sealed file ``sha256`` (hex) and ``size`` (bytes), members, its key."""

    sha256: str
    size: int
    members: int
    content_bytes: int
    wrapped_key: WrappedKey


@dataclass(slots=True)
class Tally:
    """Counts members alike when writing and reading, refuses what breaks names or limits."""

    limits: ArchiveLimits
    members: int = 0
    content_bytes: int = 0
    _names: set[str] = field(default_factory=set)
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def admit(self, name: str, size: int) -> None:
        """Count a member in; UnsafeNameError or ArchiveError when it may not be there."""
        check_name(name)
        # Case folded: some file systems would restore both to one file.
        if name.casefold() in self._names:
            raise ArchiveError(f"The backup has the member {name!r} twice; give each its own name.")
        if self.members >= self.limits.members:
            raise ArchiveError(f"The backup has more than {self.limits.members} members; split it.")
        if self.content_bytes + size > self.limits.total_bytes:
            raise ArchiveError(
                f"With {name!r} the backup exceeds {self.limits.total_bytes} bytes; split it."
            )
        self._names.add(name.casefold())
        self.members += 1
        self.content_bytes += size

    def seal(self, name: str, digest: bytes) -> None:
        """Take a finished member's SHA-256 into the digest of the whole."""
        self._digest.update(hashlib.sha256(name.encode()).digest() + digest)

    def trailer(self) -> bytes:
        """Bytes that end the archive."""
        return TRAILER.pack(self.members, self.content_bytes, self._digest.digest())


def check_name(name: str) -> None:
    """Refuse (UnsafeNameError) a member name that could leave the folder it is restored to."""
    parts = name.split("/")
    if len(name) > MAX_NAME or not all(_NAME_PART.fullmatch(part) for part in parts):
        raise UnsafeNameError(
            f"{name[:MAX_NAME]!r} is not a safe name for a member of a backup: use letters, digits, "
            "'.', '_', '-' and '/', no part that begins with '.' or '-', at most 255 characters."
        )
