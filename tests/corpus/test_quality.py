"""How well is found before and after: measured beforehand on a sample, in the probe, and told in the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from engines.exceptions import EngineError, InvalidRequestError
from engines.models import CatalogModel, Chunk, Host, KnowledgeBase, PastSearch
from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.documents import add_document, delete_document
from engines.services.knowledge.embeddings import Embedder
from engines.services.people.search_history import (
    KEPT_DAYS,
    MAX_SEARCHES,
    outdated_searches,
    remember_search,
    searches_of,
    set_history_kept,
)
from migrations_app.models import Plan
from migrations_app.pages.wizard.quality import ALL, table_of
from migrations_app.steps.excerpts import cut_middle, is_boundary
from migrations_app.steps.quality import (
    Ranks,
    describe_quality,
    measure_own,
    measure_ranks,
    merge_qualities,
    quality_of_result,
)
from migrations_app.steps.sample import take_sample
from migrations_app.steps.sample_search import Lend
from migrations_app.steps.token_losses import AS_BEFORE
from tests.plans.test_meaning import (  # noqa: F401
    controller,
    host,
    lent,
    place,
)
from tests.plans.test_scripts import ada, engines  # noqa: F401
from worker.steps.sampling import sample_quality


def rank(old: int | None, new: int | None, script: str = "Thai", document: int = 1) -> Ranks:
    return Ranks(script, document, old, new)


def test_recall_counts_the_first_five_and_ndcg_each_rank_of_ten() -> None:
    ranks = [rank(1, 1), rank(5, 6), rank(2, None, "Latin", 2), rank(None, 3, "Latin", 2)]

    found = measure_ranks(ranks)

    assert found is not None
    assert found["whole"] == {
        "asked": 4,
        "old_recall": 0.75,
        "recall": 0.5,
        "old_ndcg": 0.5044,
        "ndcg": 0.4641,
    }
    assert found["scripts"]["Thai"]["recall"] == 0.5
    # Of document 2 one question is lost and one is won.
    assert found["documents"] == [{"document": 1, "asked": 2, "old_found": 2, "found": 1}]
    assert measure_ranks([]) is None


def test_measures_of_two_bases_are_weighed_by_their_questions() -> None:
    first = measure_ranks([rank(1, 1), rank(1, None), rank(1, 1)])
    second = measure_ranks([rank(1, 1, "Latin", 9)], measure_own([([b"a", b"b"], [b"b", b"c"])]))
    assert first is not None
    assert second is not None

    both = merge_qualities([first, second])

    assert both is not None
    assert both["whole"]["asked"] == 4
    assert both["whole"]["recall"] == 0.75
    assert both["scripts"].keys() == {"Thai", "Latin"}
    assert both["own"] == {"asked": 1, "recall": 0.5, "ndcg": 0.6131}
    assert merge_qualities([]) is None


def test_scripts_are_shown_by_size_whatever_order_the_database_gives() -> None:
    ranks = [Ranks(script, None, 1, 1) for script in ["Lao", *["Cyrillic"] * 3, *["Thai"] * 2]]
    found = measure_ranks(ranks)
    assert found is not None
    # As jsonb keeps keys.
    found["scripts"] = {name: found["scripts"][name] for name in ("Lao", "Thai", "Cyrillic")}

    shown = table_of(found, tells_content=False)

    assert [row.label for row in shown.rows] == [ALL, "Cyrillic", "Thai", "Lao"]


def test_one_question_is_told_as_one() -> None:
    found = measure_ranks([Ranks("Thai", None, 1, 1)])

    assert found is not None
    assert describe_quality(found).startswith("Of 1 question made from your passages")


def test_what_an_older_probe_kept_is_no_measure() -> None:
    assert quality_of_result({"indexes": [{"compared": 3, "old_found": 2, "found": 1}]}) is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("👩\u200d🔬" * 40, "👩\u200d🔬"),
        ("🇩🇪🇫🇷" * 40, "🇩🇪"),
        ("👍🏽" * 40, "👍🏽"),
        ("क्षि" * 40, "क्षि"),
        ("ស្ត្រី" * 40, "ស្ត្រី"),
        ("กี่" * 40, "กี่"),
        ("e\u0301" * 40, "e\u0301"),
        ("\u1112\u1161\u11ab" * 40, "\u1112\u1161\u11ab"),
        ("நி" * 40, "நி"),
    ],
)  # fmt: skip
def test_a_question_parts_nothing_that_is_one_character_to_its_reader(
    text: str, whole: str
) -> None:
    asked = cut_middle(text)

    assert asked
    assert asked in text
    inside = [at for at in range(1, len(whole)) if is_boundary(whole, at)]
    assert inside == []
    # It begins and ends where one of them does.
    assert is_boundary(text, text.index(asked[:6]))
    assert len(asked) % 2 == 0 or len(asked) % len(whole) == 0


class Broken:
    """An embedder whose process ended."""

    def embed_query(self, text: str) -> Any:
        raise EngineError("The engine ended.")

    def embed_documents(self, texts: Any) -> EmbeddingBatch:
        raise EngineError("The engine ended.")


def lender(engines: Mapping[str, Embedder]) -> Lend:  # noqa: F811
    @contextmanager
    def lend(revision: Any, _spec: Any) -> Iterator[Embedder]:
        yield engines[revision.model.model_id]

    return lend


def see_meaning(client: Client, plan_id: str) -> str:
    return client.get(f"/migrate/{plan_id}/meaning/").content.decode()


@pytest.fixture
def client(ada: User) -> Client:  # noqa: F811
    browser = Client()
    browser.force_login(ada)
    return browser


def test_before_anything_is_spent_a_sample_says_what_would_be_lost(
    ada: User,  # noqa: F811
    engines: dict[str, Embedder],  # noqa: F811
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        "migrations_app.steps.sample.publish_sample", lambda *what: sent.append(what)
    )
    plan_id = controller.create_migration_plan("current", "chat-english", ada.pk)
    plan = Plan.objects.get(pk=plan_id)

    asked: Any = controller.preview_migration(plan_id)
    again: Any = controller.preview_migration(plan_id)

    assert asked["sample"]["status"] == "asked"
    assert again["sample"] == asked["sample"]
    assert sent == [(plan.pk, Host.objects.get())]
    assert "Being measured" in see_meaning(client, plan_id)

    broken = take_sample(Plan.objects.get(pk=plan_id), lender({"english": Broken()}))
    assert broken["why"] == "It could not be measured: The engine ended."
    assert (broken["status"], broken["quality"]) == ("failed", None)

    set_history_kept(ada, kept=True)
    remember_search(ada, "หลังคา")
    lend = lender(engines)
    monkeypatch.setattr("worker.steps.sampling.lend_embedder", lambda _host, *what: lend(*what))
    monkeypatch.setattr("migrations_app.steps.sample.SECONDS", 600.0)
    assert sample_quality(plan_id).startswith("Measured on")
    with pytest.raises(InvalidRequestError, match="no plan's id"):
        sample_quality("no key")

    require_measured(controller.preview_migration(plan_id))
    page = see_meaning(client, plan_id)
    assert "Measured on" in page
    assert "Thai" in page
    assert "passages are in Thai, which this embedder does not know" in page
    assert AS_BEFORE not in page
    require_as_before(plan_id, engines["english"])
    # Nothing of the new space was kept, and the plan has not begun.
    plan.refresh_from_db()
    assert (plan.status, len(sent)) == ("pending", 1)


def measured_sample(plan_id: str) -> dict[str, Any]:
    told: Any = controller.preview_migration(plan_id)
    return dict(told["sample"])


def test_a_sample_is_taken_anew_when_it_is_not_about_what_would_be_moved_any_more(
    ada: User,  # noqa: F811
    engines: dict[str, Embedder],  # noqa: F811
) -> None:
    plan_id = controller.create_migration_plan("current", "chat-english", ada.pk)

    def measure() -> None:
        assert take_sample(Plan.objects.get(pk=plan_id), lender(engines))["status"] == "done"
        assert measured_sample(plan_id)["status"] == "done"

    measure()
    base = KnowledgeBase.objects.get(owner=ada)
    # A few words more change nothing that would be seen.
    document = add_document(base.pk, title="One more", text="One text more.")
    assert measured_sample(plan_id)["status"] == "done"
    for number in range(Chunk.objects.count() // 10):
        add_document(base.pk, title=f"Late {number}", text=f"Late text {number}.")
    assert measured_sample(plan_id)["status"] == "asked"

    measure()
    delete_document(document.pk)
    assert measured_sample(plan_id)["status"] == "done"
    english = CatalogModel.objects.filter(model_id="english")
    assert english.update(query_prefix="search_query: ") == 1
    assert measured_sample(plan_id)["status"] == "asked"

    measure()
    Plan.objects.filter(pk=plan_id).update(
        quality_sample={**measured_sample(plan_id), "subject": None}
    )
    assert measured_sample(plan_id)["status"] == "asked"


def require_as_before(plan_id: str, english: Embedder) -> None:
    as_before = lender({"english": english, "many": english})
    told = take_sample(Plan.objects.get(pk=plan_id), as_before)["tokens"]
    assert told is not None
    assert told["sentences"][-1] == AS_BEFORE


def require_measured(told: Any) -> None:
    sample = told["sample"]
    assert (sample["status"], sample["why"]) == ("done", "")
    assert sample["passages"] > 100
    scripts = sample["quality"]["scripts"]
    assert scripts["Thai"]["recall"] < scripts["Thai"]["old_recall"]
    assert scripts["Latin"]["recall"] == scripts["Latin"]["old_recall"]
    assert sample["quality"]["own"]["asked"] == 1
    counted = sample["tokens"]["scripts"]
    assert counted["Thai"]["unknown"] == counted["Thai"]["passages"] > 0
    assert counted["Latin"]["unknown"] == 0


def test_searches_are_kept_only_where_allowed_few_and_for_a_time(db: None) -> None:
    user = User.objects.create_user("bob")
    remember_search(user, "before")
    assert list(searches_of(user.pk)) == []

    set_history_kept(user, kept=True)
    for number in range(MAX_SEARCHES + 3):
        remember_search(user, f"question {number}")
    remember_search(user, "  question   5 ")
    remember_search(user, "x" * 501)

    kept = [search.question for search in searches_of(user.pk)]
    assert len(kept) == MAX_SEARCHES
    assert kept[0] == "question 5"
    assert "question 2" not in kept
    old = timezone.now() - timedelta(days=KEPT_DAYS, minutes=1)
    PastSearch.objects.filter(question="question 9").update(asked_at=old)
    assert "question 9" not in {search.question for search in searches_of(user.pk)}
    assert [search.question for search in outdated_searches(timezone.now())] == ["question 9"]

    set_history_kept(user, kept=False)
    assert PastSearch.objects.count() == 0
