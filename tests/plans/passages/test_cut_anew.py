"""A change of how texts are cut is a plan like any other: the old passages serve until its switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import Document, KnowledgeBase
from engines.services.knowledge.documents import add_document, create_base, update_document
from engines.services.knowledge.embeddings import missing_hashes
from engines.services.knowledge.passages import cited_passages
from engines.services.knowledge.search import search_index
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.knowledge.test_recutting import (
    DIGITS,
    LetterEmbedder,
    make_former,
    passages_of,
    record_of,
)
from tests.plans.hash_world import leave_out
from tests.plans.test_meaning import (  # noqa: F401
    DIMENSION,
    controller,
    host,
    lent,
    moved,
    place,
)
from worker.host.resources import artifact_store
from worker.steps.runner import run_step

MARKED = "# House\n\n" + "".join(f"Sentence {n} of the house. " for n in range(60))


@pytest.fixture
def engines() -> dict[str, Any]:
    return {"letters": LetterEmbedder(dimension=DIMENSION)}


@pytest.fixture
def base(place: Callable[[str], None]) -> KnowledgeBase:  # noqa: F811
    """A base of before, searched with an embedder that has a token for each character."""
    place("letters")
    user = User.objects.create_user("ada")
    base = create_base(owner=user, name="Notes")
    for title, text in (("Sums", DIGITS), ("House", MARKED), ("Late", "An old text.")):
        make_former(add_document(base.pk, title=title, text=text, media_type="text/markdown"))
    Document.objects.update(passage_limit=None)
    moved(user, "letters")
    base.refresh_from_db()
    return base


def test_documents_are_cut_anew_by_a_plan_and_all_at_once(base: KnowledgeBase) -> None:
    user = User.objects.get()
    sums, house, late = Document.objects.order_by("pk")
    before = [(chunk.pk, chunk.text) for chunk in passages_of(sums)]
    records = [record_of(chunk, says_where=False) for chunk in passages_of(house)]
    # What is written from now on is cut by today's rule; what was there keeps its passages.
    fresh = add_document(base.pk, title="Fresh", text="Something new.")
    assert passages_of(fresh)[0].start_char == 0

    plan_id = controller.create_re_embed_plan(base, "chat-letters", actor=user)
    warnings = controller.preview_migration(plan_id)["warnings"]
    assert any("3 documents are cut anew" in one for one in warnings)
    leave_out(plan_id, ("fetch_engine",))
    controller.execute_migration(plan_id)
    steps = list(Plan.objects.get(pk=plan_id).steps.order_by("position"))
    for step in steps[:-1]:
        run_step(step.pk)
    # Everything is embedded by now, and nothing of it is found yet.
    assert [(chunk.pk, chunk.text) for chunk in passages_of(sums)] == before
    update_document(late.pk, text="Written while the plan ran.")
    run_step(steps[-1].pk)

    plan = Plan.objects.get(pk=plan_id)
    assert (plan.status, plan.switched["cut_anew"]) == (PlanStatus.COMPLETED, 2)
    assert [chunk.text for chunk in passages_of(late)] == ["Written while the plan ran."]
    assert {chunk.heading for chunk in passages_of(house)} == {"House"}
    for document in (sums, house):
        require_found_as_a_whole(base, document)
    # A conversation of before still opens what it cited.
    cited = cited_passages(user, records)
    assert [one.is_available for one in cited] == [True] * len(records)
    assert cited[0].text.startswith("# House")
    require_no_way_back(base, plan)


def require_found_as_a_whole(base: KnowledgeBase, document: Document) -> None:
    """Each passage is read as a whole, has its vector, and is found by the live index at once."""
    base.refresh_from_db()
    index, chunks = base.live_index, passages_of(document)
    assert index is not None
    embedder, store = LetterEmbedder(dimension=DIMENSION), artifact_store()
    assert not any(one.beyond for one in embedder.read_documents([c.text for c in chunks]))
    assert not missing_hashes(index.fingerprint_id, [bytes(c.content_hash) for c in chunks])
    for chunk in chunks:
        (hit,) = search_index(index, embedder.vector(chunk.text), k=1, store=store)
        assert (hit.document_id, hit.text) == (document.pk, chunk.text)


def require_no_way_back(base: KnowledgeBase, plan: Plan) -> None:
    """There is nothing more to cut, and nothing to take back but the move before it, which minds no passages."""
    with pytest.raises(InvalidRequestError, match="already, and its documents are cut for it"):
        controller.create_re_embed_plan(base, "chat-letters", actor=User.objects.get())
    with pytest.raises(ConflictError, match="no way back"):
        controller.roll_back_migration(plan.pk)
    assert controller.roll_back_migration(Plan.objects.get(kind="migrate").pk)
