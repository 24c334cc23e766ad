"""Reads what is now, for who begins to listen, polls, or was told of a change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, QuerySet

from engines.models import CatalogModel, EnginePreference, LoraAdapter, Notice
from engines.services.engine_choice import with_engine_choice
from migrations_app.live.messages import (
    AdapterState,
    AdapterStates,
    EngineState,
    PlanState,
    StepState,
    Unread,
)
from migrations_app.live.tail import Owned
from migrations_app.models import Plan, Step
from migrations_app.serving.host_state import find_loaded
from migrations_app.serving.progress import PlanProgress, read_progress
from migrations_app.serving.redis_keys import redis_client
from migrations_app.states import PlanStatus, StepStatus

MAX_PLANS = 100


def plan_states(plans: QuerySet[Plan]) -> list[PlanState]:
    """Return the newest plans of a query as they are now: three questions, however many there are."""
    rows = list(plans.order_by("-created_at", "pk")[:MAX_PLANS])
    steps: dict[UUID, list[Step]] = defaultdict(list)
    for step in Step.objects.filter(plan__in=rows).order_by("position"):
        steps[step.plan_id].append(step)
    running = [plan.pk for plan in rows if plan.status == PlanStatus.IN_PROGRESS]
    told = read_progress(running)
    return [_plan_state(plan, steps[plan.pk], told) for plan in rows]


def _plan_state(plan: Plan, steps: list[Step], told: Mapping[str, PlanProgress]) -> PlanState:
    running = next((step for step in steps if step.status == StepStatus.IN_PROGRESS), None)
    now = told.get(str(plan.pk))
    if running is None or (now is not None and now.step != running.kind):
        # It is of a step before.
        now = None
    if running is not None and now is None:
        now = step_progress(running, len(steps))
    return PlanState(
        id=str(plan.pk),
        kind=plan.kind,
        status=plan.status.value,
        current_step=plan.current_step,
        percentage=round(max(plan.progress_percentage, now.percentage if now else 0.0), 2),
        error=plan.error_message,
        warning=plan.warning,
        cancel_requested=plan.cancel_requested_at is not None,
        steps=[_step_state(step) for step in steps],
        now=now,
    )


def _step_state(step: Step) -> StepState:
    return StepState(
        position=step.position,
        kind=step.kind,
        status=step.status,
        progress=round(step.progress, 4),
        detail=step.detail,
        error=step.error,
    )


def step_progress(step: Step, steps_in_plan: int) -> PlanProgress:
    """Return how far a step is by the database alone: seconds old, and without a pace."""
    return PlanProgress(
        step=step.kind,
        progress=round(step.progress, 4),
        percentage=round(100.0 * (step.position + step.progress) / max(steps_in_plan, 1), 2),
        detail=step.detail,
    )


def running_progress() -> list[tuple[Owned, PlanProgress]]:
    """Return by the database how far running plans are."""
    steps = Step.objects.filter(status=StepStatus.IN_PROGRESS).select_related("plan")
    found = list(steps.order_by("-plan__created_at")[:MAX_PLANS])
    counts: dict[UUID, int] = defaultdict(int)
    for plan_id in Step.objects.filter(plan__in=[s.plan_id for s in found]).values_list(
        "plan", flat=True
    ):
        counts[plan_id] += 1
    return [
        (
            Owned(str(step.plan_id), step.plan.user_id, step.plan.created_by_id),
            step_progress(step, counts[step.plan_id]),
        )
        for step in found
    ]


@dataclass(frozen=True, slots=True)
class PersonState:
    """What a person's stream tells besides plans."""

    engine: EngineState
    adapters: AdapterStates
    unread: Unread


def person_states(user_ids: Iterable[int]) -> dict[int, PersonState]:
    """Return what is known of active people, in as many questions for all as for one."""
    people: list[Any] = list(
        with_engine_choice(User.objects.filter(pk__in=list(user_ids), is_active=True))
    )
    ids = [person.pk for person in people]
    engines = CatalogModel.objects.in_bulk({person.chosen_engine for person in people})
    since = dict(
        EnginePreference.objects.filter(user__in=ids).values_list("user_id", "last_upgrade")
    )
    adapters: dict[int, list[AdapterState]] = defaultdict(list)
    for row in LoraAdapter.objects.filter(user__in=ids).order_by("name"):
        adapters[row.user_id].append(AdapterState(id=row.pk, name=row.name, status=row.status))
    names = {engine.model_id for engine in engines.values()}
    loaded = find_loaded(redis_client(settings.REDIS_URL), names)
    unread = _count_unread(ids)
    return {
        person.pk: PersonState(
            _engine_state(engines.get(person.chosen_engine), person, since.get(person.pk), loaded),
            AdapterStates(adapters=adapters[person.pk]),
            Unread(count=unread.get(person.pk, 0)),
        )
        for person in people
    }


def _engine_state(
    engine: CatalogModel | None, person: Any, since: datetime | None, loaded: Collection[str]
) -> EngineState:
    if engine is None:
        return EngineState(model_id=None)
    return EngineState(
        model_id=engine.model_id,
        name=engine.display_name,
        revision_id=person.chosen_revision,
        since=since,
        is_loaded=engine.model_id in loaded,
    )


def _count_unread(user_ids: Collection[int]) -> dict[int, int]:
    rows = Notice.objects.filter(user__in=user_ids, read_at=None).order_by().values("user")
    return {row["user"]: row["count"] for row in rows.annotate(count=Count("pk"))}
