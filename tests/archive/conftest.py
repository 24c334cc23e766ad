from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engines.archive import ArchiveReader, ArchiveSummary, ArchiveWriter, MasterKeyRing

SECRET = "a secret of a test, long enough to be one"


@dataclass(frozen=True, slots=True)
class Sealed:
    path: Path
    summary: ArchiveSummary
    contents: dict[str, bytes]


@pytest.fixture
def ring() -> MasterKeyRing:
    return MasterKeyRing.from_secret(SECRET)


@pytest.fixture
def seal(tmp_path: Path, ring: MasterKeyRing) -> Callable[..., Sealed]:
    """Write an archive of given contents, by default four chunks of them."""

    def write(name: str = "backup.sam", contents: dict[str, bytes] | None = None) -> Sealed:
        wanted = contents or {"manifest.json": b"{}", "adapters/one.gguf": os.urandom(3_500_000)}
        path = tmp_path / name
        with ArchiveWriter(path, ring.current) as writer:
            for member, data in wanted.items():
                writer.add_bytes(member, data)
        return Sealed(path, writer.close(), wanted)

    return write


def read_contents(sealed: Sealed, ring: MasterKeyRing) -> dict[str, bytes]:
    with ArchiveReader(sealed.path, sealed.summary.wrapped_key, ring) as reader:
        return {member.name: member.read_all() for member in reader.members()}
