"""Search by words against the real PostgreSQL: every script, filters, deletion, and what was there before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F

from engines.models import Chunk, Fingerprint, KnowledgeBase, PassageWords
from engines.services.knowledge.documents import (
    add_document,
    delete_base,
    delete_document,
    update_document,
)
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter
from engines.services.knowledge.words import search as word_search
from engines.services.knowledge.words.question import read_question
from engines.services.knowledge.words.rows import fill_words, store_words
from engines.services.knowledge.words.search import search_words
from tests.knowledge.words.facts import FACTS
from tests.knowledge.world import add, fill, make_base

pytestmark = pytest.mark.django_db


def found(question: str, *bases: KnowledgeBase, narrowed: SearchFilter = EVERYTHING) -> list[str]:
    hits = search_words(question, [base.pk for base in bases], 5, narrowed)
    texts = dict(Chunk.objects.values_list("pk", "text"))
    return [texts[hit.chunk_id] for hit in hits]


def test_each_fact_is_the_first_that_its_question_finds_in_every_script(
    base: KnowledgeBase, owner: User, space: Fingerprint
) -> None:
    for fact in FACTS:
        add(base, fact.text)
    other = make_base(User.objects.create_user("eve"), space, "Other")
    add(other, "\n".join(fact.text for fact in FACTS))

    assert {fact.language: found(fact.question, base)[:1] for fact in FACTS} == {
        fact.language: [fact.text] for fact in FACTS
    }
    languages = PassageWords.objects.filter(base=base).values_list("chunk__text", "language")
    assert dict(languages) == {fact.text: fact.language for fact in FACTS}
    assert {hit.base_id for hit in search_words(FACTS[0].question, [other.pk], 5)} == {other.pk}
    assert search_words(FACTS[0].question, [], 5) == []


def test_rare_words_outdo_common_ones_and_equal_passages_come_by_age(base: KnowledgeBase) -> None:
    for number in range(20):
        add(base, f"A minute about the roof and its gutter, number {number}.")
    rare = add(base, "A minute about the roof and its chimney, number 99.")

    assert found("roof chimney", base)[0] == rare.text
    assert found("roof gutter number 7", base)[0].endswith("number 7.")
    assert found("gutter", base)[:2] == [
        "A minute about the roof and its gutter, number 0.",
        "A minute about the roof and its gutter, number 1.",
    ]


def test_words_that_many_passages_have_are_found_where_they_stand_together(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIN_FOUND", "MAX_READ"):
        monkeypatch.setattr(word_search, name, 5)
    lines = [f"Alpha {n}.\n" for n in range(12)] + [f"Beta {n}.\n" for n in range(12)]
    for line in lines:
        add(base, line)
    both = add(base, "Here beta follows after alpha at last.")

    assert found("alpha beta", base)[0] == both.text
    # The rarer of two common words is read, the other where it is all there is, and both in one document.
    assert set(found("alpha", base)) <= {text.strip() for text in [*lines[:12], both.text]}
    last = base.documents.get(pk=both.pk - 1)
    assert found("alpha beta", base, narrowed=SearchFilter(documents=[last.pk])) == ["Beta 11."]


def test_numbers_and_umlauts_are_found_however_they_are_written(base: KnowledgeBase) -> None:
    for text in (
        "Der Verein zahlt 12.500,00 Euro und die Miete.",
        "Der Verein hat 34500 Mitglieder und die Halle.",
        "Der Verein schuldet 56 700 Franken und die Raten.",
        "Die Müllers wohnen in der Gasse und das ist alles.",
        "Herr Schroeder kommt und das ist der Rest.",
    ):
        add(base, text)

    def first(question: str) -> str:
        return found(question, base)[0]

    assert {
        first(number) for number in ("12500", "12 500", "12,500.00", "12\u202f500", "12'500")
    } == {"Der Verein zahlt 12.500,00 Euro und die Miete."}
    assert first("34.500") == first("34 500") == "Der Verein hat 34500 Mitglieder und die Halle."
    assert first("56700") == "Der Verein schuldet 56 700 Franken und die Raten."
    assert first("Mueller") == "Die Müllers wohnen in der Gasse und das ist alles."
    assert first("Schröder") == "Herr Schroeder kommt und das ist der Rest."


def test_filters_hold_and_a_text_is_found_once(base: KnowledgeBase, space: Fingerprint) -> None:
    first, again = add(base, "the same harbour"), add(base, "the same harbour")
    other = add(base, "another harbour")

    assert found("harbour", base) == ["another harbour", "the same harbour"]
    [hit] = search_words("harbour", [base.pk], 5, SearchFilter(documents=[again.pk]))
    assert hit.chunk_id == again.chunks.get().pk
    past = SearchFilter(updated_before=first.updated_at)
    assert found("harbour", base, narrowed=past) == []
    later = SearchFilter(updated_after=other.updated_at)
    assert found("harbour", base, narrowed=later) == ["another harbour"]
    assert found("harbour", base, narrowed=SearchFilter(bases=[base.pk + 1])) == []


def test_what_is_deleted_or_rewritten_leaves_no_word(base: KnowledgeBase) -> None:
    gone, changed = add(base, "a lighthouse keeper"), add(base, "a lighthouse boat")
    delete_document(gone.pk)
    update_document(changed.pk, text="a rowing boat")

    assert found("lighthouse", base) == []
    assert found("rowing", base) == ["a rowing boat"]
    assert PassageWords.objects.count() == 1
    delete_base(base.pk)
    assert not PassageWords.objects.exists()


def test_passages_from_before_get_their_words_page_by_page(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.services.knowledge.words.rows.PAGE", 4)
    fill(base, 10)
    add(base, "a text that knows its words")
    Chunk.objects.filter(text="text 3").update(document=None, text="", deleted_seq=99)

    assert found("text 9", base) == ["a text that knows its words"]
    assert fill_words(pages=2) == 8
    assert KnowledgeBase.objects.filter(words_seq__lt=F("write_seq")).exists()
    assert fill_words(pages=2) == 1
    assert fill_words(pages=9) == 0
    assert not KnowledgeBase.objects.filter(words_seq__lt=F("write_seq")).exists()
    assert found("text 9", base)[0] == "text 9"
    assert PassageWords.objects.count() == Chunk.objects.filter(deleted_seq=None).count() == 10
    # From now on nothing lags: who writes brings the words along.
    add(base, "one more")
    assert fill_words(pages=9) == 0


@pytest.mark.django_db(transaction=True)
def test_others_who_write_to_a_base_do_not_wait_for_the_words_of_a_long_text(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.services.knowledge.writing.AT_ONCE", 3)
    monkeypatch.setattr("engines.services.knowledge.words.rows.PAGE", 2)
    free: list[bool] = []

    def store(chunks: Sequence[Chunk]) -> None:
        free.append(not connection.in_atomic_block)
        store_words(chunks)

    monkeypatch.setattr("engines.services.knowledge.words.rows.store_words", store)
    pages = "\n\n".join(f"{f'page {number} of the harbour. ' * 40}" for number in range(5))

    document = add_document(base.pk, title="Long", text=pages)
    update_document(document.pk, text=pages.replace("harbour", "lighthouse"))

    assert set(free) == {True}
    assert found("harbour", base) == []
    assert "page 4 of the lighthouse" in found("page 4 of the lighthouse", base)[0]
    assert PassageWords.objects.count() == Chunk.objects.filter(deleted_seq=None).count()
    assert not KnowledgeBase.objects.filter(words_seq__lt=F("write_seq")).exists()


def test_an_update_makes_the_words_anew_that_are_spelled_in_more_ways_now(
    base: KnowledgeBase,
) -> None:
    for text in ("the roof of Łódź", "بنی کتاب", "the roof of Lodge", "อำนาจ"):
        add(base, text)
    before = dict(PassageWords.objects.values_list("chunk__text", "words"))

    with connection.cursor() as cursor:
        cursor.execute(import_module("engines.migrations.0028_words_in_more_spellings").FORGET)

    kept = set(PassageWords.objects.values_list("chunk__text", flat=True))
    assert kept == {"the roof of Lodge", "อำนาจ"}
    assert fill_words(pages=9) == 2
    assert dict(PassageWords.objects.values_list("chunk__text", "words")) == before
    assert found("lodz", base) == ["the roof of Łódź"]
    assert found("كتاب", base) == ["بنی کتاب"]


HOSTILE = {
    "operators": "a & b | !c <-> d:* ('e' \"f\" \\ -g) 'roof",
    "sql": "'; DROP TABLE engines_chunk; -- roof %s %b {0}",
    "marks of ours": "#b1 #d1 en:roof",
    "NUL and half a character": "roof\0\ud83d",
    "nothing": " ' \u200b\u00ad \U000e0001",
    "long word": "r" * 100_000,
    "many words": " ".join(f"w{n}" for n in range(20_000)) + " roof",
    "many letters": "屋頂" * 50_000,
    "accents": "e" + "\u0301" * 50_000,
    "joined": "\u0e01\u0e33" * 30_000,
}


@pytest.mark.parametrize("question", HOSTILE.values(), ids=HOSTILE)
def test_no_question_is_an_order(base: KnowledgeBase, space: Fingerprint, question: str) -> None:
    add(base, "the roof of the house")
    other = make_base(User.objects.create_user("eve"), space, "Other")
    add(other, "another roof")

    hits = search_words(question, [base.pk], 5)

    assert {hit.base_id for hit in hits} <= {base.pk}
    assert len(read_question(question, [base.pk])) <= 48
    assert Chunk.objects.count() == 2


def test_a_hostile_passage_is_stored_and_found(base: KnowledgeBase) -> None:
    text = "#b999999 'quoted' \\ back ' or 1=1 -- :* " + "é" * 3000 + " harbour"
    add_document(base.pk, title="Odd", text=text)

    assert found("harbour", base)
    assert not search_words("harbour", [999_999], 5)


@pytest.fixture
def crowd(base: KnowledgeBase) -> KnowledgeBase:
    fill(base, 3000)
    fill_words(pages=9)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE engines_passagewords")
    return base


def test_words_are_looked_up_in_their_index(crowd: KnowledgeBase) -> None:
    """Common and rare: neither reads the table, whatever the planner thinks of it."""
    with connection.cursor() as cursor:
        cursor.execute(word_search._BY_INDEX.replace("%b", "%s"), ["off", "off"])
        statement = word_search._FOUND.replace("%b", "%s")
        values: list[Any] = [f"'#b{crowd.pk}'", 2000, ["'text'", "'2999'"]]
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(word_search._BY_INDEX.replace("%b", "%s"), ["on", "on"])

    assert "Bitmap Index Scan on words_by_word" in plan, plan
    assert not re.search(r"Seq Scan", plan), plan
    assert found("text 2999", crowd)[0] == "text 2999"


def test_the_one_passage_with_a_number_is_first_however_many_others_have_its_other_words(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lists of the other words are read in part, and it stands in none of those parts."""
    for name, bound in {"MIN_FOUND": 10, "MAX_READ": 40, "MAX_COUNTED": 200}.items():
        monkeypatch.setattr(word_search, name, bound)
    lines = (
        *("harbour ferry lantern rope", "anchor tide pilot signal"),
        *("winter bread oven flour", "garden spade apple fence"),
    )
    for number in range(12):
        for line in lines:
            add(base, f"{line} {number}")
    fill(base, 400, first=1000)
    fill_words(pages=9)
    case = add(base, f"{' '.join(lines)} 56838")

    assert found(case.text, base)[0] == case.text
