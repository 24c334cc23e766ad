from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.vectors import IndexCache, IndexFile, OpenIndex, open_index, write_index
from tests.vectors.conftest import Built, open_described, some_vectors


@pytest.mark.parametrize(("count", "dimension"), [(0, 4), (1, 1), (1000, 12), (2001, 384)])
def test_the_file_is_byte_for_byte_what_faiss_writes(
    build: Callable[..., Built], tmp_path: Path, count: int, dimension: int
) -> None:
    built = build(count, dimension)
    index = faiss.IndexIDMap(faiss.IndexFlatIP(dimension))
    index.add_with_ids(np.array(built.open().vectors()), built.ids)
    faiss.write_index(index, str(tmp_path / "theirs"))

    assert built.file.path.read_bytes() == (tmp_path / "theirs").read_bytes()


def test_what_was_written_is_described_and_read_only(build: Callable[..., Built]) -> None:
    built = build(50)

    assert built.file.sha256 == hashlib.sha256(built.file.path.read_bytes()).hexdigest()
    assert (built.file.count, built.file.dimension) == (50, 16)
    assert stat.S_IMODE(built.file.path.stat().st_mode) == 0o400


def test_ids_and_unit_rows_come_back_and_cannot_be_changed(build: Callable[..., Built]) -> None:
    built = build(50)
    index = built.open()
    before = built.file.path.read_bytes()

    assert index.ids().tolist() == built.ids.tolist()
    assert np.abs(np.linalg.norm(index.vectors(), axis=1) - 1).max() < 1e-6
    for view in (index.ids(), index.vectors()):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
    assert built.file.path.read_bytes() == before


def test_the_index_offers_nothing_that_changes_it(build: Callable[..., Built]) -> None:
    offered = {name for name in dir(build(1).open()) if not name.startswith("_")}

    assert offered == {"count", "dimension", "holds", "ids", "recall", "search", "vectors"}


def _with_flipped_bit(path: Path, at: int) -> Path:
    changed = path.with_name("changed")
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    changed.write_bytes(raw)
    return changed


def test_a_flipped_bit_at_any_offset_is_refused(build: Callable[..., Built]) -> None:
    built = build(20, 4)

    for at in range(built.file.path.stat().st_size):
        changed = dataclasses.replace(built.file, path=_with_flipped_bit(built.file.path, at))
        with pytest.raises(IndexFileError, match=r"[Bb]uild the index again"):
            open_described(changed)


def test_a_truncated_lengthened_or_empty_file_is_refused(build: Callable[..., Built]) -> None:
    built = build(20, 4)
    raw = built.file.path.read_bytes()
    changed = built.file.path.with_name("changed")

    for content in (b"", raw[:1], raw[:81], raw[: len(raw) // 2], raw[:-1], raw + b"\0"):
        changed.write_bytes(content)
        with pytest.raises(IndexFileError, match=rf"{len(content)} bytes.*does not hold 20 rows"):
            open_described(dataclasses.replace(built.file, path=changed))


@pytest.mark.parametrize(
    "wrong",
    [{"count": 19}, {"count": 21}, {"count": 0}, {"dimension": 3}, {"dimension": 8},
     {"count": 10, "dimension": 8}, {"count": -1}, {"dimension": 0}, {"dimension": 2**40},
     {"count": 2**60}, {"sha256": "0" * 64}, {"sha256": ""}],
)  # fmt: skip
def test_a_file_that_is_not_as_its_row_says_is_refused(
    build: Callable[..., Built], wrong: dict[str, Any]
) -> None:
    built = build(20, 4)

    with pytest.raises(IndexFileError):
        open_described(dataclasses.replace(built.file, **wrong))

    assert built.open().count == 20


def test_a_missing_file_a_folder_a_link_and_a_pipe_are_refused(
    build: Callable[..., Built], tmp_path: Path
) -> None:
    built = build(20, 4)
    (tmp_path / "link").symlink_to(built.file.path)
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "absent", tmp_path, tmp_path / "link", tmp_path / "pipe"):
        with pytest.raises(IndexFileError, match="cannot be opened"):
            open_described(dataclasses.replace(built.file, path=path))


def test_ids_out_of_order_are_refused_though_the_checksum_is_right(
    build: Callable[..., Built],
) -> None:
    built = build(20, 4)
    raw = built.file.path.read_bytes()
    changed = built.file.path.with_name("changed")
    changed.write_bytes(raw[:-16] + raw[-8:] + raw[-16:-8])
    sha256 = hashlib.sha256(changed.read_bytes()).hexdigest()

    with pytest.raises(IndexFileError, match="do not ascend"):
        open_described(dataclasses.replace(built.file, path=changed, sha256=sha256))


def test_an_index_stays_readable_when_its_path_is_replaced_or_removed(
    build: Callable[..., Built],
) -> None:
    built, other = build(500, 8), build(3, 8, seed=2)
    index = built.open()
    query = np.ones(8, np.float32)
    expected = index.search(query, 5).ids.tolist()

    other.file.path.replace(built.file.path)
    assert index.search(query, 5).ids.tolist() == expected
    built.file.path.unlink()
    assert index.search(query, 5).ids.tolist() == expected


def test_writing_over_a_mapped_index_leaves_its_reader_alone(build: Callable[..., Built]) -> None:
    built = build(500, 8)
    index = built.open()
    expected = index.vectors().tolist()

    write_index(built.file.path, np.array([1], np.int64), [np.ones((1, 8))], dimension=8)

    assert index.vectors().tolist() == expected


def _never_ending() -> Iterator[NDArray[np.float16]]:
    while True:
        yield some_vectors(2, 4)


@pytest.mark.parametrize(
    ("ids", "batches", "said"),
    [
        ([1, 1], [some_vectors(2, 4)], "ascend strictly"),
        ([2, 1], [some_vectors(2, 4)], "ascend strictly"),
        ([-1, 1], [some_vectors(2, 4)], "not negative"),
        ([1, 2], [some_vectors(1, 4)], "2 ids but not as many"),
        ([1, 2], _never_ending(), "2 ids but not as many"),
        ([1, 2], [some_vectors(2, 5)], r"shape \(2, 5\)"),
        ([1], [np.ones(4)], r"shape \(4,\)"),
        ([1, 2], [np.zeros((2, 4))], "all zeros"),
        ([1], [np.array([[1, np.nan, 0, 0]])], "NaN"),
        ([1], [np.array([[1, np.inf, 0, 0]])], "infinity"),
    ],
)
def test_ids_and_vectors_that_make_no_index_leave_the_old_file(
    tmp_path: Path, ids: list[int], batches: list[NDArray[np.float16]], said: str
) -> None:
    path = tmp_path / "i"
    old = write_index(path, np.array([7], np.int64), [np.ones((1, 4))], dimension=4)

    with pytest.raises(IndexFileError, match=said):
        write_index(path, np.array(ids, np.int64), batches, dimension=4)

    assert list(tmp_path.iterdir()) == [path]
    assert open_described(old).ids().tolist() == [7]


def test_an_index_of_impossible_shape_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="cannot have 0 rows of 0 numbers"):
        write_index(tmp_path / "i", np.empty(0, np.int64), [], dimension=0)

    assert list(tmp_path.iterdir()) == []


def test_writing_and_opening_hold_one_batch_however_many_rows(tmp_path: Path) -> None:
    def peak_for(count: int) -> int:
        ids = np.arange(count, dtype=np.int64)
        batches = (some_vectors(500, 256) for _ in range(count // 500))
        tracemalloc.start()
        file = write_index(tmp_path / "i", ids, batches, dimension=256)
        open_described(file).search(np.ones(256), 10)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_for(20_000) - peak_for(1_000) < 20_000 * 8 * 4


def test_a_cached_file_is_checked_once_and_kept(build: Callable[..., Built]) -> None:
    built = build(10)
    cache = IndexCache(2)
    first = cache.get(built.file)
    built.file.path.unlink()

    assert cache.get(built.file) is first


def test_the_index_used_longest_ago_falls_out_and_stays_usable(
    build: Callable[..., Built],
) -> None:
    one, two, three = (build(10, seed=seed) for seed in (1, 2, 3))
    cache = IndexCache(2)
    kept, dropped = cache.get(one.file), cache.get(two.file)
    cache.get(one.file)
    cache.get(three.file)

    assert cache.get(one.file) is kept
    assert cache.get(two.file) is not dropped
    assert len(dropped.search(np.ones(16), 3).ids) == 3


def test_a_dropped_index_is_checked_again(build: Callable[..., Built]) -> None:
    built = build(10)
    cache = IndexCache(2)
    cache.get(built.file)
    shutil.copy(_with_flipped_bit(built.file.path, 90), built.file.path.with_name("copy"))
    built.file.path.with_name("copy").replace(built.file.path)

    assert cache.get(built.file).count == 10
    cache.drop(built.file.sha256)
    with pytest.raises(IndexFileError, match="changed or damaged"):
        cache.get(built.file)


def test_a_damaged_file_is_not_kept_and_a_repaired_one_is_served(
    build: Callable[..., Built],
) -> None:
    built = build(10)
    sound = built.file.path.read_bytes()
    cache = IndexCache(2)
    _with_flipped_bit(built.file.path, 100).replace(built.file.path)
    with pytest.raises(IndexFileError, match="changed or damaged"):
        cache.get(built.file)

    built.file.path.write_bytes(sound)

    assert cache.get(built.file).count == 10


def test_a_cached_digest_with_another_shape_is_refused(build: Callable[..., Built]) -> None:
    built = build(10)
    cache = IndexCache(2)
    cache.get(built.file)

    with pytest.raises(IndexFileError, match="does not hold 11 rows"):
        cache.get(IndexFile(built.file.path, built.file.sha256, 11, 16))


def test_threads_that_ask_at_once_share_one_index(build: Callable[..., Built]) -> None:
    built = build(2_000, 64)
    cache = IndexCache(2)
    together = threading.Barrier(8)

    def get(_: int) -> OpenIndex:
        together.wait()
        return cache.get(built.file)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(get, range(8)))

    assert all(index is found[0] for index in found)


def test_opening_by_hand_takes_the_same_facts(build: Callable[..., Built]) -> None:
    file = build(5).file

    assert open_index(file.path, sha256=file.sha256, count=5, dimension=16).count == 5
