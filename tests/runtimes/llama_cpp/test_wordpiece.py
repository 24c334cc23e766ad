from __future__ import annotations

import unicodedata

import pytest

from engines.runtimes.text.wordpiece import MAX_WORD_CHARS, Marks, Spelling, WordPieces

OPENING, CLOSING, UNKNOWN = 1, 2, 3
MARKS = Marks(OPENING, CLOSING, UNKNOWN)
SYLLABLE = unicodedata.normalize("NFD", "한")
VOCABULARY = [
    *("▁sea", "▁seas", "side", "s", "▁cafe", "▁Cafe", "▁=", "▁,", "▁?", "▁日", "▁本"),
    *("▁म", "ि", "▁" + SYLLABLE[0], SYLLABLE[1], SYLLABLE[2], "▁σ", "σ", "▁["),
]
WORDS = dict(enumerate(VOCABULARY, 10))
UNCASED = WordPieces(WORDS, MARKS, Spelling())
CASED = WordPieces(WORDS, MARKS, Spelling(lowercase=False, strip_accents=False))


def _read(text: str, pieces: WordPieces = UNCASED) -> list[str]:
    return [WORDS.get(token, "?") for token in pieces.tokens(text, add_special=False)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("sea seas seaside", ["▁sea", "▁seas", "?"]),
        ("seasside", ["▁seas", "side"]),
        ("Sea,SEAS", ["▁sea", "▁,", "▁seas"]),
        ("cafe\u0301 CAFÉ", ["▁cafe", "▁cafe"]),
        ("日本 sea日", ["▁日", "▁本", "▁sea", "▁日"]),
        ("한", ["▁" + SYLLABLE[0], SYLLABLE[1], SYLLABLE[2]]),
        ("मि", ["▁म", "ि"]),
        ("≠", ["▁="]),
        ("ΣΣ", ["▁σ", "σ"]),
        ("s\x0bea\u200bs\u00a0sea\u2028sea", ["▁seas", "▁sea", "▁sea"]),
        ("\ud800", ["▁?"]),
        ("", []),
        (" \n", []),
    ],
)
def test_text_is_cut_as_the_reference_cuts_it(text: str, pieces: list[str]) -> None:
    assert _read(text) == pieces


def test_word_with_a_part_that_is_no_piece_is_unknown_as_a_whole() -> None:
    assert UNCASED.tokens("sea seaz sea", add_special=False) == [10, UNKNOWN, 10]


def test_word_beyond_the_references_limit_is_unknown() -> None:
    longest = "sea" + "s" * (MAX_WORD_CHARS - 3)

    assert UNCASED.tokens(longest, add_special=False)[0] == 11
    assert UNCASED.tokens(longest + "s", add_special=False) == [UNKNOWN]


def test_cased_vocabulary_keeps_case_and_accents() -> None:
    assert _read("Cafe", CASED) == ["▁Cafe"]
    assert CASED.tokens("cafe\u0301", add_special=False) == [UNKNOWN]


def test_special_tokens_are_added_and_never_read_from_text() -> None:
    assert UNCASED.tokens("sea", add_special=True) == [OPENING, 10, CLOSING]
    assert UNCASED.tokens("[", add_special=True) == [OPENING, 28, CLOSING]
    assert UNCASED.tokens("", add_special=True) == [OPENING, CLOSING]
