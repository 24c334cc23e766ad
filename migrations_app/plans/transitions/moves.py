"""The moves themselves: each checks the table, writes one status and leaves an event; callers hold the locks."""

from __future__ import annotations

from uuid import UUID

from engines.db.clock import ClockTimestamp, read_clock
from engines.exceptions import IllegalMoveError, NotFoundError
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.notices import notify_of_plan, notify_of_waiting_step
from migrations_app.plans.transitions.host_room import call_waiting_on_commit
from migrations_app.serving.news import PlanNews, tell_on_commit
from migrations_app.states import (
    HOUSEKEEPING,
    PLAN_MOVES,
    POINT_OF_NO_RETURN,
    STEP_FINAL,
    STEP_MOVES,
    PlanKind,
    PlanStatus,
    StepStatus,
)
from migrations_app.wakeups import publish_step_on_commit


def lock_plan_and_steps(plan_id: UUID | str) -> Plan:
    """Lock a plan's steps, then the plan; NotFoundError when there is none."""
    list(Step.objects.select_for_update().filter(plan_id=plan_id).order_by("pk"))
    return lock_plan_row(plan_id)


def lock_plan_row(plan_id: UUID | str) -> Plan:
    """Lock the plan alone, by whoever holds its step already."""
    plan = Plan.objects.select_for_update(no_key=True).filter(pk=plan_id).first()
    if plan is None:
        raise NotFoundError("There is no such plan.")
    return plan


def move_step_status(step: Step, to: StepStatus, *, who: str, why: str) -> None:
    """Move a locked step; a step that has ended has no holder. Raises IllegalMoveError.

    However a step stops running, it makes room on its host for one that waits there.
    """
    current = StepStatus(step.status)
    if to not in STEP_MOVES[current]:
        raise IllegalMoveError(f"A step that is {current} cannot become {to}.")
    step.status = to
    if to in STEP_FINAL:
        step.finished_at, step.lease_until, step.owner = read_clock(), None, ""
    step.save()
    record(step.plan, step, current, to, who=who, why=why)
    if current == StepStatus.IN_PROGRESS:
        call_waiting_on_commit(step.host_id)


def move_plan_status(plan: Plan, to: PlanStatus, *, who: str, why: str) -> None:
    """Move a locked plan; raises IllegalMoveError."""
    current = PlanStatus(plan.status)
    if to not in PLAN_MOVES[current]:
        raise IllegalMoveError(f"A plan that is {current} cannot become {to}.")
    plan.status = to
    if to == PlanStatus.IN_PROGRESS:
        plan.started_at = plan.started_at or read_clock()
    elif to != PlanStatus.PAUSED and plan.finished_at is None:
        plan.finished_at = read_clock()
    plan.save(update_fields=["status", "started_at", "finished_at", "error_message", "warning"])
    record(plan, None, current, to, who=who, why=why)
    notify_of_plan(plan, to, who=who)


def record(plan: Plan, step: Step | None, old: str, new: str, *, who: str, why: str) -> None:
    """Leave an event, and have it told to pages that are open."""
    PlanEvent.objects.create(plan=plan, step=step, from_status=old, to_status=new, who=who, why=why)
    tell_on_commit(PlanNews(plan=str(plan.pk)))


def make_ready(plan: Plan, *, after: int) -> Step | None:
    """Let the step after a position be claimed; None when there is none."""
    step = plan.steps.filter(position__gt=after).order_by("position").first()
    if step is None:
        return None
    done = after + 1
    Plan.objects.filter(pk=plan.pk).update(
        current_step=step.kind, progress_percentage=100.0 * done / plan.steps.count()
    )
    Step.objects.filter(pk=step.pk).update(ready_at=ClockTimestamp())
    publish_step_on_commit(step.pk)
    return step


def complete_plan(plan: Plan, *, who: str, why: str = "Every step is completed.") -> None:
    """End a locked plan as completed."""
    Plan.objects.filter(pk=plan.pk).update(progress_percentage=100.0, current_step="")
    if plan.kind == PlanKind.RESTORE:
        plan.warning = " ".join(filter(None, [plan.warning, *plan.switched.get("left", [])]))
    move_plan_status(plan, PlanStatus.COMPLETED, who=who, why=why)


def cancel_pending(plan: Plan, *, who: str, why: str) -> None:
    """Cancel the steps of a locked plan that nobody works on."""
    open_steps = [StepStatus.PENDING, StepStatus.NEEDS_OPERATOR]
    for step in plan.steps.filter(status__in=open_steps).order_by("pk"):
        move_step_status(step, StepStatus.CANCELLED, who=who, why=why)


def cancel_open_steps(plan: Plan, *, who: str, why: str = "Cancelled on request.") -> None:
    """Cancel what is open of a plan, and the plan; the caller holds its steps."""
    plan = lock_plan_row(plan.pk)
    for step in plan.steps.filter(status=StepStatus.IN_PROGRESS).order_by("pk"):
        move_step_status(step, StepStatus.CANCELLED, who=who, why=why)
    cancel_pending(plan, who=who, why=why)
    move_plan_status(plan, PlanStatus.CANCELLED, who=who, why=why)


def give_up(step: Step, *, who: str, error: str) -> None:
    """Ask an operator; nobody needs to be asked about housekeeping, and nobody waits for it."""
    step.error = error
    step.lease_until, step.owner = None, ""
    if step.kind not in HOUSEKEEPING:
        move_step_status(step, StepStatus.NEEDS_OPERATOR, who=who, why=error)
        notify_of_waiting_step(step)
        return
    plan = lock_plan_row(step.plan_id)
    running = step.status == StepStatus.IN_PROGRESS
    end = StepStatus.FAILED if running else StepStatus.CANCELLED
    move_step_status(step, end, who=who, why=error)
    complete_without_rest(plan, who=who, warning=describe_left_out(step, error))


def describe_left_out(step: Step, reason: str) -> str:
    """Say that a step of housekeeping was left out, and that what was asked for is done."""
    is_restore = step.plan.kind == PlanKind.RESTORE
    done = "Everything is put back" if is_restore else "The switch is done"
    return f"{done}; the step {step.kind} after it was left out: {reason}"


def complete_without_rest(plan: Plan, *, who: str, warning: str) -> None:
    """End a locked plan that has switched as completed, with a warning; what is open is cancelled."""
    for step in plan.steps.exclude(status__in=STEP_FINAL).order_by("pk"):
        move_step_status(step, StepStatus.CANCELLED, who=who, why=warning)
    plan.warning = warning
    complete_plan(plan, who=who, why=warning)


def begin_anew(step: Step) -> None:
    """Give a step fresh counters and let it be claimed at once; the caller saves it."""
    step.attempts = step.failures = step.publish_count = 0
    step.lease_until, step.owner, step.published_at = None, "", None
    step.ready_at = read_clock()


def is_switched(plan: Plan) -> bool:
    """Whether the plan is past its point of no return."""
    return plan.steps.filter(kind__in=POINT_OF_NO_RETURN, status=StepStatus.COMPLETED).exists()


def is_held(plan: Plan) -> bool:
    """Whether a worker holds one of the plan's steps under a lease that has not ended."""
    running = plan.steps.filter(status=StepStatus.IN_PROGRESS)
    return running.filter(lease_until__gte=ClockTimestamp()).exists()
