"""What is counted of a base with an embedder's own tokenizer, before anything is embedded."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User

from engines.models import KnowledgeBase
from engines.runtimes.reading import Frame, TokenReading
from engines.services.knowledge.documents import add_document, create_base, delete_document
from migrations_app.steps import token_losses
from migrations_app.steps.token_losses import (
    AS_BEFORE,
    TokenLosses,
    count_token_losses,
    list_unknown_scripts,
    say_known_before,
)

pytestmark = pytest.mark.django_db


class Words:
    """One token for each word; it knows what is in ASCII, or everything, and reads ten tokens at once."""

    def __init__(self, *, knows_all: bool = False) -> None:
        self._knows_all = knows_all

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading]:
        frame = Frame([1], [2])
        return [
            frame.read([1, *map(self._token, text.split()), 2], {0}, limit=10) for text in texts
        ]

    def _token(self, word: str) -> int:
        return 3 + sum(map(ord, word)) if self._knows_all or word.isascii() else 0


class Server:
    """Embeds elsewhere, and says nothing of its tokens."""

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading] | None:
        return None


@pytest.fixture
def base() -> KnowledgeBase:
    base = create_base(owner=User.objects.create_user("ada"), name="Notes")
    texts = [f"ห้องสมุดเปิด {'ก' * n}" for n in range(1, 9)]
    texts += ["the roof", "the roof", "the garden with ตลาด", "one two three " * 4]
    for number, text in enumerate(texts):
        add_document(base.pk, title=f"Note {number}", text=text)
    gone = add_document(base.pk, title="Gone", text="Библиотека открыта")
    delete_document(gone.pk)
    return base


def count(base: KnowledgeBase, embedder: object, until: float | None = None) -> TokenLosses | None:
    return count_token_losses([base.pk], embedder, lambda: None, until=until)


def test_unknown_long_and_equal_texts_are_counted_by_script(base: KnowledgeBase) -> None:
    found = count(base, Words())

    assert found is not None
    # Two documents with one text have one vector; deleted ones have none.
    assert (found["passages"], found["is_whole"], set(found["scripts"])) == (
        11,
        True,
        {"Thai", "Latin"},
    )
    thai, latin = found["scripts"]["Thai"], found["scripts"]["Latin"]
    assert (thai["passages"], thai["unknown"], thai["alike"]) == (8, 8, 8)
    assert (thai["tokens"], thai["unknown_tokens"]) == (32, 16)
    # One foreign word in four is no reason to call a passage unknown.
    assert (latin["unknown"], latin["unknown_tokens"], latin["alike"]) == (0, 1, 0)
    assert (latin["long"], latin["tokens_beyond"]) == (1, 4)
    assert found["sentences"] == [
        "8 of 11 passages are in Thai, which this embedder does not know: 16 of 16 tokens there are "
        "unknown to it.",
        "1 of 11 passages are longer than this embedder reads, by 4 tokens together; they are embedded in "
        "parts.",
        "8 different texts have the very tokens of another text, and this embedder cannot tell them apart.",
    ]


def test_only_what_the_old_embedder_knows_is_lost(base: KnowledgeBase) -> None:
    all_known, ascii_only = count(base, Words(knows_all=True)), count(base, Words())

    assert list_unknown_scripts(all_known, ascii_only) == [
        "8 of 11 passages are in Thai, which this embedder does not know: 16 of 16 tokens there are "
        "unknown to it."
    ]
    assert list_unknown_scripts(ascii_only, ascii_only) == []
    assert list_unknown_scripts(ascii_only, all_known) == []
    assert list_unknown_scripts(None, ascii_only) == []


def test_a_script_that_is_known_is_not_called_unknown_for_words_of_another_in_it(
    base: KnowledgeBase,
) -> None:
    add_document(base.pk, title="Mixed", text="Libraries: ไทย ลาว")

    found = count(base, Words())

    assert found is not None
    assert found["sentences"][1] == (
        "1 of 4 passages in Latin are mostly unknown to this embedder, and 3 of all 21 tokens there."
    )


def test_who_knows_no_less_than_before_is_said_to(base: KnowledgeBase) -> None:
    all_known, ascii_only = count(base, Words(knows_all=True)), count(base, Words())
    assert all_known is not None
    assert ascii_only is not None

    assert say_known_before(ascii_only, ascii_only) == [AS_BEFORE]
    assert say_known_before(all_known, ascii_only) == []
    assert say_known_before(None, ascii_only) == []


def test_scripts_with_few_passages_each_are_lost_together(base: KnowledgeBase) -> None:
    for number, text in enumerate(
        ["бібліотека", "დახურვა", "կտուր", "στέγη", "גג הבית", "сад", "ბაღი"]
    ):
        add_document(base.pk, title=f"Few {number}", text=text)
        if number == 5:
            assert (
                len(list_unknown_scripts(count(base, Words(knows_all=True)), count(base, Words())))
                == 1
            )

    _, together = list_unknown_scripts(count(base, Words(knows_all=True)), count(base, Words()))

    assert together == (
        "7 of 18 passages are in scripts that this embedder does not know, with few passages each: "
        "Armenian, Cyrillic, Georgian, Greek, Hebrew."
    )


def test_nothing_is_made_up_where_nobody_can_count(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count(base, Server()) is None
    assert count(base, object()) is None
    # Who was late to begin counts a page all the same: of none there is nothing to say.
    monkeypatch.setattr(token_losses, "PAGE", 4)
    late = count(base, Words(), until=time.monotonic() - 1)
    assert late is not None
    assert (late["passages"], late["is_whole"]) == (4, False)
