from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engines.files.durable import durable_file, open_regular


def test_a_file_appears_whole_and_read_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    with durable_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and whole")

    assert path.read_bytes() == b"half and whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_file_before_is_still_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def write_and_break() -> None:
        with durable_file(path) as file:
            file.write(b"after")
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        write_and_break()

    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write_past_the_limit() -> None:
        with durable_file(path) as file:
            os.ftruncate(file.fileno(), 2**63 - 1)

    with pytest.raises(OSError, match="too large"):
        write_past_the_limit()

    assert list(tmp_path.iterdir()) == []


def test_whoever_has_the_old_file_open_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with path.open("rb") as old:
        with durable_file(path) as file:
            file.write(b"after")

        assert (old.read(), path.read_bytes()) == (b"before", b"after")


def test_only_a_plain_file_is_opened(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"bytes")
    (tmp_path / "link").symlink_to(plain)
    os.mkfifo(tmp_path / "pipe")

    with open_regular(plain) as file:
        assert file.read() == b"bytes"
    for path in (tmp_path, tmp_path / "link", tmp_path / "pipe", tmp_path / "absent"):
        with pytest.raises(OSError, match=path.name):
            open_regular(path)
