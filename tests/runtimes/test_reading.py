"""Windows of texts that are longer than a model reads."""

from __future__ import annotations

import numpy as np
import pytest

from engines.runtimes.reading import MAX_WINDOWS, frame_of, join_windows

OPEN, CLOSE, PREFIX = 101, 102, 7


@pytest.mark.parametrize(
    ("empty", "prefix", "limit", "windows"),
    [
        ([OPEN, CLOSE], [], 6, [[OPEN, 1, 2, 3, CLOSE], [OPEN, 4, 5, 6, CLOSE]]),
        ([OPEN, CLOSE], [], 8, [[OPEN, 1, 2, 3, 4, 5, 6, CLOSE]]),
        # The prefix says what each window is.
        (
            [OPEN, CLOSE],
            [OPEN, PREFIX, CLOSE],
            6,
            [[OPEN, PREFIX, 1, 2, 3, CLOSE], [OPEN, PREFIX, 4, 5, 6, CLOSE]],
        ),
        ([], [], 4, [[1, 2, 3], [4, 5, 6]]),
        ([CLOSE], [], 4, [[1, 2, 3, CLOSE], [4, 5, 6, CLOSE]]),
        # Where nothing else has room, the beginning alone.
        ([OPEN, CLOSE], [], 2, [[OPEN, 1]]),
    ],
)
def test_each_window_is_framed_and_none_is_too_long(
    empty: list[int], prefix: list[int], limit: int, windows: list[list[int]]
) -> None:
    frame = frame_of(empty, prefix, {CLOSE})
    tokens = [*frame.opening, 1, 2, 3, 4, 5, 6, *frame.closing]

    found = frame.split(tokens, limit)

    assert found == windows
    assert max(map(len, found)) <= limit


def test_a_prefix_that_grew_into_the_first_word_is_left_out_of_the_windows() -> None:
    frame = frame_of([OPEN, CLOSE], [OPEN, PREFIX, CLOSE], {CLOSE})

    assert frame.split([OPEN, 1, 2, 3, CLOSE], 4) == [[OPEN, 1, CLOSE], [OPEN, 2, 3, CLOSE]]


def test_a_text_without_end_has_so_many_windows_and_no_more() -> None:
    frame = frame_of([OPEN, CLOSE], [], {CLOSE})

    found = frame.split([OPEN, *range(100_000), CLOSE], 12)

    assert len(found) == MAX_WINDOWS
    assert found[-1][-2] == MAX_WINDOWS * 10 - 1


def test_the_vector_of_windows_is_their_mean_and_none_where_one_has_none() -> None:
    rows = [np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)]

    joined = join_windows([(rows[0], 10), (rows[1], 10)], normalise=True)

    assert joined is not None
    np.testing.assert_allclose(joined, [0.5**0.5] * 2, atol=1e-6)
    assert join_windows([(rows[0], 10), (None, 10)], normalise=True) is None
    assert join_windows([(rows[0], 10)], normalise=True) is rows[0]
