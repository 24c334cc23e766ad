from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.runtimes.text.stop_words import ByteJoiner, StopWords


@given(st.text(), st.integers(1, 5))
def test_any_cut_of_the_bytes_gives_the_text_back(text: str, size: int) -> None:
    data = text.encode("utf-8", "replace")
    stream = ByteJoiner()

    pieces = [stream.add(data[start : start + size]) for start in range(0, len(data), size)]

    assert "".join(pieces) + stream.finish() == data.decode()


@given(
    st.text("ab", max_size=30),
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(1, 4),
)
def test_text_ends_at_the_first_stop_word_however_it_is_cut(
    text: str, words: list[str], size: int
) -> None:
    stream = StopWords(words)

    shown = "".join(stream.add(text[start : start + size]) for start in range(0, len(text), size))
    shown += stream.finish()

    assert not any(word in shown for word in words)
    assert text.startswith(shown)
    assert stream.stopped is any(word in text for word in words)
    assert stream.stopped or shown == text


@pytest.mark.parametrize("data", [b"\xf0\x9f", b"\xff\xfe"])
def test_broken_bytes_become_replacement_characters(data: bytes) -> None:
    stream = ByteJoiner()

    shown = stream.add(b"a" + data) + stream.finish()

    assert shown.startswith("a")
    assert set(shown[1:]) == {"\ufffd"}
