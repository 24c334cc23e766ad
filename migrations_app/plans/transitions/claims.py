"""What a worker does with a step: take it, finish it, give it back, end it; always under its fence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from engines.db.clock import ClockTimestamp, read_clock, seconds_from_now
from engines.exceptions import ConflictError
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.transitions.host_room import describe_no_room
from migrations_app.plans.transitions.moves import (
    cancel_open_steps,
    cancel_pending,
    complete_plan,
    give_up,
    is_switched,
    lock_plan_row,
    make_ready,
    move_plan_status,
    move_step_status,
    record,
)
from migrations_app.states import PlanStatus, StepStatus
from migrations_app.wakeups import publish_step_on_commit

MAX_ATTEMPTS = 20
"""Claims of one step before an operator is asked: a step that kills its worker must not loop."""

MAX_FAILURES = 6
"""Transient errors of one step before an operator is asked."""

DETAIL_LENGTH = 300
"""Of the sentence that a step's row has for people."""


class LeaseLostError(ConflictError):
    """Somebody else holds the step now; the caller must stop and touch nothing."""

    code = "lease_lost"


class CancelAskedError(ConflictError):
    """The plan is to be cancelled; the holder ends its step as cancelled."""

    code = "cancel_asked"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one step until its lease ends or its fence rises."""

    step_id: int
    fence: int
    owner: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did: a sentence, facts, and effects to commit together with its completion."""

    sentence: str
    result: Mapping[str, Any] = field(default_factory=dict)
    effects: Callable[[], None] | None = None


def claim_step(step_id: int, owner: str) -> Claim | None:
    """Take a ready step, or one whose holder's lease ran out; None when there is nothing to take.

    A step for which its host has no room stays; it is called when one of that host's ends.
    """
    with transaction.atomic():
        step = _claimable(step_id)
        if step is None:
            return None
        if step.plan.cancel_requested_at is not None:
            cancel_open_steps(step.plan, who=owner)
            return None
        if step.attempts >= MAX_ATTEMPTS:
            give_up(step, who=owner, error=f"Claimed {step.attempts} times without an end.")
            return None
        waits_for = describe_no_room(step)
        if waits_for:
            note_waiting(step.pk, waits_for)
            return None
        return _take(step, owner)


def note_waiting(step_id: int, why: str) -> None:
    """Tell people what a step waits for that nobody works on."""
    Step.objects.filter(pk=step_id, status=StepStatus.PENDING).update(detail=why)


def finish_step(claim: Claim, outcome: Outcome) -> Plan:
    """Complete the step and all its effects in one transaction, and make the next one ready.

    Raises LeaseLostError or CancelAskedError, and whatever the effects raise; then nothing is
    committed. A step that this very claim completed before (the COMMIT's answer was lost) is left.
    """
    with transaction.atomic():
        _set_lock_timeout()
        step = _lock_held(claim, allow_completed=True)
        plan = lock_plan_row(step.plan_id)
        if step.status == StepStatus.COMPLETED:
            return plan
        if plan.cancel_requested_at is not None:
            raise CancelAskedError("The plan is to be cancelled.")
        if outcome.effects is not None:
            outcome.effects()
        step.progress, step.result, step.detail = (
            1.0,
            dict(outcome.result),
            outcome.sentence[:DETAIL_LENGTH],
        )
        move_step_status(step, StepStatus.COMPLETED, who=claim.owner, why=outcome.sentence)
        plan.refresh_from_db(fields=["status", "switched", "retention_until"])
        if make_ready(plan, after=step.position) is None:
            complete_plan(plan, who=claim.owner)
        return plan


def release_step(claim: Claim, *, why: str, delay: float = 0.0, failed: bool = False) -> None:
    """Give a step back, to be claimed again after ``delay`` seconds.

    Spent retries ask an operator; housekeeping ends its plan with a warning instead. Only a failure is an attempt:
    a worker may be ended any number of times while a step lasts.
    """
    with transaction.atomic():
        step = _lock_held(claim)
        step.failures += int(failed)
        step.attempts -= int(not failed)
        if step.failures >= MAX_FAILURES:
            give_up(step, who=claim.owner, error=why)
            return
        step.error = why if failed else step.error
        step.detail = why[:DETAIL_LENGTH] if delay else step.detail
        step.lease_until, step.owner, step.published_at = None, "", None
        move_step_status(step, StepStatus.PENDING, who=claim.owner, why=why)
        Step.objects.filter(pk=step.pk).update(ready_at=seconds_from_now(delay))
        if delay == 0:
            publish_step_on_commit(step.pk)
        elif not failed:
            _forget_repeated(step)


def yield_step(claim: Claim, *, why: str) -> None:
    """Give a step back to let others have a turn: behind them in its queue, and not as an attempt.

    What it did is kept; it goes on from there.
    """
    with transaction.atomic():
        step = _lock_held(claim)
        step.attempts -= 1
        step.lease_until, step.owner, step.published_at = None, "", None
        move_step_status(step, StepStatus.PENDING, who=claim.owner, why=why)
        Step.objects.filter(pk=step.pk).update(ready_at=ClockTimestamp())
        publish_step_on_commit(step.pk)


def fail_step(claim: Claim, *, error: str) -> None:
    """End the step, and its plan: as failed, or with a warning when the switch is committed."""
    with transaction.atomic():
        step = _lock_held(claim)
        plan = lock_plan_row(step.plan_id)
        if is_switched(plan):
            give_up(step, who=claim.owner, error=error)
            return
        step.error = error
        move_step_status(step, StepStatus.FAILED, who=claim.owner, why=error)
        cancel_pending(plan, who=claim.owner, why="A step before it failed.")
        plan.error_message = error
        move_plan_status(plan, PlanStatus.FAILED, who=claim.owner, why=error)


def cancel_step(claim: Claim) -> None:
    """End a running step whose plan is to be cancelled, and the plan with it."""
    with transaction.atomic():
        step = _lock_held(claim)
        plan = lock_plan_row(step.plan_id)
        move_step_status(step, StepStatus.CANCELLED, who=claim.owner, why="Cancelled on request.")
        cancel_open_steps(plan, who=claim.owner)


def _lock_held(claim: Claim, *, allow_completed: bool = False) -> Step:
    statuses = [StepStatus.IN_PROGRESS] + [StepStatus.COMPLETED] * allow_completed
    step = (
        Step.objects.select_for_update(no_key=True)
        .filter(pk=claim.step_id, fence=claim.fence, status__in=statuses)
        .first()
    )
    if step is None:
        raise LeaseLostError("Another worker holds this step now.")
    return step


def _forget_repeated(step: Step) -> None:
    """Forget an attempt that was put off as the one before: one looks every few seconds, for hours."""
    match list(PlanEvent.objects.filter(step=step).order_by("-id")[:3]):
        case [now, claimed, before] if (now.to_status, now.why) == (before.to_status, before.why):
            PlanEvent.objects.filter(pk__in=[claimed.pk, now.pk]).delete()


def _claimable(step_id: int) -> Step | None:
    ready = Q(status=StepStatus.PENDING, ready_at__lte=ClockTimestamp())
    expired = Q(status=StepStatus.IN_PROGRESS, lease_until__lt=ClockTimestamp())
    return (
        Step.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("plan")
        .filter(ready | expired, pk=step_id)
        .first()
    )


def _take(step: Step, owner: str) -> Claim:
    taken_over = step.status == StepStatus.IN_PROGRESS
    why = f"Taken over from {step.owner}, whose lease ended." if taken_over else "Claimed."
    step.fence += 1
    step.attempts += 1
    step.owner = owner
    now = read_clock()
    step.started_at = step.started_at or now
    step.lease_until = now + timedelta(seconds=settings.SAM_LEASE_SECONDS)
    if taken_over:
        step.save()
        record(step.plan, step, step.status, step.status, who=owner, why=why)
    else:
        move_step_status(step, StepStatus.IN_PROGRESS, who=owner, why=why)
    Plan.objects.filter(pk=step.plan_id).update(current_step=step.kind)
    return Claim(step.pk, step.fence, owner)


def _set_lock_timeout() -> None:
    """Be the one who waits briefly and comes again, never the one a writer waits for."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
