"""Each way in which a row can point to a model revision, and what it makes of the revision: a table of cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from engines.models import (
    CatalogModel,
    Conversation,
    CopyStatus,
    Embedding,
    EngineDefault,
    EngineFallback,
    EnginePreference,
    FallbackIncident,
    Fingerprint,
    Host,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelCopy,
    ModelRevision,
    ModelRole,
    PreferenceSnapshot,
    SpeedSample,
    VectorIndex,
    Work,
)
from engines.services.knowledge.fingerprints import fingerprint_for
from engines.services.knowledge.indexes import index_for
from migrations_app.models import EmbedRange, IndexSwitch, MassMove, Plan, Step
from migrations_app.plans.revision_needs import Reason
from migrations_app.states import PlanKind, PlanStatus
from tests.knowledge.world import make_model

DAY = timedelta(days=1)


class Scene:
    """Ada uses the engine ``other``; nothing needs the revision of ``subject``, which a host holds."""

    def __init__(self) -> None:
        self.revision, self.other = _engine("subject"), _engine("other")
        self.subject = self.revision.model
        self.host = Host.objects.create(name="h1", status="active", last_seen=timezone.now())
        ModelCopy.objects.create(
            revision=self.revision,
            host=self.host,
            path="/models/subject",
            checksum="c" * 64,
            status=CopyStatus.DOWNLOADED,
        )
        self.ada = User.objects.create(username="ada")
        self.group = Group.objects.create(name="staff")
        self.own = EnginePreference.objects.create(
            user=self.ada, engine=self.other.model, revision=self.other
        )
        self.base = KnowledgeBase.objects.create(owner=self.ada, name="Notes")

    def choose(self, **values: Any) -> None:
        EnginePreference.objects.filter(pk=self.own.pk).update(**values)

    def space(self) -> Fingerprint:
        return fingerprint_for(self.subject, self.revision)

    def index(self, base: KnowledgeBase | None = None) -> VectorIndex:
        return index_for(base or self.base, self.space())

    def other_index(self) -> VectorIndex:
        return index_for(self.base, fingerprint_for(self.other.model, self.other))

    def plan(self, status: PlanStatus = PlanStatus.IN_PROGRESS, **values: Any) -> Plan:
        kind = values.pop("kind", PlanKind.MIGRATE)
        return Plan.objects.create(kind=kind, user=self.ada, status=status, **values)

    def completed(self, *, days_left: float = 1, **values: Any) -> Plan:
        until = timezone.now() + days_left * DAY
        return self.plan(PlanStatus.COMPLETED, retention_until=until, **values)

    def switch(self, plan: Plan, **values: VectorIndex) -> None:
        IndexSwitch.objects.create(plan=plan, base=self.base, **values)

    def snapshot(self, **values: Any) -> PreferenceSnapshot:
        return PreferenceSnapshot.objects.create(user=self.ada, version=1, why="Before.", **values)

    def previous_engine_answers(self) -> None:
        EngineFallback.objects.create(engine=None, answers=None)


def _engine(name: str) -> ModelRevision:
    revision = make_model(name)
    CatalogModel.objects.filter(pk=revision.model_id).update(role=ModelRole.CHAT)
    return ModelRevision.objects.select_related("model").get(pk=revision.pk)


@dataclass(frozen=True)
class Case:
    """Rows to add to a scene, the reasons they are, and how many people would miss a host with the file."""

    add: Callable[[Scene], object]
    reasons: frozenset[Reason] = frozenset()
    people: int = 0


def needed(add: Callable[[Scene], object], *reasons: Reason, people: int = 0) -> Case:
    return Case(add, frozenset(reasons), people)


def _default(group: Callable[[Scene], Group | None], *, by_ada: bool) -> Callable[[Scene], None]:
    def add(scene: Scene) -> None:
        EngineDefault.objects.create(group=group(scene), engine=scene.subject)
        if by_ada:
            scene.ada.groups.add(scene.group)
            scene.choose(engine=None, revision=None)

    return add


def _inactive(scene: Scene) -> None:
    scene.choose(engine=scene.subject, revision=scene.revision)
    User.objects.update(is_active=False)


def _inactive_by_default(scene: Scene) -> None:
    EngineDefault.objects.create(engine=scene.subject)
    scene.choose(engine=None, revision=None)
    User.objects.update(is_active=False)


def _fallback(scene: Scene) -> None:
    EngineFallback.objects.create(engine=scene.other.model, answers=scene.subject)


def _previous(*, pinned: bool, hidden: bool = False) -> Callable[[Scene], None]:
    def add(scene: Scene) -> None:
        scene.previous_engine_answers()
        scene.snapshot(engine=scene.subject, revision=scene.revision if pinned else None)
        CatalogModel.objects.filter(pk=scene.subject.pk).update(published=not hidden)

    return add


def _companion(*, of_default: bool = False, in_use: bool = True) -> Callable[[Scene], None]:
    def add(scene: Scene) -> None:
        engine = CatalogModel.objects.filter(pk=scene.other.model_id)
        engine.update(embedding_model=scene.subject)
        if of_default:
            EngineDefault.objects.create(engine=scene.other.model)
        if of_default or not in_use:
            scene.choose(engine=None, revision=None)

    return add


def _live(scene: Scene) -> None:
    KnowledgeBase.objects.filter(pk=scene.base.pk).update(live_index=scene.index())


def _live_for_group(scene: Scene) -> None:
    scene.ada.groups.add(scene.group)
    base = KnowledgeBase.objects.create(group=scene.group, name="Shared")
    KnowledgeBase.objects.filter(pk=base.pk).update(live_index=scene.index(base))


def _writers(scene: Scene) -> None:
    KnowledgeBase.objects.filter(pk=scene.base.pk).update(embed_on_write_for=scene.index())


def _range(status: PlanStatus) -> Callable[[Scene], None]:
    def add(scene: Scene) -> None:
        step = Step.objects.create(plan=scene.plan(status), position=0, kind="re_embed")
        EmbedRange.objects.create(
            step=step, base=scene.base, fingerprint=scene.space(), first_id=1, last_id=2
        )

    return add


def _unpinned_before(scene: Scene) -> None:
    before = scene.snapshot(engine=scene.subject)
    scene.completed(switched={"version_before": before.version})


def _message(scene: Scene) -> None:
    talk = Conversation.objects.create(user=scene.ada)
    Message.objects.create(
        conversation=talk, position=0, role="user", content="Hello", engine=scene.subject
    )


def _speed(scene: Scene) -> None:
    host = Host.objects.create(name="measured")
    SpeedSample.objects.create(
        host=host, revision=scene.revision, work=Work.EMBED, texts=32, size=900, seconds=1.0
    )


def _incident(scene: Scene) -> None:
    for revision, other in ((scene.revision, scene.other), (scene.other, scene.revision)):
        FallbackIncident.objects.create(
            revision=revision, answered_by=other, reason="Gone.", last_at=timezone.now()
        )


def _vector(scene: Scene) -> None:
    Embedding.objects.create(
        fingerprint=scene.space(), content_hash=b"x" * 32, vector=b"\0\0", error=""
    )


def _superseded(scene: Scene) -> None:
    EngineDefault.objects.create(engine=scene.subject)
    EngineFallback.objects.create(engine=None, answers=scene.subject)
    CatalogModel.objects.filter(pk=scene.subject.pk).update(current_revision=None)


def _adapter(scene: Scene) -> None:
    LoraAdapter.objects.create(
        user=scene.ada,
        name="style",
        base_revision=scene.revision,
        artifact_key="k",
        sha256="a" * 64,
        file_size=1,
    )


R = Reason
CASES: Mapping[str, Case] = {
    "a person's pinned revision": needed(
        lambda s: s.choose(engine=s.subject, revision=s.revision), R.PERSON, people=1
    ),
    "a person's engine without a pin": needed(
        lambda s: s.choose(engine=s.subject, revision=None), R.PERSON, people=1
    ),
    "somebody who may not sign in chose it": needed(_inactive, R.INACTIVE_PERSON),
    "somebody who may not sign in has it by default": needed(
        _inactive_by_default, R.ORGANISATION_DEFAULT
    ),
    "the organisation's default, which nobody uses": needed(
        _default(lambda s: None, by_ada=False), R.ORGANISATION_DEFAULT
    ),
    "the organisation's default, used": needed(
        _default(lambda s: None, by_ada=True), R.ORGANISATION_DEFAULT, R.PERSON, people=1
    ),
    "a group's default, which nobody uses": needed(
        _default(lambda s: s.group, by_ada=False), R.GROUP_DEFAULT
    ),
    "a group's default, used": needed(
        _default(lambda s: s.group, by_ada=True), R.GROUP_DEFAULT, R.PERSON, people=1
    ),
    "a fallback rule names it": needed(_fallback, R.FALLBACK_RULE),
    "a rule falls back to the pinned previous engine": needed(
        _previous(pinned=True), R.PREVIOUS_ENGINE
    ),
    "a rule falls back to the previous engine": needed(_previous(pinned=False), R.PREVIOUS_ENGINE),
    "the companion of somebody's engine": needed(_companion(), R.COMPANION),
    "the companion of a default": needed(_companion(of_default=True), R.COMPANION),
    "a person's live index": needed(_live, R.LIVE_INDEX, people=1),
    "a group's live index": needed(_live_for_group, R.LIVE_INDEX, people=1),
    "writers embed for it": needed(_writers, R.WRITERS),
    "a running plan leaves it": needed(
        lambda s: s.plan(from_engine=s.subject, from_revision=s.revision), R.OPEN_PLAN
    ),
    "a running plan moves to it": needed(
        lambda s: s.plan(to_engine=s.subject, to_revision=s.revision), R.OPEN_PLAN
    ),
    "a running plan embeds with it": needed(
        lambda s: s.plan(embedder_revision=s.revision), R.OPEN_PLAN
    ),
    "a running plan leaves its space": needed(
        lambda s: s.switch(s.plan(), from_index=s.index(), to_index=s.other_index()), R.OPEN_PLAN
    ),
    "a running plan moves to its space": needed(
        lambda s: s.switch(s.plan(), to_index=s.index()), R.OPEN_PLAN
    ),
    "a running plan embeds a range": needed(_range(PlanStatus.IN_PROGRESS), R.OPEN_PLAN),
    "a plan may be taken back to it": needed(
        lambda s: s.completed(from_engine=s.subject, from_revision=s.revision), R.ROLLBACK_TARGET
    ),
    "a plan may be taken back to a preference without a pin": needed(
        _unpinned_before, R.ROLLBACK_TARGET
    ),
    "an index may be taken back": needed(
        lambda s: s.switch(s.completed(), from_index=s.index(), to_index=s.other_index()),
        R.RETAINED_INDEX,
    ),
    "only in the catalog": Case(lambda s: None),
    "no revision in force any more": Case(_superseded),
    "a pending plan": Case(
        lambda s: s.plan(PlanStatus.PENDING, to_revision=s.revision, embedder_revision=s.revision)
    ),
    "a plan that deletes it": Case(lambda s: s.plan(kind=PlanKind.DELETE, to_revision=s.revision)),
    "a plan that failed": Case(
        lambda s: s.plan(
            PlanStatus.FAILED, from_revision=s.revision, to_revision=s.revision, switched={}
        )
    ),
    "a range of an ended plan": Case(_range(PlanStatus.CANCELLED)),
    "a retention that has ended": Case(
        lambda s: s.switch(
            s.completed(days_left=-1, from_revision=s.revision),
            from_index=s.index(),
            to_index=s.other_index(),
        )
    ),
    "the index that a completed plan moved to and that was left since": Case(
        lambda s: s.switch(s.completed(), to_index=s.index())
    ),
    "a previous engine without a rule": Case(lambda s: s.snapshot(engine=s.subject)),
    "a previous engine that is offered no more": Case(_previous(pinned=True, hidden=True)),
    "the companion of what nobody uses": Case(_companion(in_use=False)),
    "another engine answers for it": Case(
        lambda s: EngineFallback.objects.create(engine=s.subject, answers=s.other.model)
    ),
    "an index that nothing points to": Case(lambda s: s.index()),
    "vectors": Case(_vector),
    "an adapter of somebody who uses another engine": Case(_adapter),
    "a message it wrote": Case(_message),
    "an incident": Case(_incident),
    "a speed that was measured": Case(_speed),
    # Each person's own plan counts once it runs, and fetches the file where it is gone by then.
    "a move of many people that begins": Case(
        lambda s: MassMove.objects.create(to_engine=s.revision.model)
    ),
}

DECIDED: Mapping[str, tuple[str, ...]] = {
    "engines.CatalogModel.embedding_model": (
        "the companion of somebody's engine",
        "the companion of a default",
        "the companion of what nobody uses",
    ),
    "engines.CatalogModel.current_revision": ("only in the catalog",),
    "engines.ModelRevision.model": ("only in the catalog", "no revision in force any more"),
    "engines.ModelCopy.revision": ("only in the catalog",),
    "engines.EnginePreference.engine": ("a person's engine without a pin",),
    "engines.EnginePreference.revision": ("a person's pinned revision",),
    "engines.PreferenceSnapshot.engine": (
        "a rule falls back to the previous engine",
        "a previous engine without a rule",
        "a plan may be taken back to a preference without a pin",
    ),
    "engines.PreferenceSnapshot.revision": ("a rule falls back to the pinned previous engine",),
    "engines.EngineDefault.engine": (
        "the organisation's default, which nobody uses",
        "a group's default, which nobody uses",
    ),
    "engines.EngineFallback.engine": ("another engine answers for it",),
    "engines.EngineFallback.answers": ("a fallback rule names it",),
    "engines.FallbackIncident.revision": ("an incident",),
    "engines.FallbackIncident.answered_by": ("an incident",),
    "engines.LoraAdapter.base_revision": ("an adapter of somebody who uses another engine",),
    "engines.Message.engine": ("a message it wrote",),
    "engines.SpeedSample.revision": ("a speed that was measured",),
    "migrations_app.MassMove.to_engine": ("a move of many people that begins",),
    "engines.Fingerprint.revision": ("a person's live index", "an index that nothing points to"),
    "engines.Embedding.fingerprint": ("vectors",),
    "engines.VectorIndex.fingerprint": ("an index that nothing points to",),
    "engines.KnowledgeBase.live_index": ("a person's live index", "a group's live index"),
    "engines.KnowledgeBase.embed_on_write_for": ("writers embed for it",),
    "migrations_app.Plan.from_engine": ("a running plan leaves it",),
    "migrations_app.Plan.from_revision": (
        "a running plan leaves it",
        "a plan may be taken back to it",
        "a retention that has ended",
    ),
    "migrations_app.Plan.to_engine": ("a running plan moves to it",),
    "migrations_app.Plan.to_revision": ("a running plan moves to it", "a pending plan"),
    "migrations_app.Plan.embedder_revision": ("a running plan embeds with it",),
    "migrations_app.IndexSwitch.from_index": (
        "a running plan leaves its space",
        "an index may be taken back",
    ),
    "migrations_app.IndexSwitch.to_index": (
        "a running plan moves to its space",
        "the index that a completed plan moved to and that was left since",
    ),
    "migrations_app.EmbedRange.fingerprint": (
        "a running plan embeds a range",
        "a range of an ended plan",
    ),
}
"""Every foreign key that leads to a revision, and the cases that decide what it means."""
