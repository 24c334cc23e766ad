from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.exceptions import (
    DigestMismatchError,
    SharingError,
    TransferCancelledError,
)
from engines.sharing.links import SharedBy, disk_bytes, file_use, remove_name, share_file
from tests.sharing.support import CONTENT, DATA, inodes, tree

FOREIGN = Path("/dev/shm")
"""Another filesystem on every Linux."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    folder = FOREIGN / f"sam-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    assert folder.stat().st_dev != tmp_path.stat().st_dev
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_second_name_costs_no_disk(file: Path, tmp_path: Path) -> None:
    before = disk_bytes([file])
    name = tmp_path / "other" / "name"

    assert share_file(file, name, CONTENT) is SharedBy.LINK

    assert inodes(file, name) == {file.stat().st_ino}
    assert file_use(name).names == 2
    assert disk_bytes([file, name]) == before == file_use(name).disk_bytes
    assert before >= len(DATA)
    assert share_file(file, name, CONTENT) is SharedBy.LINK
    assert file_use(name).names == 2


def test_a_second_copy_becomes_a_second_name(file: Path, tmp_path: Path) -> None:
    name = tmp_path / "copy"
    name.write_bytes(DATA)
    assert disk_bytes([file, name]) == 2 * disk_bytes([file])

    share_file(file, name, CONTENT)

    assert disk_bytes([file, name]) == disk_bytes([file])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "models"]


@pytest.mark.parametrize(
    ("data", "error"), [(DATA[:-1], "bytes instead of"), (DATA[:-1] + b"x", "has the SHA-256")]
)
def test_other_bytes_get_no_second_name(
    file: Path, tmp_path: Path, data: bytes, error: str
) -> None:
    file.write_bytes(data)
    before = tree(tmp_path)

    with pytest.raises(DigestMismatchError, match=error):
        share_file(file, tmp_path / "name", CONTENT)

    assert tree(tmp_path) == before


def test_links_pipes_and_files_that_anybody_may_write_are_not_shared(
    file: Path, tmp_path: Path
) -> None:
    link, pipe, open_to_all = tmp_path / "link", tmp_path / "pipe", tmp_path / "open"
    link.symlink_to(file)
    os.mkfifo(pipe)
    open_to_all.write_bytes(DATA)
    open_to_all.chmod(0o666)

    for source in (link, pipe, open_to_all, tmp_path, tmp_path / "gone"):
        with pytest.raises(SharingError, match="cannot be shared"):
            share_file(source, tmp_path / "name", CONTENT)

    assert not (tmp_path / "name").exists()


def test_a_copy_on_another_filesystem_is_made_only_when_asked_for(
    file: Path, elsewhere: Path
) -> None:
    name = elsewhere / "name"
    with pytest.raises(SharingError, match="another filesystem"):
        share_file(file, name, CONTENT)
    assert list(elsewhere.iterdir()) == []

    assert share_file(file, name, CONTENT, copy=True) is SharedBy.COPY

    assert name.read_bytes() == DATA
    assert (file_use(name).names, file_use(file).names) == (1, 1)
    assert [path.name for path in elsewhere.iterdir()] == ["name"]


def test_a_cancelled_check_leaves_nothing(file: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)

    with pytest.raises(TransferCancelledError):
        share_file(file, tmp_path / "name", CONTENT, cancelled=lambda: True)

    assert tree(tmp_path) == before


def test_removing_a_name_gives_disk_back_only_when_it_was_the_last(
    file: Path, tmp_path: Path
) -> None:
    name = tmp_path / "name"
    share_file(file, name, CONTENT)
    size = disk_bytes([file])

    assert remove_name(file) == 0
    assert name.read_bytes() == DATA
    assert remove_name(name) == size
    assert remove_name(name) == 0
