from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.vectors import ApproximateIndex, IndexFile, build_index
from engines.vectors.approximate_build import PROMISED_RECALL
from engines.vectors.approximate_file import HEADER, ApproximateShape
from tests.vectors.conftest import cosines, open_any

COUNT, DIMENSION = 4_000, 16
SUBJECTS = 300


def about_subjects(count: int, dimension: int = DIMENSION, seed: int = 1) -> NDArray[np.float16]:
    """Unit vectors as texts have them: some subjects, and passages around each."""
    random = np.random.default_rng(seed)
    subjects = np.random.default_rng(7).standard_normal((SUBJECTS, dimension))
    near = subjects[random.integers(0, SUBJECTS, count)]
    raw = near + 0.3 * random.standard_normal((count, dimension))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float16)


def build(
    path: Path,
    stored: NDArray[np.float16],
    *,
    approximate_from: int = 1,
    checkpoint: Callable[[], None] = lambda: None,
) -> IndexFile:
    ids = np.arange(len(stored), dtype=np.int64) * 3 + 5
    batches = (stored[at : at + 777] for at in range(0, len(stored), 777))
    return build_index(
        path,
        ids,
        batches,
        dimension=stored.shape[1],
        approximate_from=approximate_from,
        checkpoint=checkpoint,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Large:
    """A base that is searched in lists, as its file and as it is."""

    file: IndexFile
    stored: NDArray[np.float16]

    @property
    def ids(self) -> NDArray[np.int64]:
        return np.arange(len(self.stored), dtype=np.int64) * 3 + 5

    def open(self) -> ApproximateIndex:
        index = open_any(self.file)
        assert isinstance(index, ApproximateIndex)
        return index


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    stored = about_subjects(COUNT)
    return Large(build(tmp_path_factory.mktemp("large") / "index", stored), stored)


def test_ten_nearest_are_found_as_its_file_says_with_some_of_the_lists(large: Large) -> None:
    index = large.open()
    questions = about_subjects(300, seed=2).astype(np.float32)
    exact = cosines(questions, large.stored)

    found = 0
    for question, scores in zip(questions, exact, strict=True):
        rows = (index.search(question, 26).ids - 5) // 3
        found += len(set(rows.tolist()) & set(np.argsort(-scores)[:10].tolist()))

    assert found / 3_000 >= PROMISED_RECALL
    assert index.recall is not None
    assert index.recall >= PROMISED_RECALL
    assert large.file.recall == index.recall
    assert index.measured.probes < index.lists


def test_behind_its_header_the_file_is_byte_for_byte_what_faiss_writes(large: Large) -> None:
    body = np.fromfile(large.file.path, np.uint8)[HEADER.size :]

    index = faiss.deserialize_index(body.copy())

    assert isinstance(index, faiss.IndexIVFScalarQuantizer)
    assert faiss.serialize_index(index).tobytes() == body.tobytes()


def test_it_is_four_times_smaller_than_an_exact_one_and_never_changed(
    large: Large, tmp_path: Path
) -> None:
    wide = about_subjects(1_000, 384)
    sizes = [
        build(tmp_path / str(start), wide, approximate_from=start).path.stat().st_size
        for start in (0, 1)
    ]
    offered = {name for name in dir(large.open()) if not name.startswith("_")}

    assert sizes[0] > 3 * sizes[1]
    assert offered == {
        *("count", "dimension", "holds", "ids", "lists", "measured", "recall", "search"),
    }
    assert large.open().ids().tolist() == large.ids.tolist()


def test_of_each_row_it_knows_whose_vector_it_is(large: Large) -> None:
    index, rows = large.open(), large.stored.astype(np.float32)
    picked = np.array([0, 17, COUNT - 1])

    assert index.holds(large.ids[picked], rows[picked]).all()
    assert not index.holds(large.ids[picked], rows[picked - 1]).any()
    assert not index.holds(large.ids[picked] + 1, rows[picked]).any()


def test_all_can_be_asked_for_and_none_of_those_left_out(large: Large) -> None:
    index = large.open()
    question = large.stored[0].astype(np.float32)

    everything = index.search(question, COUNT + 1).ids
    ranked = index.search(question, 2_000).ids
    rest = index.search(question, 50, exclude=ranked[:1_900]).ids

    assert sorted(everything.tolist()) == large.ids.tolist()
    assert len(ranked) == 2_000
    assert not set(rest.tolist()) & set(ranked[:1_900].tolist())
    assert len(rest) == 50
    assert index.search(question, 10, exclude=large.ids).ids.tolist() == []
    assert index.search(question, 3, exclude=large.ids[3:]).ids.tolist()[0] == 5
    assert index.search(question, 0).ids.tolist() == []
    with pytest.raises(IndexFileError, match="embed the query"):
        index.search(np.ones(DIMENSION + 1, np.float32), 3)


def hostile_bytes(large: Large) -> Iterator[tuple[int, bytes]]:
    """Every number that decides how much is read, each with its greatest and another small value."""
    shape = ApproximateShape(COUNT, DIMENSION, large.open().lists)
    fixed = [
        *range(HEADER.size + len(shape.before_centres())),
        *range(shape.between_at, shape.bounds_at),
        *range(shape.before_sizes_at, shape.rows_at, 5),
    ]
    for at in fixed:
        yield at, b"\xff"
    yield from ((at, b"\x01" * 8) for at in range(0, HEADER.size - 24, 8))
    # Sizes that come to the right sum in 64 bits, and lists that reach into each other.
    yield shape.sizes_at, (2**63).to_bytes(8, "little") * 2


def test_whatever_its_numbers_say_it_is_refused_even_with_the_right_digest(
    large: Large, tmp_path: Path
) -> None:
    sound = large.file.path.read_bytes()
    for at, written in hostile_bytes(large):
        raw = bytearray(sound)
        raw[at : at + len(written)] = written
        if bytes(raw) == sound or HEADER.size > at >= 28:
            # What was measured and the filling bytes say nothing of lengths.
            continue
        path = tmp_path / "hostile"
        path.write_bytes(raw)
        file = dataclasses.replace(large.file, path=path, sha256=hashlib.sha256(raw).hexdigest())
        with pytest.raises(IndexFileError, match="index"):
            open_any(file)


def test_what_is_cut_longer_or_changed_is_refused(large: Large, tmp_path: Path) -> None:
    sound = large.file.path.read_bytes()
    path = tmp_path / "changed"
    flipped = [
        sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :]
        for at in range(0, len(sound), len(sound) // 40)
    ]
    for raw in (*flipped, sound[:-1], sound + b"\0", sound[:20], sound[: HEADER.size]):
        path.write_bytes(raw)
        with pytest.raises(IndexFileError, match="index"):
            open_any(dataclasses.replace(large.file, path=path))
    for raw in (sound[:-1], sound + b"\0", sound[: HEADER.size]):
        path.write_bytes(raw)
        digest = hashlib.sha256(raw).hexdigest()
        with pytest.raises(IndexFileError, match="bytes"):
            open_any(dataclasses.replace(large.file, path=path, sha256=digest))


def test_another_shape_than_the_rows_is_refused(large: Large) -> None:
    for other in (
        dataclasses.replace(large.file, count=COUNT - 1),
        dataclasses.replace(large.file, dimension=DIMENSION * 2),
    ):
        with pytest.raises(IndexFileError, match="does not hold"):
            open_any(other)


def test_a_build_that_is_stopped_leaves_nothing_and_is_repeated(
    large: Large, tmp_path: Path
) -> None:
    left = 0

    def stop_at_last() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise InterruptedError

    for left in (0, 1, 3, 40, 200):  # noqa: B007 - counted down by each build
        with pytest.raises(InterruptedError):
            build(tmp_path / "index", large.stored, checkpoint=stop_at_last)
        assert list(tmp_path.iterdir()) == []

    assert build(tmp_path / "index", large.stored).sha256 == large.file.sha256


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros((50, 4), np.float16), "no direction"),
        (np.full((50, 4), np.nan, np.float16), "no direction"),
    ],
)
def test_rows_without_direction_are_refused(
    tmp_path: Path, stored: NDArray[np.float16], message: str
) -> None:
    with pytest.raises(IndexFileError, match=message):
        build(tmp_path / "index", stored)
    assert list(tmp_path.iterdir()) == []


def test_as_many_vectors_as_ids_are_needed(tmp_path: Path) -> None:
    for rows in (about_subjects(9), about_subjects(11), about_subjects(10, 8)):
        with pytest.raises(IndexFileError, match=r"vectors"):
            build_index(
                tmp_path / "index",
                np.arange(10),
                [rows],
                dimension=DIMENSION,
                approximate_from=1,
                checkpoint=lambda: None,
            )
    assert list(tmp_path.iterdir()) == []


def test_one_text_in_all_rows_is_one_list_that_is_found(tmp_path: Path) -> None:
    stored = np.repeat(about_subjects(1), 1_000, axis=0)

    index = open_any(build(tmp_path / "index", stored))

    assert index.recall == 1
    assert len(index.search(stored[0].astype(np.float32), 30).ids) == 30


def test_what_eight_bits_cannot_tell_apart_is_compared_exactly(tmp_path: Path) -> None:
    stored = np.zeros((3_000, DIMENSION), np.float32)
    stored[:, 0] = 1
    # All alike but for two that stretch what a step is.
    stored[:, 1:] = 0.003 * np.random.default_rng(1).standard_normal((3_000, DIMENSION - 1))
    stored[0, 1:], stored[1, 1:] = 100, -100

    small = build(tmp_path / "small", about_subjects(100), approximate_from=101)
    file = build(tmp_path / "index", stored.astype(np.float16))

    assert (small.recall, file.recall) == (None, None)
    assert not isinstance(open_any(file), ApproximateIndex)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["index", "small"]
