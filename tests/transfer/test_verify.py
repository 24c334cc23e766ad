from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from engines.exceptions import ArtifactMissingError, DigestMismatchError, TransferCancelledError
from engines.transfer.remote_file import Progress
from engines.transfer.verify import verify_file
from tests.transfer.support import content, ignore, never

DATA = content(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


def check(path: Path) -> None:
    verify_file(path, sha256=SHA256, size=len(DATA), progress=ignore, cancelled=never)


def test_the_right_file_passes_and_tells_its_progress(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(DATA)
    told: list[Progress] = []

    verify_file(path, sha256=SHA256, size=len(DATA), progress=told.append, cancelled=never)

    assert told[-1] == Progress("checking", len(DATA), len(DATA))


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))

    with pytest.raises(DigestMismatchError, match=f"instead of {SHA256}"):
        check(path)


def test_a_short_file_is_found_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(DATA[:-1])

    with pytest.raises(DigestMismatchError, match="has 2999999 bytes instead of 3000000"):
        check(path)


@pytest.mark.parametrize("kind", ["nothing", "link", "folder", "pipe"])
def test_what_is_no_regular_file_is_missing(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "model", tmp_path / "target"
    target.write_bytes(DATA)
    if kind == "link":
        path.symlink_to(target)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)

    with pytest.raises(ArtifactMissingError, match="no model file at"):
        check(path)


def test_a_check_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(DATA)

    with pytest.raises(TransferCancelledError):
        verify_file(path, sha256=SHA256, size=len(DATA), progress=ignore, cancelled=lambda: True)

    assert path.read_bytes() == DATA
