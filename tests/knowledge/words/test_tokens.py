from __future__ import annotations

import pytest

from engines.services.knowledge.words.languages import detect_language
from engines.services.knowledge.words.tokens import MAX_WORD_CHARS, fold, list_pieces, split_words
from tests.knowledge.words.facts import FACTS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The ROOF, of 1987!", ["the", "roof", "of", "1987"]),
        ("café CAFE\u0301 ＣＡＦＥ", ["cafe", "cafe", "cafe"]),
        ("Straße İstanbul", ["strasse", "istanbul"]),
        ("co\u00adoperate zero\u200bwidth", ["cooperate", "zerowidth"]),
        ("tel. +49 (30) 555-12_34", ["tel", "49", "30", "555", "12", "34"]),
        ("١٢٣ १२३", ["123", "123"]),
        ("iPhoneを買う", ["iphone", "を買う"]),
        ("पुस्तकें रखी", ["पुस्तकें", "रखी"]),
        ("مَكْتَبَة", ["مكتبة"]),
        ("کتاب یہاں كتاب يهاں", ["كتاب", "يهاں"] * 2),
        ("Łódź ISPARTA ısparta Đà", ["lodz", "isparta", "isparta", "da"]),
        ("œuvre oeuvre п'ять пʼять п’ять", ["oeuvre", "oeuvre", *["п", "ять"] * 3]),
        ("അവൻ അവന്\u200d", ["അവന്"] * 2),
        ("উৎসব উত্\u200dসব", ["উত্সব"] * 2),
        ("น้ำ นํ้า", [fold("น้ำ")] * 2),
        ("1\ufe0f\u20e3 葛\U000e0100城", ["1", "葛城"]),
        ("' & | ! : * <-> \\ \0 \ud800", []),
        ("", []),
    ],
)
def test_a_text_is_cut_into_words_of_one_spelling(text: str, words: list[str]) -> None:
    assert list(split_words(text)) == words


@pytest.mark.parametrize(
    ("word", "kept", "asked"),
    [
        ("roof", ["roof"], ["roof"]),
        ("图书馆", ["图", "书", "馆", "图书", "书馆"], ["图书", "书馆"]),
        ("猫", ["猫"], ["猫"]),
        ("도서관은", ["도", "서", "관", "은", "도서", "서관", "관은"], ["도서", "서관", "관은"]),
        ("กขค", ["กข", "ขค", "กขค"], ["กขค"]),
        ("น้ำ", ["น้ำ"], ["น้ำ"]),
    ],
)
def test_scripts_without_blanks_are_compared_by_pieces(
    word: str, kept: list[str], asked: list[str]
) -> None:
    [run] = split_words(word)

    assert list_pieces(run) == [fold(piece) for piece in kept]
    assert list_pieces(run, asked=True) == [fold(piece) for piece in asked]


def test_a_word_without_end_is_compared_by_its_beginning() -> None:
    assert [len(piece) for piece in list_pieces("a" * 100_000)] == [MAX_WORD_CHARS]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.language or "none")
def test_the_language_of_a_passage_is_told(fact: tuple[str, str, str]) -> None:
    language, text, _ = fact

    assert detect_language(list(split_words(text))) == language
