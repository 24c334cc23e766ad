from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.exceptions import IndexFileError
from engines.vectors import Hits, merge_hits, search_flat, write_index
from tests.vectors.conftest import Built, cosines, open_described, some_vectors


def test_twenty_thousand_rows_are_searched_as_by_brute_force(build: Callable[..., Built]) -> None:
    built = build(20_000, 384)
    index = built.open()

    queries = some_vectors(20, 384, seed=9).astype(np.float32)
    for query, expected in zip(queries, cosines(queries, built.stored), strict=True):
        order = np.lexsort((built.ids, -expected))[:10]
        hits = index.search(query, 10)
        assert hits.ids.tolist() == built.ids[order].tolist()
        assert np.abs(hits.scores - expected[order]).max() < 1e-6


def test_a_row_finds_itself_with_cosine_one(build: Callable[..., Built]) -> None:
    built = build(500)
    hits = built.open().search(built.stored[123].astype(np.float32) * 40, 1)

    assert hits.ids.tolist() == [built.ids[123]]
    assert abs(hits.scores[0] - 1) < 1e-6


def test_excluded_rows_never_come_back_and_the_next_ones_do(build: Callable[..., Built]) -> None:
    built = build(2_000)
    index = built.open()
    query = some_vectors(1, 16, seed=9)[0].astype(np.float32)
    ranked = index.search(query, 2_000).ids

    hits = index.search(query, 10, exclude=ranked[:1500:2])

    assert hits.ids.tolist() == ranked[1:20:2].tolist()
    assert index.search(query, 10, exclude=ranked).ids.tolist() == []
    assert index.search(query, 10, exclude=ranked[3:]).ids.tolist() == ranked[:3].tolist()
    assert (
        index.search(query, 3, exclude=np.array([], np.int64)).ids.tolist() == ranked[:3].tolist()
    )
    assert index.search(query, 3).ids.tolist() == ranked[:3].tolist()


def test_a_text_that_repeats_gives_the_lowest_ids_first(tmp_path: Path) -> None:
    vectors = some_vectors(300, 8)
    vectors[40:240] = vectors[40]
    ids = np.arange(300, dtype=np.int64)
    index = open_described(write_index(tmp_path / "i", ids, [vectors], dimension=8))

    hits = index.search(vectors[40].astype(np.float32), 7)

    assert hits.ids.tolist() == list(range(40, 47))
    assert len(set(hits.scores.tolist())) == 1


def test_an_empty_index_answers_with_nothing(build: Callable[..., Built]) -> None:
    index = build(0).open()

    assert (index.count, index.ids().shape, index.vectors().shape) == (0, (0,), (0, 16))
    assert index.search(np.ones(16, np.float32), 5).ids.tolist() == []


@pytest.mark.parametrize("k", [0, -3])
def test_asking_for_no_hits_gives_none(build: Callable[..., Built], k: int) -> None:
    assert build(10).open().search(np.ones(16, np.float32), k).ids.tolist() == []


def test_asking_for_more_than_there_is_gives_all(build: Callable[..., Built]) -> None:
    built = build(10)

    assert sorted(built.open().search(np.ones(16, np.float32), 10**12).ids) == built.ids.tolist()


@pytest.mark.parametrize(
    "query",
    [
        np.ones(15),
        np.ones(17),
        np.ones((1, 16)),
        np.zeros(16),
        np.full(16, np.nan),
        np.full(16, np.inf),
    ],
)
def test_a_query_that_cannot_be_compared_is_refused(
    build: Callable[..., Built], query: np.ndarray
) -> None:
    index = build(10).open()

    with pytest.raises(IndexFileError):
        index.search(query, 3)

    assert len(index.search(np.ones(16, np.float32), 3).ids) == 3


def test_many_threads_search_at_once_and_all_answers_are_right(build: Callable[..., Built]) -> None:
    built = build(5_000, 32)
    index = built.open()
    queries = some_vectors(64, 32, seed=9).astype(np.float32)
    expected = [index.search(query, 5).ids.tolist() for query in queries]
    together = threading.Barrier(8)

    def search_all(_: int) -> list[list[int]]:
        together.wait()
        return [index.search(query, 5, exclude=np.array([4])).ids.tolist() for query in queries]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(search_all, range(8)))

    assert answers == [expected] * 8


def test_a_search_uses_one_thread_whichever_thread_asks(build: Callable[..., Built]) -> None:
    index = build(10).open()

    def threads_after_search() -> int:
        faiss.omp_set_num_threads(2)
        index.search(np.ones(16, np.float32), 1)
        return int(faiss.omp_get_max_threads())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(threads_after_search).result() == 1


def test_a_delta_scores_exactly_as_the_file_does(build: Callable[..., Built]) -> None:
    built = build(400, 384)
    query = some_vectors(1, 384, seed=9)[0].astype(np.float32)
    from_file = built.open().search(query, 400)

    from_rows = search_flat(query, built.ids, built.stored, 400)
    one_by_one = merge_hits(
        [search_flat(query, built.ids[[at]], built.stored[[at]], 1) for at in range(400)], 400
    )

    assert from_rows.ids.tolist() == from_file.ids.tolist() == one_by_one.ids.tolist()
    assert from_rows.scores.tolist() == from_file.scores.tolist() == one_by_one.scores.tolist()


def test_an_empty_delta_has_no_hits() -> None:
    hits = search_flat(np.ones(8), np.empty(0, np.int64), np.empty((0, 8), np.float16), 5)

    assert hits.ids.tolist() == []


def test_a_delta_whose_parts_do_not_fit_is_refused() -> None:
    with pytest.raises(IndexFileError, match="2 ids do not belong"):
        search_flat(np.ones(8), np.array([1, 2]), np.ones((3, 8)), 5)
    with pytest.raises(IndexFileError, match="own embedder"):
        search_flat(np.ones(7), np.array([1]), np.ones((1, 8)), 5)
    with pytest.raises(IndexFileError, match="all zeros"):
        search_flat(np.ones(8), np.array([1]), np.zeros((1, 8)), 5)


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.1, 0.5, 0.9])), max_size=12),
        max_size=4,
    ),
    k=st.integers(0, 20),
)
def test_merged_hits_are_the_best_of_each_id_by_score_then_id(
    parts: list[list[tuple[int, float]]], k: int
) -> None:
    hits = [
        Hits(
            np.array([one for one, _ in part], np.int64), np.array([s for _, s in part], np.float64)
        )
        for part in parts
    ]
    best: dict[int, float] = {}
    for one, score in (pair for part in parts for pair in part):
        best[one] = max(score, best.get(one, -1.0))

    merged = merge_hits(hits, k)

    expected = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
    assert list(zip(merged.ids.tolist(), merged.scores.tolist(), strict=True)) == expected
