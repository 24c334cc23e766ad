"""A base that an older rule cut, or that another embedder searches, says so and leads to a plan of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from engines.models import CatalogModel, Chunk, Document, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import add_document, create_base
from engines.services.knowledge.fingerprints import fingerprint_for
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from tests.api.roles import Engines, People, make_model, use_engine
from tests.pages.knowledge.test_bases import contents, html_of

controller = MigrationController()


def searched_with(base: KnowledgeBase, embedder: CatalogModel) -> None:
    revision = embedder.current_revision
    assert revision is not None
    revision.facts = {"embedding_length": 384, "context_length": 512, "pooling": "mean"}
    revision.save()
    space = fingerprint_for(embedder, revision)
    index = VectorIndex.objects.create(base=base, fingerprint=space)
    KnowledgeBase.objects.filter(pk=base.pk).update(live_index=index)


@pytest.fixture
def kept(people: People, engines: Engines) -> KnowledgeBase:
    """A base searched as Alice's engine searches, of which two documents were cut by an older rule."""
    use_engine(people.alice, engines.old)
    base = create_base(owner=people.alice, name="Notes")
    searched_with(base, engines.embedder)
    for number in range(3):
        add_document(base.pk, title=f"Page {number}", text=f"Whales of kind {number}.")
    Document.objects.exclude(title="Page 0").update(passage_limit=None)
    return base


def ask(client: Client, base: KnowledgeBase, what: str) -> str:
    return client.post(f"/knowledge/{base.pk}/anew/", {"what": what})["Location"]


def test_a_base_that_is_as_it_should_be_offers_nothing(
    alice: Client, kept: KnowledgeBase, engines: Engines
) -> None:
    Document.objects.update(passage_limit=Document.objects.get(title="Page 0").passage_limit)
    before = contents()

    assert "anew" not in html_of(alice, f"/knowledge/{kept.pk}/")
    assert "Without another engine" not in html_of(alice, "/migrate/")
    for what in ("passages", "embedder", "", "x\0"):
        assert ask(alice, kept, what) == f"/knowledge/{kept.pk}/"
    assert (contents(), Plan.objects.count()) == (before, 0)


def test_older_passages_are_told_and_lead_to_one_plan_of_them(
    alice: Client, kept: KnowledgeBase, people: People
) -> None:
    before = contents()
    assert "2 of 3 passages are not cut as they would be today" in html_of(
        alice, f"/knowledge/{kept.pk}/"
    )
    assert "Embed “Notes” anew" in html_of(alice, "/migrate/")

    address = ask(alice, kept, "passages")
    assert ask(alice, kept, "passages") == address
    plan = Plan.objects.get()
    assert (plan.kind, plan.status, plan.base, address) == (
        "re_embed",
        "pending",
        kept,
        f"/migrate/{plan.pk}/meaning/",
    )
    meaning = html_of(alice, address)
    assert "What embedding “Notes” anew means" in meaning
    assert "2 of 3 passages are cut and embedded anew" in meaning
    assert "There is no way back" in meaning
    assert "Nothing is re-embedded" not in meaning
    assert "accept_losses" not in html_of(alice, f"/migrate/{plan.pk}/options/")
    confirm = html_of(alice, f"/migrate/{plan.pk}/confirm/")
    assert "Embed “Notes” anew?" in confirm
    assert "you can take it back" not in confirm
    assert "Re-embed “Notes” with MINILM" in html_of(alice, "/migrate/")
    assert contents() == before

    gone = alice.post(f"/migrate/{plan.pk}/drop/")
    assert gone["Location"] == f"/knowledge/{kept.pk}/"
    plan.refresh_from_db()
    assert plan.status == "cancelled"


def test_an_embedder_that_reads_otherwise_by_now_is_told(
    alice: Client, kept: KnowledgeBase, engines: Engines
) -> None:
    CatalogModel.objects.filter(pk=engines.embedder.pk).update(document_prefix="passage: ")
    page = html_of(alice, f"/knowledge/{kept.pk}/")
    assert "Searched with MINILM as it was before" in page
    assert "are not cut as they would be today" not in page

    meaning = html_of(alice, ask(alice, kept, "embedder"))
    assert "This base is then searched with MINILM, whose vectors cannot be mixed" in meaning


def test_another_embedder_than_the_engines_is_told_and_losses_may_be_accepted(
    alice: Client, kept: KnowledgeBase, engines: Engines
) -> None:
    Document.objects.update(passage_limit=Document.objects.get(title="Page 0").passage_limit)
    wide = make_model("wide", role="embedding")
    CatalogModel.objects.filter(pk=engines.old.pk).update(embedding_model=wide)
    assert "Searched with MINILM, not with the embedder of your engine" in html_of(
        alice, f"/knowledge/{kept.pk}/"
    )

    address = ask(alice, kept, "embedder")
    plan = Plan.objects.get()
    assert plan.to_engine == wide
    assert "whose vectors cannot be mixed" in html_of(alice, address)
    options = f"/migrate/{plan.pk}/options/"
    assert "backup_lora" not in html_of(alice, options)
    sent = alice.post(options, {"accept_losses": "on", "when": "now"})
    assert sent["Location"] == f"/migrate/{plan.pk}/confirm/"
    plan.refresh_from_db()
    assert plan.accept_losses
    assert "For 14 days you can take it back" in html_of(alice, sent["Location"])


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("completed", "“Notes” is cut and embedded anew"),
        ("failed", "“Notes” was not embedded anew"),
        ("cancelled", "Embedding “Notes” anew was stopped"),
    ],
)
def test_its_end_is_told_in_its_own_words(
    alice: Client, kept: KnowledgeBase, people: People, status: str, title: str
) -> None:
    plan_id = controller.create_re_embed_plan(kept, actor=people.alice)
    Plan.objects.update(status=status, switched={"cut_anew": 2} if status == "completed" else {})

    page = html_of(alice, f"/migrate/{plan_id}/result/")

    assert title in page
    assert "answering" not in page


def test_who_only_reads_a_base_is_offered_nothing(
    people: People,
    engines: Engines,
    shared: KnowledgeBase,
    alice: Client,
    visit: Callable[[User], Client],
) -> None:
    searched_with(shared, engines.embedder)
    Document.objects.update(passage_limit=None)

    assert "anew" not in html_of(alice, f"/knowledge/{shared.pk}/")
    assert alice.post(f"/knowledge/{shared.pk}/anew/", {"what": "passages"}).status_code == 403
    assert visit(people.bob).post(f"/knowledge/{shared.pk}/anew/").status_code == 404
    assert not Plan.objects.exists()
    assert Chunk.objects.filter(deleted_seq__isnull=True).count() == 1

    sent = visit(people.curator).post(f"/knowledge/{shared.pk}/anew/", {"what": "passages"})
    assert sent["Location"] == f"/migrate/{Plan.objects.get().pk}/meaning/"
