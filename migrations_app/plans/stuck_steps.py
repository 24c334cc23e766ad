"""Steps that nobody will take as things are: their host is lost, or does not know their kind.

What becomes of them: a plan about a person goes on at another host, where its files are or can be fetched.
Where there is none, housekeeping after a switch is left out with a warning, a kind that no host knows asks
an operator, and everything else waits for its host; it can be cancelled meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import ConflictError, HostUnavailableError, UnsafeModelFileError
from engines.models import Host
from engines.services.hosts import present_hosts
from migrations_app.models import Plan, Step
from migrations_app.plans.plan_revisions import list_needed_revisions
from migrations_app.plans.planning import choose_host
from migrations_app.plans.transitions import (
    ask_operator,
    complete_with_warning,
    describe_left_out,
    move_plan,
)
from migrations_app.states import ABOUT_PEOPLE, HOUSEKEEPING, STEP_FINAL, PlanStatus, StepStatus

logger = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)
"""How long a host may be silent, or run an older program than its steps, before its steps go elsewhere."""


def free_stuck_steps(*, who: str) -> int:
    """Give each stuck step its end; returns how many plans were moved, ended or shown to an operator."""
    silent = [
        _Stuck(step, f"The host {step.host} is lost.", waits=True) for step in _of_silent_hosts()
    ]
    unknown = [_Stuck(step, _unknown(step), waits=False) for step in _of_unknown_kinds()]
    return sum(_free(stuck, who) for stuck in [*silent, *unknown])


@dataclass(frozen=True, slots=True)
class _Stuck:
    """A step that nobody will take, why, and whether it may wait for its host to come back."""

    step: Step
    reason: str
    waits: bool


def _next_steps() -> QuerySet[Step]:
    untaken = Q(status=StepStatus.PENDING, ready_at__isnull=False)
    abandoned = Q(status=StepStatus.IN_PROGRESS, lease_until__lt=ClockTimestamp())
    running = Step.objects.filter(plan__status=PlanStatus.IN_PROGRESS)
    open_steps = running.filter(untaken | abandoned, plan__cancel_requested_at__isnull=True)
    return open_steps.select_related("plan", "host").order_by("pk")


def _of_silent_hosts() -> QuerySet[Step]:
    """Whatever its status: a host that dies while it drains is not called lost."""
    return _next_steps().filter(host__last_seen__lt=seconds_from_now(-PATIENCE.total_seconds()))


def _of_unknown_kinds() -> list[Step]:
    waiting = _next_steps().filter(
        host__in=present_hosts(), ready_at__lt=seconds_from_now(-PATIENCE.total_seconds())
    )
    return [step for step in waiting if step.host and step.kind not in step.host.announces]


def _free(stuck: _Stuck, who: str) -> bool:
    step, reason = stuck.step, stuck.reason
    try:
        if step.plan.kind in ABOUT_PEOPLE and _move(step, who, reason):
            return True
        if step.kind in HOUSEKEEPING:
            warning = describe_left_out(step, reason)
            complete_with_warning(step.plan_id, who=who, warning=warning)
            return True
        return not stuck.waits and ask_operator(step.pk, who=who, error=reason)
    except ConflictError as error:
        # A worker came back between the look and the lock.
        logger.info("step %s is left alone: %s", step.pk, error)
        return False


def _unknown(step: Step) -> str:
    return (
        f"No host that could run it knows the step {step.kind}: the workers of {step.host} are of an "
        "older program. Update them, then retry."
    )


def _move(step: Step, who: str, reason: str) -> bool:
    host = _host_for(step.plan, step)
    if host is None:
        return False
    move_plan(step.plan_id, host, who=who, why=reason)
    return True


def _host_for(plan: Plan, step: Step) -> Host | None:
    """Return a present host that knows all the steps left; for housekeeping one that has the files."""
    left = plan.steps.filter(host__isnull=False).exclude(status__in=STEP_FINAL)
    kinds = sorted(set(left.values_list("kind", flat=True)))
    able = present_hosts().filter(announces__contains=kinds).exclude(pk=step.host_id or 0)
    needed = list_needed_revisions(plan)
    if step.kind in HOUSEKEEPING:
        for revision in needed[:1]:
            able = able.filter(copies__revision=revision, copies__status="downloaded")
    try:
        return choose_host(needed, among=able)
    except (HostUnavailableError, UnsafeModelFileError):
        return None
