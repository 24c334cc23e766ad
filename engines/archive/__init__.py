"""Encrypted backups in one file each; the key that opens one is kept apart from it."""

from __future__ import annotations

from engines.archive.keys import MasterKey, MasterKeyRing, WrappedKey
from engines.archive.layout import ArchiveLimits, ArchiveSummary
from engines.archive.reader import ArchiveReader, MemberStream, verify_archive
from engines.archive.writer import ArchiveWriter

__all__ = [
    "ArchiveLimits",
    "ArchiveReader",
    "ArchiveSummary",
    "ArchiveWriter",
    "MasterKey",
    "MasterKeyRing",
    "MemberStream",
    "WrappedKey",
    "verify_archive",
]
