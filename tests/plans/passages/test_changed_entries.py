"""An embedder whose entry is changed keeps its file and gets another space: bases move there by a plan, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel, Document, Host, KnowledgeBase, ModelRevision
from engines.services.knowledge.embeddings import load_vectors
from engines.services.knowledge.fingerprints import spec_of
from engines.specs import EmbeddingSpec
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.pages.knowledge.anew import list_anew
from migrations_app.steps.lengths import is_long
from migrations_app.steps.sample_search import live_indexes_of
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add
from tests.plans.hash_world import HashWorld, live_index

TEXTS = ("the first words", "the second words", "the third words")
PREFIX = "passage: "
controller = MigrationController()


def embedder_of(spec: EmbeddingSpec) -> HashEmbedder:
    """Return what embeds with a prefix as models do: to other vectors than without."""
    return HashEmbedder(salt=f"old{spec.document_prefix}")


@pytest.fixture
def base(world: HashWorld, monkeypatch: pytest.MonkeyPatch) -> KnowledgeBase:
    """A base that was embedded before a curator gave its embedder a prefix."""

    @contextmanager
    def lend(
        _host: Host | None,
        _revision: ModelRevision,
        spec: EmbeddingSpec,
        _waiting: Callable[[], None],
    ) -> Iterator[HashEmbedder]:
        yield embedder_of(spec)

    monkeypatch.setattr("worker.steps.context.lend_embedder", lend)
    made = world.base("Notes", *TEXTS)
    CatalogModel.objects.filter(model_id="old").update(document_prefix=PREFIX)
    return KnowledgeBase.objects.get(pk=made.pk)


def holds(base: KnowledgeBase, prefix: str) -> bool:
    """Whether all texts of a base have, in its live space, the vectors of a prefix."""
    space = live_index(base).fingerprint
    spec = spec_of(space)
    keys = {
        bytes(key): text
        for document in Document.objects.filter(base=base)
        for key, text in document.chunks.values_list("content_hash", "text")
    }
    vectors = load_vectors(space.pk, list(keys))
    embedder = embedder_of(spec)
    return spec.document_prefix == prefix and all(
        np.allclose(vectors[key], embedder.vector(text), atol=1e-2) for key, text in keys.items()
    )


def test_a_base_is_embedded_anew_as_its_embedder_reads_now_and_goes_back_as_it_read_before(
    world: HashWorld, base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert holds(base, "")
    assert [one.embedder.model_id for one in list_anew(base)] == ["old"]

    plan = Plan.objects.get(
        pk=controller.create_re_embed_plan(base, "old", actor=world.user, accept_losses=True)
    )
    told = dict(controller.preview_migration(plan.pk))
    assert (told["to_embed"], told["keeps_embedder"], told["documents_to_cut"]) == (3, False, 0)
    assert live_indexes_of(plan) == [live_index(base)]
    monkeypatch.setattr("migrations_app.steps.lengths.LONG_TEXTS", 2)
    assert is_long(plan.steps.get(kind="re_embed"))
    controller.execute_migration(plan.pk)
    world.run(plan)
    assert (plan.status, plan.error_message) == ("completed", "")
    assert holds(base, PREFIX)

    base.refresh_from_db()
    assert list(list_anew(base)) == []
    with pytest.raises(InvalidRequestError, match="is searched with old already"):
        controller.create_re_embed_plan(base, "old", actor=world.user)

    add(base, "words written late")
    world.run(Plan.objects.get(pk=controller.roll_back_migration(plan.pk)))
    assert holds(base, "")


def test_a_move_to_an_engine_with_the_same_embedder_says_that_it_embeds_anew(
    world: HashWorld, base: KnowledgeBase
) -> None:
    embedder = CatalogModel.objects.get(model_id="old").current_revision
    world.engine("other", companion=embedder)

    plan = Plan.objects.get(
        pk=controller.create_migration_plan("current", "other", world.user.username)
    )
    told = dict(controller.preview_migration(plan.pk))

    assert (told["to_embed"], told["keeps_embedder"]) == (3, False)
