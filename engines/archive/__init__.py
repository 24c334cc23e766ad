"""Encrypted backups in one file each, which the backup key alone opens."""

from __future__ import annotations

from engines.archive.header import check_key
from engines.archive.keys import MasterKey, MasterKeyRing, WrappedKey
from engines.archive.layout import ArchiveLimits, ArchiveSummary
from engines.archive.reader import ArchiveReader, MemberStream, verify_archive
from engines.archive.sealed_stream import rewrap
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
    "check_key",
    "rewrap",
    "verify_archive",
]
