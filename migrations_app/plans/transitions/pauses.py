"""A download waits for as long as somebody wants, and goes on from the bytes that are there.

The pause takes the step from its worker at once: the row says nobody holds it, the worker finds out at its next
look and stops writing. Nothing has to be agreed with it, so a worker that dies meanwhile changes nothing.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engines.exceptions import IllegalMoveError
from engines.models import CopyStatus, ModelCopy
from engines.services.hosts import refuse_leaving_host
from migrations_app.models import Plan
from migrations_app.plans.transitions.moves import (
    begin_anew,
    lock_plan_and_steps,
    move_plan_status,
    move_step_status,
)
from migrations_app.states import STEP_FINAL, PlanKind, PlanStatus, StepStatus
from migrations_app.wakeups import publish_step_on_commit

MAKE_ANOTHER = "cancel it, and download to another host."


def request_pause(plan_id: UUID | str, *, who: str) -> Plan:
    """Have a running download wait; its parts stay on the host, which holds no lease for it.

    Pausing twice is a no-op. Raises IllegalMoveError for what is no download, does not run, waits for an
    operator, or is asked to stop.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status == PlanStatus.PAUSED:
            return plan
        step = plan.steps.exclude(status__in=STEP_FINAL).order_by("position").first()
        if plan.kind != PlanKind.DOWNLOAD or plan.status != PlanStatus.IN_PROGRESS or step is None:
            raise IllegalMoveError("Only a download that runs can be paused.")
        if plan.cancel_requested_at is not None:
            raise IllegalMoveError("The download is asked to stop already.")
        if step.status == StepStatus.NEEDS_OPERATOR:
            raise IllegalMoveError("The download waits for an operator; retry or cancel it.")
        step.owner, step.lease_until, step.ready_at, step.published_at = "", None, None, None
        if step.status == StepStatus.IN_PROGRESS:
            move_step_status(step, StepStatus.PENDING, who=who, why="Paused.")
        else:
            step.save()
        move_plan_status(plan, PlanStatus.PAUSED, who=who, why="Paused.")
        _release_copy(plan)
        return plan


def resume_plan(plan_id: UUID | str, *, who: str) -> Plan:
    """Have a paused download go on from what has arrived. One that runs already is left alone.

    Raises IllegalMoveError when the plan has ended or has not started, ConflictError when its host is
    leaving.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status == PlanStatus.IN_PROGRESS:
            return plan
        if plan.status != PlanStatus.PAUSED:
            raise IllegalMoveError(f"The plan is {plan.status}; only a paused one can be resumed.")
        refuse_leaving_host(plan.host, way_out=MAKE_ANOTHER)
        move_plan_status(plan, PlanStatus.IN_PROGRESS, who=who, why="Resumed.")
        step = plan.steps.exclude(status__in=STEP_FINAL).order_by("position").first()
        if step is not None:
            begin_anew(step)
            step.save()
            publish_step_on_commit(step.pk)
        return plan


def _release_copy(plan: Plan) -> None:
    """Say of the file of a paused plan that nobody fetches it now."""
    ModelCopy.objects.filter(
        revision=plan.to_revision_id, host=plan.host_id, status=CopyStatus.DOWNLOADING
    ).update(status=CopyStatus.NOT_DOWNLOADED, error="")
