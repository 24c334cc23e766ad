"""What people, and the sweeper for them, ask of a plan: start, stop, try again, move, end."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from engines.exceptions import ConflictError, IllegalMoveError
from engines.models import Host
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions.moves import (
    begin_anew,
    cancel_open_steps,
    complete_without_rest,
    give_up,
    is_held,
    is_switched,
    lock_plan_and_steps,
    lock_plan_row,
    make_ready,
    move_plan_status,
    move_step_status,
    record,
)
from migrations_app.states import PLAN_OPEN, STEP_FINAL, PlanKind, PlanStatus, StepStatus
from migrations_app.wakeups import publish_step_on_commit

TOO_LATE_FOR_A_MOVE = (
    "The switch is already committed; roll the plan back instead of cancelling it."
)
TOO_LATE: dict[PlanKind, str] = {
    PlanKind.ROLLBACK: "The switch is already committed; migrate again instead of cancelling it.",
    PlanKind.RESTORE: (
        "Everything is put back already; to undo that, restore the backup that this plan made first."
    ),
}


def start_plan(plan_id: UUID | str, *, who: str) -> Plan:
    """Move a pending plan to in_progress and make its first step ready.

    Locks steps, then the plan. Starting twice is a no-op. Raises IllegalMoveError; the database
    refuses a second active migration of one person with IntegrityError.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status == PlanStatus.IN_PROGRESS:
            return plan
        if plan.status == PlanStatus.PAUSED:
            raise IllegalMoveError("The plan is paused; resume it.")
        plan.error_message = ""
        move_plan_status(plan, PlanStatus.IN_PROGRESS, who=who, why="Started.")
        make_ready(plan, after=-1)
        return plan


def request_cancel(plan_id: UUID | str, *, who: str) -> Plan:
    """Ask a plan to stop; what no worker holds is cancelled at once.

    Raises ConflictError ("roll back instead") once the switch is committed, IllegalMoveError when the
    plan has ended. Asking twice is a no-op.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status == PlanStatus.CANCELLED:
            return plan
        if is_switched(plan) and plan.status != PlanStatus.ROLLED_BACK:
            raise ConflictError(TOO_LATE.get(PlanKind(plan.kind), TOO_LATE_FOR_A_MOVE))
        if plan.status not in PLAN_OPEN:
            raise IllegalMoveError(
                f"The plan is {plan.status}; only an open plan can be cancelled."
            )
        if plan.cancel_requested_at is None:
            plan.cancel_requested_at = timezone.now()
            plan.save(update_fields=["cancel_requested_at"])
            record(plan, None, plan.status, plan.status, who=who, why="Cancel requested.")
        if not plan.steps.filter(status=StepStatus.IN_PROGRESS).exists():
            cancel_open_steps(plan, who=who)
        return plan


def retry_step(plan_id: UUID | str, *, who: str) -> Step:
    """Let a step that needs an operator be tried again from fresh counters."""
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        step = plan.steps.filter(status=StepStatus.NEEDS_OPERATOR).first()
        if step is None:
            raise IllegalMoveError("No step of this plan waits for an operator.")
        begin_anew(step)
        move_step_status(step, StepStatus.PENDING, who=who, why="Retried by an operator.")
        publish_step_on_commit(step.pk)
        return step


def ask_operator(step_id: int, *, who: str, error: str) -> bool:
    """Have an operator look at a pending step that nobody can take; False when it is not pending."""
    with transaction.atomic():
        waiting = Step.objects.select_for_update(no_key=True, of=("self",))
        step = waiting.filter(pk=step_id, status=StepStatus.PENDING).first()
        if step is not None:
            give_up(step, who=who, error=error)
        return step is not None


def complete_with_warning(plan_id: UUID | str, *, who: str, warning: str) -> Plan:
    """End a plan whose switch is committed without what was to follow; whoever works on that loses it.

    Raises ConflictError before the switch; a completed plan is left alone.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status == PlanStatus.COMPLETED:
            return plan
        if not is_switched(plan):
            raise ConflictError("Nothing is switched yet; cancel the plan instead.")
        complete_without_rest(plan, who=who, warning=warning)
        return plan


def move_plan(plan_id: UUID | str, host: Host, *, who: str, why: str) -> Plan:
    """Give all that is left of an open plan to another host, to be begun there anew.

    Raises IllegalMoveError when the plan has ended, ConflictError while a worker holds one of its steps.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status not in (PlanStatus.PENDING, PlanStatus.IN_PROGRESS):
            raise IllegalMoveError(f"The plan is {plan.status}; only an open one can be moved.")
        if is_held(plan):
            raise ConflictError(
                f"A worker of {plan.host} holds the step {plan.current_step}; wait until it ends or "
                "its lease runs out."
            )
        sentence = f"Moved from {plan.host} to {host}. {why}"
        for step in plan.steps.filter(host__isnull=False).exclude(status__in=STEP_FINAL):
            _move_to_host(step, host, who=who, why=sentence)
        plan.host = host
        plan.save(update_fields=["host"])
        record(plan, None, plan.status, plan.status, who=who, why=sentence)
        return plan


def mark_rolled_back(plan_id: UUID | str, *, who: str, why: str) -> None:
    """Move a completed plan to rolled_back; part of the effects of the way back."""
    plan = lock_plan_row(plan_id)
    move_plan_status(plan, PlanStatus.ROLLED_BACK, who=who, why=why)


def _move_to_host(step: Step, host: Host, *, who: str, why: str) -> None:
    step.host = host
    is_next = step.ready_at is not None
    if is_next:
        begin_anew(step)
    if step.status == StepStatus.PENDING:
        step.save()
    else:
        move_step_status(step, StepStatus.PENDING, who=who, why=why)
    if is_next:
        publish_step_on_commit(step.pk)
