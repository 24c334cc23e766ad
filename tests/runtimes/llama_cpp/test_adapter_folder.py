"""The folder through which one engine's child sees adapters."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines.runtimes.llama_cpp.adapter_folder import MAX_FILES, PREFIX, AdapterFolder


def adapter(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text(name)
    return path


def test_an_adapter_is_there_by_its_digest_without_a_second_copy(tmp_path: Path) -> None:
    source = adapter(tmp_path, "voice")
    folder = AdapterFolder(str(tmp_path / "folders"))

    path = Path(folder.add("0a1b", source))

    assert path == folder.path / "0a1b"
    assert path.samefile(source)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.close()
    assert not folder.path.exists()
    assert source.read_text() == "voice"


def test_what_its_owner_removed_is_not_kept_beside_it(tmp_path: Path) -> None:
    folder = AdapterFolder(str(tmp_path / "folders"))
    gone = adapter(tmp_path, "gone")
    folder.add("gone", gone)
    gone.unlink()

    folder.add("voice", adapter(tmp_path, "voice"))

    assert [path.name for path in folder.path.iterdir()] == ["voice"]


def test_only_so_many_are_kept_and_those_asked_for_last(tmp_path: Path) -> None:
    folder = AdapterFolder(str(tmp_path / "folders"))
    for number in range(MAX_FILES + 1):
        folder.add(str(number), adapter(tmp_path, f"a{number}"))
    folder.add("0", tmp_path / "a0")

    folder.add("new", adapter(tmp_path, "new"))

    kept = {path.name for path in folder.path.iterdir()}
    assert {"0", "new"} <= kept
    assert "1" not in kept


def test_many_threads_may_add_at_once(tmp_path: Path) -> None:
    folder = AdapterFolder(str(tmp_path / "folders"))
    sources = {str(number): adapter(tmp_path, f"a{number}") for number in range(8)}

    with ThreadPoolExecutor(8) as pool:
        added = pool.map(lambda n: folder.add(str(n % 8), sources[str(n % 8)]), range(800))
        paths = set(added)

    assert {Path(path).read_text() for path in paths} == {f"a{n}" for n in range(8)}


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left = tmp_path / f"{PREFIX}{child}-x"
    alive = tmp_path / f"{PREFIX}{os.getppid()}-x"
    for path in (left, alive):
        path.mkdir()

    AdapterFolder(str(tmp_path)).close()

    assert not left.exists()
    assert alive.is_dir()


def test_an_adapter_that_cannot_be_read_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    folder = AdapterFolder(str(tmp_path / "folders"))

    with pytest.raises(FileNotFoundError):
        folder.add("0a1b", tmp_path / "missing")

    assert list(folder.path.iterdir()) == []
