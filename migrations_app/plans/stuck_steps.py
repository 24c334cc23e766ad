"""Steps that nobody will take as things are: their host is lost, or does not know their kind.

What becomes of them: a plan about a person goes on at another host, where its files are or can be fetched.
Where there is none, housekeeping after a switch is left out with a warning, a kind that no host knows asks
an operator, and everything else waits for its host; it can be cancelled meanwhile.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q, QuerySet

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import ConflictError, HostUnavailableError, UnsafeModelFileError
from engines.models import Host, HostStatus
from engines.services.hosts import present_hosts
from migrations_app.models import Plan, Step
from migrations_app.plans.needs import revisions_needed
from migrations_app.plans.planning import choose_host
from migrations_app.plans.transitions import ask_operator, complete_with_warning, move_plan
from migrations_app.states import HOUSEKEEPING, PERSON_KINDS, STEP_FINAL, PlanStatus, StepStatus

logger = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)
"""How long a host may be silent, or run an older program than its steps, before its steps go elsewhere."""


def free_stuck_steps(*, who: str) -> int:
    """Give each stuck step its end; returns how many plans were moved, ended or shown to an operator."""
    return sum(_free(step, who) for step in [*_of_lost_hosts(), *_of_unknown_kinds()])


def _next_steps() -> QuerySet[Step]:
    untaken = Q(status=StepStatus.PENDING, ready_at__isnull=False)
    abandoned = Q(status=StepStatus.IN_PROGRESS, lease_until__lt=ClockTimestamp())
    running = Step.objects.filter(plan__status=PlanStatus.IN_PROGRESS)
    open_steps = running.filter(untaken | abandoned, plan__cancel_requested_at__isnull=True)
    return open_steps.select_related("plan", "host").order_by("pk")


def _of_lost_hosts() -> QuerySet[Step]:
    gone = Q(host__status__in=[HostStatus.LOST, HostStatus.RETIRED])
    return _next_steps().filter(
        gone, host__last_seen__lt=seconds_from_now(-PATIENCE.total_seconds())
    )


def _of_unknown_kinds() -> list[Step]:
    waiting = _next_steps().filter(
        host__in=present_hosts(), ready_at__lt=seconds_from_now(-PATIENCE.total_seconds())
    )
    return [step for step in waiting if step.host and step.kind not in step.host.announces]


def _free(step: Step, who: str) -> bool:
    reason = _reason(step)
    try:
        if step.plan.kind in PERSON_KINDS and _move(step, who, reason):
            return True
        if step.kind in HOUSEKEEPING:
            warning = f"The switch is done; the step {step.kind} after it was left out: {reason}"
            complete_with_warning(step.plan_id, who=who, warning=warning)
            return True
        return not _is_lost(step) and ask_operator(step.pk, who=who, error=reason)
    except ConflictError as error:
        # A worker came back between the look and the lock.
        logger.info("step %s is left alone: %s", step.pk, error)
        return False


def _is_lost(step: Step) -> bool:
    return step.host is not None and step.host.status in (HostStatus.LOST, HostStatus.RETIRED)


def _reason(step: Step) -> str:
    if _is_lost(step):
        return f"The host {step.host} is lost."
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
    needed = revisions_needed(plan)
    if step.kind in HOUSEKEEPING:
        for revision in needed[:1]:
            able = able.filter(copies__revision=revision, copies__status="downloaded")
    try:
        return choose_host(needed, among=able)
    except (HostUnavailableError, UnsafeModelFileError):
        return None
