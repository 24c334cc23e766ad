"""The engine indicator and the adapter warning: what answers a person, and whether that is as it should be.

Every page shows it, so it is one prepared statement; a second one is asked only of those whom no host can
answer, or whose adapters were left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery

from engines.db.prepared import Parameter, PreparedQuery
from engines.models import AdapterStatus, CatalogModel, CopyStatus, LoraAdapter, ModelCopy
from engines.services.engine_choice import with_engine_choice
from engines.services.hosts import present_hosts
from engines.services.people.adapters import retraining_of
from engines.services.people.fallbacks import fallbacks_for
from migrations_app.models import Plan, Step
from migrations_app.signs import Look, Tone
from migrations_app.states import MOVES, PlanKind, PlanStatus, StepStatus

MAX_NAMED = 20
"""Adapters that a warning names; it counts them all."""
MAX_IN_SENTENCE = 3


class IndicatorStatus(StrEnum):
    """What is the matter with a person's engine, the gravest first."""

    NONE = "none"
    UNAVAILABLE = "unavailable"
    WAITING = "waiting"
    MOVING = "moving"
    REPLACED = "replaced"
    RETRAIN = "retrain"
    READY = "ready"


INDICATOR_LOOKS = {
    IndicatorStatus.NONE: Look("No engine", Tone.NEUTRAL, "engine"),
    IndicatorStatus.UNAVAILABLE: Look("Unavailable", Tone.DANGER, "error"),
    IndicatorStatus.WAITING: Look("Needs an operator", Tone.WARNING, "warning"),
    IndicatorStatus.MOVING: Look("Moving", Tone.INFO, "progress"),
    IndicatorStatus.REPLACED: Look("Another engine answers", Tone.WARNING, "warning"),
    IndicatorStatus.RETRAIN: Look("Adapters need retraining", Tone.WARNING, "warning"),
    IndicatorStatus.READY: Look("Ready", Tone.SUCCESS, "success"),
}


@dataclass(frozen=True, slots=True)
class IndicatedEngine:
    """The engine that answers; ``source`` is "own", or "default" for who chose none."""

    model_id: str
    display_name: str
    family: str
    source: str
    since: datetime | None
    plan_id: UUID | None
    """Of the plan that brought the person here; None when it was chosen at once, or by default."""


@dataclass(frozen=True, slots=True)
class Moving:
    """A plan about this person that is under way."""

    plan_id: UUID
    to: str
    percentage: float
    needs_operator: bool


@dataclass(frozen=True, slots=True)
class EngineIndicator:
    """What the indicator shows of one person at one moment."""

    status: IndicatorStatus
    engine: IndicatedEngine | None
    moving: Moving | None
    adapters_to_retrain: int

    @property
    def look(self) -> Look:
        """Return its label, tone, icon and sign."""
        return INDICATOR_LOOKS[self.status]

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        return _SENTENCES[self.status].format(
            engine=self.engine.display_name if self.engine else "",
            to=self.moving.to if self.moving else "",
            percentage=int(self.moving.percentage) if self.moving else 0,
            adapters=_left_behind(self.adapters_to_retrain),
        )


_SENTENCES = {
    IndicatorStatus.NONE: "No engine answers you yet; choose one.",
    IndicatorStatus.UNAVAILABLE: "{engine} answers you, but no host that is up has it.",
    IndicatorStatus.WAITING: "The way to {to} has stopped and waits for an operator.",
    IndicatorStatus.MOVING: "You are moving to {to}: {percentage} %.",
    IndicatorStatus.REPLACED: "No host that is up has {engine}; another engine answers meanwhile.",
    IndicatorStatus.RETRAIN: "{engine} answers you, without {adapters} trained for another engine.",
    IndicatorStatus.READY: "{engine} answers you.",
}


def _left_behind(adapters: int) -> str:
    return "an adapter that was" if adapters == 1 else f"{adapters} adapters that were"


@PreparedQuery
def _indicated(user: Parameter) -> QuerySet[User]:
    person = with_engine_choice(User.objects.filter(pk=user)).only("pk")
    engine = CatalogModel.objects.filter(pk=OuterRef("chosen_engine"))
    copies = ModelCopy.objects.filter(
        revision=OuterRef("chosen_revision"), status=CopyStatus.DOWNLOADED, host__in=present_hosts()
    )
    plans = Plan.objects.filter(user=OuterRef("pk"))
    running = plans.filter(status=PlanStatus.IN_PROGRESS, kind__in=MOVES)[:1]
    stopped = Step.objects.filter(
        plan__user=OuterRef("pk"),
        plan__status=PlanStatus.IN_PROGRESS,
        plan__kind__in=MOVES,
        status=StepStatus.NEEDS_OPERATOR,
    )
    made = plans.filter(
        kind__in=(PlanKind.MIGRATE, PlanKind.ROLLBACK),
        status=PlanStatus.COMPLETED,
        to_revision=OuterRef("engine_preference__revision"),
        finished_at__gte=OuterRef("engine_preference__last_upgrade"),
    ).order_by("finished_at")[:1]
    left = LoraAdapter.objects.filter(user=OuterRef("pk"), status=AdapterStatus.INVALIDATED)
    return person.annotate(
        model_id=Subquery(engine.values("model_id")),
        display_name=Subquery(engine.values("display_name")),
        family=Subquery(engine.values("model_family")),
        own_engine=F("engine_preference__engine"),
        since=F("engine_preference__last_upgrade"),
        has_host=Exists(copies),
        made_by=Subquery(made.values("pk")),
        running=Subquery(running.values("pk")),
        running_to=Subquery(running.values("to_engine__display_name")),
        percentage=Subquery(running.values("progress_percentage")),
        needs_operator=Exists(stopped),
        to_retrain=Subquery(
            left.order_by().values("user").annotate(number=Count("pk")).values("number")
        ),
    )


def indicator_of(user: User) -> EngineIndicator:
    """Return what answers a person and how that stands; for an unknown person, that nothing does."""
    row: Any = _indicated.first(user.pk)
    if row is None:
        return EngineIndicator(IndicatorStatus.NONE, None, None, 0)
    moving = None
    if row.running is not None:
        to = row.running_to or "what was before"
        moving = Moving(row.running, to, row.percentage, row.needs_operator)
    engine = None
    if row.model_id is not None:
        source = "default" if row.own_engine is None else "own"
        own = source == "own"
        engine = IndicatedEngine(
            row.model_id,
            row.display_name,
            row.family,
            source,
            row.since if own else None,
            row.made_by if own else None,
        )
    status = _status(user, row, moving)
    return EngineIndicator(status, engine, moving, row.to_retrain or 0)


def _status(user: User, row: Any, moving: Moving | None) -> IndicatorStatus:
    if row.model_id is not None and not row.has_host and not (moving and moving.needs_operator):
        engine = CatalogModel.objects.get(pk=row.chosen_engine)
        has_other = bool(fallbacks_for(user, engine))
        return IndicatorStatus.REPLACED if has_other else IndicatorStatus.UNAVAILABLE
    if moving is not None:
        return IndicatorStatus.WAITING if moving.needs_operator else IndicatorStatus.MOVING
    if row.model_id is None:
        return IndicatorStatus.NONE
    return IndicatorStatus.RETRAIN if row.to_retrain else IndicatorStatus.READY


@dataclass(frozen=True, slots=True)
class LeftAdapter:
    """An adapter that a switch left behind, and which."""

    name: str
    trained_for: str
    migration_id: str
    since: str
    """ISO 8601."""


@dataclass(frozen=True, slots=True)
class AdapterWarning:
    """The adapters of a person that are not used any more because their engine is not."""

    count: int
    adapters: Sequence[LeftAdapter]
    """The first of them by name."""

    look = Look("Adapters need retraining", Tone.WARNING, "warning")

    @property
    def sentence(self) -> str:
        """Say what is the matter and what to do."""
        names = ", ".join(f"“{adapter.name}”" for adapter in self.adapters[:MAX_IN_SENTENCE])
        more = self.count - MAX_IN_SENTENCE
        named = f"{names} and {more} more" if more > 0 else names
        verbs = "was trained" if self.count == 1 else "were trained"
        return (
            f"{named} {verbs} for another engine and cannot be used with this one. Train again, or go "
            "back to the engine before."
        )


def adapter_warning_of(indicator: EngineIndicator, user: User) -> AdapterWarning | None:
    """Return the warning about a person's adapters; None when all are valid, without asking again."""
    if not indicator.adapters_to_retrain:
        return None
    rows = LoraAdapter.objects.filter(user=user, status=AdapterStatus.INVALIDATED)
    named = rows.select_related("base_revision__model").order_by("name")[:MAX_NAMED]
    return AdapterWarning(indicator.adapters_to_retrain, [_left(adapter) for adapter in named])


def _left(adapter: LoraAdapter) -> LeftAdapter:
    needed = retraining_of(adapter)
    return LeftAdapter(
        adapter.name,
        adapter.base_revision.model.display_name,
        needed.migration_id if needed else "",
        needed.since if needed else "",
    )
