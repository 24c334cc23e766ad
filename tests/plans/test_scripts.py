"""A language that the new embedder does not know: a tenth of a base is lost in no mean, and nobody is switched unasked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from numpy.typing import NDArray

from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.reading import Frame, TokenReading
from engines.services.knowledge.documents import add_document, create_base
from engines.services.people.search_history import remember_search, set_history_kept
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from migrations_app.steps.excerpts import cut_middle
from migrations_app.steps.scripts import script_of
from tests.plans.test_meaning import (  # noqa: F401
    DIMENSION,
    host,
    lent,
    moved,
    place,
    proof_of,
    state,
)
from worker.steps.runner import StepFailedError

ENGLISH = [
    "roof",
    "garden",
    "library",
    "budget",
    "winter",
    "harbour",
    "letter",
    "music",
    "window",
    "bridge",
]
THAI = [
    "หลังคา",
    "สวน",
    "ห้องสมุด",
    "งบประมาณ",
    "ฤดูหนาว",
    "ท่าเรือ",
    "จดหมาย",
    "ดนตรี",
    "หน้าต่าง",
    "สะพาน",
]


class Trigrams:
    """Embeds any script by its characters in threes; ``reads`` says which characters it has tokens for."""

    def __init__(self, reads: Callable[[str], bool] = lambda _c: True) -> None:
        self._reads = reads

    def vector(self, text: str) -> NDArray[np.float32]:
        words = "".join(text.split()).lower()
        known = "".join(c for c in words if self._reads(c))
        row = np.full(DIMENSION, 1e-6, dtype=np.float32)
        for at in range(max(len(known) - 2, 0)):
            row[
                int.from_bytes(hashlib.sha256(known[at : at + 3].encode()).digest()[:4]) % DIMENSION
            ] += 1
        return row / np.linalg.norm(row)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self.vector(text)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        return EmbeddingBatch(np.stack([self.vector(text) for text in texts]), {})

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading]:
        """A word is a token, and unknown when a character of it is."""
        frame = Frame([1], [2])
        words = [[w if self._reads(w) else "" for w in text.split()] for text in texts]
        tokens = [[1, *(hash(w) if w else 0 for w in one), 2] for one in words]
        return [frame.read(one, {0}, 100) for one in tokens]


@pytest.fixture
def engines() -> dict[str, Any]:
    """Two embedders: one that reads every script, and one with tokens for ASCII alone."""
    return {"many": Trigrams(), "english": Trigrams(str.isascii)}


@pytest.fixture
def ada(place: Callable[[str], None]) -> User:  # noqa: F811
    """Ada, on the embedder of many scripts, with a base whose tenth part is in Thai."""
    place("many")
    place("english")
    user = User.objects.create_user("ada")
    base = create_base(owner=user, name="Notes")
    for number in range(117):
        seeds = [
            f"{word} {hashlib.sha256(f'{word}{number}'.encode()).hexdigest()[:12]}"
            for word in ENGLISH
        ]
        add_document(
            base.pk, title=f"English {number}", text=f"Note {number}: {' and '.join(seeds)}."
        )
    for number in range(13):
        words = [THAI[(number * 7 + step * step) % 10] for step in range(12)]
        digits = "".join(chr(0x0E50 + int(d)) for d in f"{number * 7919 % 10**6:06d}")
        add_document(
            base.pk,
            title=f"Thai {number}",
            text="".join(w + digits[n % 6] for n, w in enumerate(words)),
        )
    moved(user, "many")
    return user


def test_a_tenth_in_thai_stops_the_plan_unless_its_loss_is_accepted(ada: User) -> None:
    with pytest.raises(
        StepFailedError,
        match="13 of 130 passages are in Thai, which this embedder does not know: 13 of 13 tokens",
    ) as refusal:
        moved(ada, "english")

    said = str(refusal.value)
    assert "plans again and accepts losses" in said
    stopped = Plan.objects.get(to_engine__model_id="chat-english")
    assert (stopped.status, state(ada)) == (PlanStatus.FAILED, ("many",))

    set_history_kept(ada, kept=True)
    remember_search(ada, "garden and budget")
    remember_search(ada, "ห้องสมุด")
    plan = moved(ada, "english", accept_losses=True)

    (proof,) = proof_of(plan)["indexes"]
    assert (plan.status, state(ada)) == (PlanStatus.COMPLETED, ("english",))
    assert "Accepted: " in plan.steps.get(kind="probe").detail
    assert "13 of 130 passages are in Thai" in proof["accepted"][0]
    assert "does not understand Thai" in proof["accepted"][1]
    # All that was counted is named in the result, accepted or not.
    counted = proof["tokens"]
    assert (counted["passages"], counted["is_whole"]) == (130, True)
    thai, latin = counted["scripts"]["Thai"], counted["scripts"]["Latin"]
    assert (thai["passages"], thai["unknown"], thai["unknown_tokens"], thai["alike"]) == (
        13,
        13,
        13,
        13,
    )
    assert (latin["passages"], latin["unknown"], latin["alike"]) == (117, 0, 0)
    assert (
        "13 different texts have the very tokens of another text"
        in plan.steps.get(kind="probe").detail
    )
    assert set(proof["scripts"]) == {"Thai", "Latin"}
    assert proof["scripts"]["Thai"]["old_found"] > proof["scripts"]["Thai"]["found"]
    assert proof["scripts"]["Latin"]["old_found"] == proof["scripts"]["Latin"]["found"]
    # Every Thai text is one and the same to it.
    assert proof["same_vectors"]["Thai"] == proof["scripts"]["Thai"]["compared"]
    assert "Latin" not in proof["same_vectors"]
    assert proof["scripts"]["Thai"]["bound"] == 0.005
    require_told(ada, plan, proof["quality"])


def require_told(ada: User, plan: Plan, quality: Any) -> None:
    """The result tells how well is found: numbers kept with the step, on the page and over REST."""
    assert quality["whole"]["recall"] < quality["whole"]["old_recall"]
    assert quality["scripts"]["Thai"]["ndcg"] < quality["scripts"]["Thai"]["old_ndcg"]
    assert quality["own"]["asked"] == 2
    assert 0 < quality["own"]["recall"] < 1
    browser = Client()
    browser.force_login(ada)
    page = browser.get(f"/migrate/{plan.pk}/result/").content.decode()
    assert "How well it finds" in page
    assert "Of your own 2 latest searches" in page
    assert "Thai 1" in page
    shown = browser.get(f"/api/v1/plans/{plan.pk}").json()["quality"]
    assert shown["scripts"].keys() == {"Latin", "Thai"}
    assert shown["documents"] == quality["documents"]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Die Sitzung ist am Montag.", "Latin"),
        ("ห้องสมุดเปิดเก้าโมง 2026", "Thai"),
        ("図書館は９時に開きます。", "Chinese or Japanese"),
        ("도서관은 아홉 시에 엽니다.", "Korean"),
        ("Библиотека открыта (open)", "Cyrillic"),
        ("12:30 — 14:00", "numbers and signs"),
        ("🏠🌊", "numbers and signs"),
    ],
)
def test_a_text_has_the_script_of_most_of_its_letters(text: str, script: str) -> None:
    assert script_of(text) == script


@pytest.mark.parametrize(
    "text", ["ห้องสมุดเปิดเก้าโมง" * 20, "文" * 90, "one two", "x" * 400, "ก\u0e49\u0e35ก"]
)
def test_a_question_is_never_the_whole_passage(text: str) -> None:
    asked = cut_middle(text)

    assert asked
    assert len(asked) <= len(text) // 2
    assert asked in text
