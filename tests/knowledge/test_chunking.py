from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engines.services.knowledge.chunking import MAX_CHARS, chunk_text

PLAIN, MARKDOWN = "text/plain", "text/markdown"
PARTS = st.sampled_from(
    ["# Head\n", "\n\n", "word ", "End. ", "```\n", "~~~\n", "\t", "x" * 40, "é\r\n"]
)
TEXTS = st.one_of(st.text(), st.lists(PARTS, max_size=60).map("".join))


def visible(text: str) -> str:
    return "".join(text.split())


@given(TEXTS, st.sampled_from([PLAIN, MARKDOWN]), st.integers(1, 120), st.integers(0, 60))
def test_chunks_hold_every_visible_character_once_and_in_order(
    text: str, media_type: str, max_chars: int, min_chars: int
) -> None:
    chunks = chunk_text(text, media_type, max_chars=max_chars, min_chars=min_chars)

    assert visible("".join(chunks)) == visible(text)


@given(TEXTS, st.sampled_from([PLAIN, MARKDOWN]), st.integers(1, 120))
def test_every_chunk_is_visible_and_within_the_bound(
    text: str, media_type: str, max_chars: int
) -> None:
    for chunk in chunk_text(text, media_type, max_chars=max_chars):
        assert chunk.strip() == chunk
        assert 1 <= len(chunk) <= max_chars


@given(TEXTS)
def test_equal_text_gives_equal_chunks(text: str) -> None:
    assert chunk_text(text, MARKDOWN) == chunk_text(text, MARKDOWN)


def test_text_without_visible_characters_gives_no_chunk() -> None:
    assert chunk_text(" \n\t\r\n ", PLAIN) == []


def test_paragraphs_that_fit_share_a_chunk_and_stay_whole() -> None:
    assert chunk_text("one\n\ntwo\n \nthree", PLAIN, max_chars=9) == ["one\n\ntwo", "three"]


def test_a_long_paragraph_is_cut_behind_a_sentence() -> None:
    text = "First sentence here. Second one is longer than it."

    assert chunk_text(text, PLAIN, max_chars=30) == [
        "First sentence here.",
        "Second one is longer than it.",
    ]


def test_a_word_longer_than_a_chunk_is_cut_anywhere() -> None:
    assert chunk_text("abcdefghij", PLAIN, max_chars=4) == ["abcd", "efgh", "ij"]


def test_a_markdown_heading_goes_with_the_text_it_announces() -> None:
    text = "intro text\n\n## Colours\n\nred and green and blue"

    assert chunk_text(text, MARKDOWN, max_chars=40, min_chars=30) == [
        "intro text",
        "## Colours\n\nred and green and blue",
    ]


def test_a_new_section_opens_a_new_chunk_once_the_last_is_long_enough() -> None:
    text = "# A\nlong enough already\n# B\nnext"

    assert chunk_text(text, MARKDOWN, min_chars=10) == ["# A\nlong enough already", "# B\nnext"]
    assert chunk_text(text, PLAIN) == [text]


def test_fenced_code_with_blank_lines_and_comments_stays_whole() -> None:
    code = "```python\n# not a heading\n\nx = 1\n```"

    assert chunk_text(f"{'before ' * 10}\n\n{code}", MARKDOWN, max_chars=72) == [
        ("before " * 10).strip(),
        code,
    ]


def test_a_large_text_of_one_line_keeps_the_default_bound() -> None:
    chunks = chunk_text("word " * 200_000, PLAIN)

    assert max(map(len, chunks)) <= MAX_CHARS
    assert sum(len(chunk.split()) for chunk in chunks) == 200_000
