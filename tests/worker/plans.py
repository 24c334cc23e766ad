"""Plans as the story makes them, without the story: rows with steps, started."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone

from engines.models import Host, HostStatus
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.transitions import start_plan
from migrations_app.states import CONTROL_STEPS, STEPS_OF, PlanKind
from migrations_app.steps import HANDLERS

WHO = "tester"


def make_host(name: str = "", **values: Any) -> Host:
    """Return an active host that was just seen; without a name, this process's own."""
    facts = {
        "status": HostStatus.ACTIVE,
        "last_seen": timezone.now(),
        "announces": sorted(HANDLERS),
        **values,
    }
    host, _ = Host.objects.update_or_create(name=name or settings.SAM_HOST_NAME, defaults=facts)
    return host


def make_plan(
    kind: PlanKind = PlanKind.VERIFY,
    host: Host | None = None,
    *,
    preview: dict[str, Any] | None = None,
) -> Plan:
    """Return a started plan with all its steps on a host."""
    where = host or make_host()
    plan = Plan.objects.create(kind=kind, host=where, preview=preview or {})
    for position, step in enumerate(STEPS_OF[kind]):
        Step.objects.create(
            plan=plan,
            position=position,
            kind=step,
            host=None if step in CONTROL_STEPS else where,
        )
    return start_plan(plan.pk, who=WHO)


def first_step(plan: Plan) -> Step:
    return plan.steps.order_by("position")[0]


def story(plan: Plan) -> list[tuple[str, str, str]]:
    """Return all events as (what, from, to)."""
    rows = PlanEvent.objects.filter(plan=plan).order_by("pk").select_related("step")
    return [(row.step.kind if row.step else "plan", row.from_status, row.to_status) for row in rows]


def rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the plan's and its steps' whole rows, to compare before and after."""
    found: list[Any] = [
        *Plan.objects.filter(pk=plan.pk).values(),
        *plan.steps.order_by("position").values(),
    ]
    return found
