"""The only writer of a status. Every move locks step, then plan; checks the table of moves; leaves an event.

A holder proves itself with a ``Claim``: step, fence and owner. Whoever lost the fence changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import ConflictError, IllegalMoveError, NotFoundError
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.states import (
    PLAN_MOVES,
    POINT_OF_NO_RETURN,
    STEP_FINAL,
    STEP_MOVES,
    PlanKind,
    PlanStatus,
    StepStatus,
)
from migrations_app.wakeups import publish_step_on_commit

MAX_ATTEMPTS = 20
"""Claims of one step before an operator is asked: a step that kills its worker must not loop."""

MAX_FAILURES = 6
"""Transient errors of one step before an operator is asked."""


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


def start_plan(plan_id: UUID | str, *, who: str) -> Plan:
    """Move a pending plan to in_progress and make its first step ready.

    Locks steps, then the plan. Starting twice is a no-op. Raises IllegalMoveError; the database
    refuses a second active migration of one person with IntegrityError.
    """
    with transaction.atomic():
        plan = _lock_plan(plan_id)
        if plan.status == PlanStatus.IN_PROGRESS:
            return plan
        _move_plan(plan, PlanStatus.IN_PROGRESS, who=who, why="Started.")
        _make_ready(plan, after=-1)
        return plan


def claim_step(step_id: int, owner: str) -> Claim | None:
    """Take a ready step, or one whose holder's lease ran out; None when there is nothing to take."""
    with transaction.atomic():
        step = _claimable(step_id)
        if step is None:
            return None
        if step.plan.cancel_requested_at is not None:
            _cancel_open_steps(step.plan, who=owner)
            return None
        if step.attempts >= MAX_ATTEMPTS:
            _ask_operator(step, who=owner, error=f"Claimed {step.attempts} times without an end.")
            return None
        return _take(step, owner)


def finish_step(claim: Claim, outcome: Outcome) -> Plan:
    """Complete the step and all its effects in one transaction, and make the next one ready.

    Raises LeaseLostError or CancelAskedError, and whatever the effects raise; then nothing is
    committed. A step that this very claim completed before (the COMMIT's answer was lost) is left.
    """
    with transaction.atomic():
        _set_lock_timeout()
        step = _lock_held(claim, allow_completed=True)
        plan = _lock_plan_row(step.plan_id)
        if step.status == StepStatus.COMPLETED:
            return plan
        if plan.cancel_requested_at is not None:
            raise CancelAskedError("The plan is to be cancelled.")
        if outcome.effects is not None:
            outcome.effects()
        step.progress, step.result, step.detail = 1.0, dict(outcome.result), outcome.sentence[:300]
        _move_step(step, StepStatus.COMPLETED, who=claim.owner, why=outcome.sentence)
        plan.refresh_from_db(fields=["status", "switched", "retention_until"])
        if _make_ready(plan, after=step.position) is None:
            _complete_plan(plan, who=claim.owner)
        return plan


def release_step(claim: Claim, *, why: str, delay: float = 0.0, failed: bool = False) -> None:
    """Give a step back, to be claimed again after ``delay`` seconds; spent retries ask an operator."""
    with transaction.atomic():
        step = _lock_held(claim)
        step.failures += int(failed)
        if step.failures >= MAX_FAILURES:
            _ask_operator(step, who=claim.owner, error=why)
            return
        step.error = why if failed else step.error
        step.lease_until, step.owner, step.published_at = None, "", None
        _move_step(step, StepStatus.PENDING, who=claim.owner, why=why)
        Step.objects.filter(pk=step.pk).update(ready_at=seconds_from_now(delay))
        if delay == 0:
            publish_step_on_commit(step.pk)


def fail_step(claim: Claim, *, error: str) -> None:
    """End the step, and its plan when nothing was switched yet; later an operator decides."""
    with transaction.atomic():
        step = _lock_held(claim)
        plan = _lock_plan_row(step.plan_id)
        if _is_switched(plan):
            _ask_operator(step, who=claim.owner, error=error)
            return
        step.error = error
        _move_step(step, StepStatus.FAILED, who=claim.owner, why=error)
        _cancel_pending(plan, who=claim.owner, why="A step before it failed.")
        plan.error_message = error
        _move_plan(plan, PlanStatus.FAILED, who=claim.owner, why=error)


def cancel_step(claim: Claim) -> None:
    """End a running step whose plan is to be cancelled, and the plan with it."""
    with transaction.atomic():
        step = _lock_held(claim)
        plan = _lock_plan_row(step.plan_id)
        _move_step(step, StepStatus.CANCELLED, who=claim.owner, why="Cancelled on request.")
        _cancel_open_steps(plan, who=claim.owner)


def request_cancel(plan_id: UUID | str, *, who: str) -> Plan:
    """Ask a plan to stop; what no worker holds is cancelled at once.

    Raises ConflictError ("roll back instead") once the switch is committed, IllegalMoveError when the
    plan has ended. Asking twice is a no-op.
    """
    with transaction.atomic():
        plan = _lock_plan(plan_id)
        if plan.status == PlanStatus.CANCELLED:
            return plan
        if _is_switched(plan) and plan.status != PlanStatus.ROLLED_BACK:
            other = "migrate again" if plan.kind == PlanKind.ROLLBACK else "roll the plan back"
            raise ConflictError(
                f"The switch is already committed; {other} instead of cancelling it."
            )
        if plan.status not in (PlanStatus.PENDING, PlanStatus.IN_PROGRESS):
            raise IllegalMoveError(
                f"The plan is {plan.status}; only an open plan can be cancelled."
            )
        if plan.cancel_requested_at is None:
            plan.cancel_requested_at = timezone.now()
            plan.save(update_fields=["cancel_requested_at"])
            _record(plan, None, plan.status, plan.status, who=who, why="Cancel requested.")
        if not plan.steps.filter(status=StepStatus.IN_PROGRESS).exists():
            _cancel_open_steps(plan, who=who)
        return plan


def retry_step(plan_id: UUID | str, *, who: str) -> Step:
    """Let a step that needs an operator be tried again from fresh counters."""
    with transaction.atomic():
        plan = _lock_plan(plan_id)
        step = plan.steps.filter(status=StepStatus.NEEDS_OPERATOR).first()
        if step is None:
            raise IllegalMoveError("No step of this plan waits for an operator.")
        step.attempts = step.failures = 0
        step.published_at, step.ready_at = None, timezone.now()
        _move_step(step, StepStatus.PENDING, who=who, why="Retried by an operator.")
        publish_step_on_commit(step.pk)
        return step


def mark_rolled_back(plan_id: UUID | str, *, who: str, why: str) -> None:
    """Move a completed plan to rolled_back; part of the effects of the way back."""
    plan = _lock_plan_row(plan_id)
    _move_plan(plan, PlanStatus.ROLLED_BACK, who=who, why=why)


# --- the moves themselves, under locks that the functions above took ---------------------------


def _lock_plan(plan_id: UUID | str) -> Plan:
    list(Step.objects.select_for_update().filter(plan_id=plan_id).order_by("pk"))
    return _lock_plan_row(plan_id)


def _lock_plan_row(plan_id: UUID | str) -> Plan:
    plan = Plan.objects.select_for_update(no_key=True).filter(pk=plan_id).first()
    if plan is None:
        raise NotFoundError("There is no such plan.")
    return plan


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
    step.started_at = step.started_at or timezone.now()
    step.lease_until = timezone.now()
    if taken_over:
        step.save()
        _record(step.plan, step, step.status, step.status, who=owner, why=why)
    else:
        _move_step(step, StepStatus.IN_PROGRESS, who=owner, why=why)
    Step.objects.filter(pk=step.pk).update(lease_until=seconds_from_now(settings.SAM_LEASE_SECONDS))
    Plan.objects.filter(pk=step.plan_id).update(current_step=step.kind)
    return Claim(step.pk, step.fence, owner)


def _move_step(step: Step, to: StepStatus, *, who: str, why: str) -> None:
    current = StepStatus(step.status)
    if to not in STEP_MOVES[current]:
        raise IllegalMoveError(f"A step that is {current} cannot become {to}.")
    step.status = to
    if to in STEP_FINAL:
        step.finished_at, step.lease_until, step.owner = timezone.now(), None, ""
    step.save()
    _record(step.plan, step, current, to, who=who, why=why)


def _move_plan(plan: Plan, to: PlanStatus, *, who: str, why: str) -> None:
    current = PlanStatus(plan.status)
    if to not in PLAN_MOVES[current]:
        raise IllegalMoveError(f"A plan that is {current} cannot become {to}.")
    plan.status = to
    if to == PlanStatus.IN_PROGRESS:
        plan.started_at = timezone.now()
    elif plan.finished_at is None:
        plan.finished_at = timezone.now()
    plan.save(update_fields=["status", "started_at", "finished_at", "error_message"])
    _record(plan, None, current, to, who=who, why=why)


def _record(plan: Plan, step: Step | None, old: str, new: str, *, who: str, why: str) -> None:
    PlanEvent.objects.create(plan=plan, step=step, from_status=old, to_status=new, who=who, why=why)


def _make_ready(plan: Plan, *, after: int) -> Step | None:
    step = plan.steps.filter(position__gt=after).order_by("position").first()
    if step is None:
        return None
    done = after + 1
    Plan.objects.filter(pk=plan.pk).update(
        current_step=step.kind, progress_percentage=100.0 * done / max(plan.steps.count(), 1)
    )
    Step.objects.filter(pk=step.pk).update(ready_at=ClockTimestamp())
    publish_step_on_commit(step.pk)
    return step


def _complete_plan(plan: Plan, *, who: str) -> None:
    Plan.objects.filter(pk=plan.pk).update(progress_percentage=100.0, current_step="")
    _move_plan(plan, PlanStatus.COMPLETED, who=who, why="Every step is completed.")


def _cancel_pending(plan: Plan, *, who: str, why: str) -> None:
    open_steps = [StepStatus.PENDING, StepStatus.NEEDS_OPERATOR]
    for step in plan.steps.filter(status__in=open_steps).order_by("pk"):
        _move_step(step, StepStatus.CANCELLED, who=who, why=why)


def _cancel_open_steps(plan: Plan, *, who: str) -> None:
    plan = _lock_plan_row(plan.pk)
    why = "Cancelled on request."
    for step in plan.steps.filter(status=StepStatus.IN_PROGRESS).order_by("pk"):
        _move_step(step, StepStatus.CANCELLED, who=who, why=why)
    _cancel_pending(plan, who=who, why=why)
    _move_plan(plan, PlanStatus.CANCELLED, who=who, why=why)


def _ask_operator(step: Step, *, who: str, error: str) -> None:
    step.error = error
    step.lease_until, step.owner = None, ""
    _move_step(step, StepStatus.NEEDS_OPERATOR, who=who, why=error)


def _is_switched(plan: Plan) -> bool:
    return plan.steps.filter(kind__in=POINT_OF_NO_RETURN, status=StepStatus.COMPLETED).exists()


def _set_lock_timeout() -> None:
    """Be the one who waits briefly and comes again, never the one a writer waits for."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
