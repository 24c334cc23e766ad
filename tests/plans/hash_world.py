"""A person on engines that embed by hashing: plans run through the worker's own runner, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth.models import User
from django.utils import timezone

from engines.files.artifacts import ArtifactStore
from engines.models import (
    CatalogModel,
    Fingerprint,
    Host,
    KnowledgeBase,
    ModelRevision,
    ModelRole,
    VectorIndex,
)
from engines.runtimes.base import EmbeddingBatch
from engines.services.catalog.copies import copy_of, mark_downloaded
from engines.services.knowledge.documents import create_base
from engines.services.knowledge.indexes import base_digest, index_digest
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import search_index
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from engines.specs import EmbeddingSpec
from migrations_app.controller import MigrationController
from migrations_app.models import Plan, Step
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add, make_model
from tests.worker.plans import make_host
from worker.steps.runner import run_step

FILE_SIZE = 1000
NEEDS_AN_ENGINE = ("fetch_engine", "back_up", "probe", "probe_back", "settle", "resettle")
"""Steps of a person's plan that this world leaves out: they have tests with real engines."""

controller = MigrationController()


@dataclass
class Lender:
    """Lends a hash embedder per model, the same each time; knows what they embedded."""

    embedders: dict[str, HashEmbedder] = field(default_factory=dict)

    def of(self, name: str) -> HashEmbedder:
        return self.embedders.setdefault(name, HashEmbedder(salt=name))

    @contextmanager
    def lend(
        self,
        _host: Host | None,
        revision: ModelRevision,
        _spec: EmbeddingSpec,
        _waiting: Callable[[], None],
    ) -> Iterator[HashEmbedder]:
        yield self.of(revision.model.model_id)


@dataclass
class HashWorld:
    """Ada, her engines and the host that has all of them."""

    user: User
    host: Host
    folder: Path
    store: ArtifactStore
    lender: Lender

    def engine(self, name: str, *, companion: ModelRevision | None = None) -> ModelRevision:
        """Make an engine whose file is on the host."""
        revision = make_model(name)
        fields: dict[str, Any] = {"role": ModelRole.CHAT, "model_family": f"{name}-family"}
        if companion is not None:
            fields["embedding_model"] = companion.model
        CatalogModel.objects.filter(pk=revision.model_id).update(**fields)
        return self.placed(revision)

    def placed(self, revision: ModelRevision) -> ModelRevision:
        """Put a file of the revision's size where the host keeps it."""
        path = self.folder / f"{revision.sha256}.gguf"
        path.write_bytes(bytes(FILE_SIZE))
        mark_downloaded(copy_of(revision, self.host), path, revision.sha256)
        return ModelRevision.objects.select_related("model").get(pk=revision.pk)

    def uses(self, revision: ModelRevision) -> None:
        """Make an engine the person's own, without a plan."""
        choice = EngineChoice(revision.model, revision, revision.model.model_family)
        write_preference(preference_of(self.user), choice, why="The beginning.")

    def base(self, name: str, *texts: str) -> KnowledgeBase:
        """Make a base in the space of the engine in use, with texts and a file of them."""
        base = create_base(owner=self.user, name=name)
        for text in texts:
            add(base, text)
        self.keep_up(live_index(base))
        return base

    def keep_up(self, index: VectorIndex) -> None:
        embedder = self.lender.of(index.fingerprint.revision.model.model_id)
        keep_up(index.pk, embedder, self.store, self.folder, lambda _done: None)

    def embed(self, fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
        """Embed for a writer, as a live worker does."""
        space = Fingerprint.objects.select_related("revision__model").get(pk=fingerprint_id)
        return self.lender.of(space.revision.model.model_id).embed_documents(texts)

    def migration(self, target: str) -> Plan:
        """Start a migration that leaves out the steps that need an engine."""
        plan_id = controller.create_migration_plan("current", target, self.user.username)
        leave_out(plan_id, NEEDS_AN_ENGINE)
        controller.execute_migration(plan_id)
        return Plan.objects.get(pk=plan_id)

    def migrated(self, target: str) -> Plan:
        return self.run(self.migration(target))

    def taken_back(self, plan: Plan) -> Plan:
        """Take a plan back; returns the plan that did it."""
        back = Plan.objects.get(pk=controller.roll_back_migration(plan.pk))
        leave_out(back.pk, NEEDS_AN_ENGINE)
        self.run(back)
        plan.refresh_from_db()
        return back

    def run(self, plan: Plan) -> Plan:
        """Run the plan's steps one after the other, as a worker does."""
        for step in plan.steps.order_by("position"):
            run_step(step.pk)
        plan.refresh_from_db()
        return plan

    def spaces(self) -> list[str]:
        """Return the models in whose spaces the person's bases are searched."""
        names = "live_index__fingerprint__revision__model__model_id"
        bases = KnowledgeBase.objects.filter(owner=self.user).order_by("pk")
        return list(bases.values_list(names, flat=True))

    def found(self, base: KnowledgeBase, text: str) -> list[str]:
        """Return the texts that a question for ``text`` finds, best first."""
        index = live_index(base)
        embedder = self.lender.of(index.fingerprint.revision.model.model_id)
        hits = search_index(index, embedder.embed_query(text), k=50, store=self.store)
        return [hit.text for hit in hits]

    def answers_for_the_database(self) -> bool:
        """Whether each live index answers for exactly what its base holds."""
        indexes = [live_index(base) for base in KnowledgeBase.objects.filter(owner=self.user)]
        return indexes != [] and all(
            index_digest(index, self.store) == base_digest(index.base, index.fingerprint_id)
            for index in indexes
        )


def live_index(base: KnowledgeBase) -> VectorIndex:
    related = VectorIndex.objects.select_related("base", "fingerprint__revision__model")
    return related.get(live_for=base)


def make_world(folder: Path, store: ArtifactStore, lender: Lender) -> HashWorld:
    return HashWorld(User.objects.create_user("ada"), make_host(), folder, store, lender)


def leave_out(plan_id: UUID | str, kinds: Sequence[str]) -> None:
    """Remove steps from a plan that has not run; the others move up."""
    steps = Step.objects.filter(plan_id=plan_id)
    steps.filter(kind__in=kinds).delete()
    for position, step in enumerate(steps.order_by("position")):
        Step.objects.filter(pk=step.pk).update(position=position)
    # Of a plan that was started already the first step left is the one to begin with.
    steps.filter(position=0, plan__status="in_progress").update(ready_at=timezone.now())


def all_rows() -> dict[str, list[dict[str, Any]]]:
    """Return every row of SAM's tables but the host's heartbeat, to compare before and after."""
    return {
        model._meta.label: sorted(
            ({k: _plain(v) for k, v in row.items()} for row in model._default_manager.values()),
            key=repr,
        )
        for label in ("engines", "migrations_app")
        for model in apps.get_app_config(label).get_models()
        if model is not Host
    }


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
