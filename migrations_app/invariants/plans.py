"""Plans and steps: one at a time, none stuck, each history a chain of allowed moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q

from engines.db.clock import ClockTimestamp
from migrations_app.invariants.findings import MAX_FINDINGS, Finding, Surroundings, select
from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.states import (
    PERSON_KINDS,
    PLAN_FINAL,
    PLAN_MOVES,
    STEP_FINAL,
    STEP_MOVES,
    PlanStatus,
    StepStatus,
)

LEASES = 10
"""So many times its own length a lease may lie ahead before nobody can have meant it."""

SLACK = 0.01
"""Percent that a float may be off."""

_MOVED = """
SELECT plan_id, step_id, from_status, to_status, before FROM (
    SELECT plan_id, step_id, from_status, to_status,
           lag(to_status, 1, 'pending') OVER (PARTITION BY plan_id, step_id ORDER BY id) AS before
    FROM migrations_app_planevent
) AS move
WHERE before <> from_status OR (from_status <> to_status AND (
    CASE WHEN step_id IS NULL THEN 'plan:' ELSE 'step:' END || from_status || '>' || to_status
) <> ALL(%(allowed)s))
"""

_LAST = """
SELECT last.plan_id, last.step_id, last.to_status, coalesce(step.status, plan.status)
FROM (
    SELECT DISTINCT ON (plan_id, step_id) plan_id, step_id, to_status
    FROM migrations_app_planevent ORDER BY plan_id, step_id, id DESC
) AS last
JOIN migrations_app_plan AS plan ON plan.id = last.plan_id
LEFT JOIN migrations_app_step AS step ON step.id = last.step_id
WHERE last.to_status <> coalesce(step.status, plan.status)
"""


def find_two_active_plans(_: Surroundings) -> Iterator[Finding]:
    """A person has at most one plan under way that moves them."""
    active = Plan.objects.filter(status=PlanStatus.IN_PROGRESS, kind__in=PERSON_KINDS)
    people = active.order_by().values("user_id").annotate(plans=Count("pk")).filter(plans__gt=1)
    for user_id, plans in people.values_list("user_id", "plans")[:MAX_FINDINGS]:
        yield Finding(
            f"person {user_id}",
            f"{plans} plans are in progress at once.",
            "Cancel all but one (`sam plan cancel ID`), then look at the person's engine.",
        )


def find_two_running_steps(_: Surroundings) -> Iterator[Finding]:
    """Of a plan at most one step runs."""
    running = Step.objects.filter(status=StepStatus.IN_PROGRESS).order_by().values("plan_id")
    plans = running.annotate(steps=Count("pk")).filter(steps__gt=1)
    for plan_id, steps in plans.values_list("plan_id", "steps")[:MAX_FINDINGS]:
        yield Finding(
            f"plan {plan_id}",
            f"{steps} of its steps run at once.",
            "Cancel the plan and make a new one; its effects are none before its switch.",
        )


def find_open_steps_of_ended_plans(_: Surroundings) -> Iterator[Finding]:
    """A plan that has ended has no step that could still do something."""
    rows = Step.objects.exclude(status__in=STEP_FINAL).filter(plan__status__in=PLAN_FINAL)
    for step in rows.select_related("plan").order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"step {step.pk} of plan {step.plan_id}",
            f"The step {step.kind} is {step.status}, its plan is {step.plan.status}.",
            "Nobody takes it; report how this plan ended, its events say it.",
        )


def find_plans_nobody_moves(_: Surroundings) -> Iterator[Finding]:
    """A plan under way has a step that is ready, runs, or waits for an operator."""
    moving = (
        Step.objects.filter(plan=OuterRef("pk"))
        .exclude(status__in=STEP_FINAL)
        .exclude(status=StepStatus.PENDING, ready_at__isnull=True)
    )
    stuck = Plan.objects.filter(~Exists(moving), status=PlanStatus.IN_PROGRESS)
    for plan in stuck.order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"plan {plan.pk}",
            "It is in progress, and no step of it is ready, runs or waits for an operator.",
            f"Cancel it (`sam plan cancel {plan.pk}`) and make a new one.",
        )


def find_steps_out_of_order(_: Surroundings) -> Iterator[Finding]:
    """A step is completed after those before it: what was reached stays reached."""
    skipped = Step.objects.filter(plan=OuterRef("plan"), position__lt=OuterRef("position"))
    rows = Step.objects.filter(
        Exists(skipped.exclude(status=StepStatus.COMPLETED)), status=StepStatus.COMPLETED
    )
    for step in rows.order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"step {step.pk} of plan {step.plan_id}",
            f"The step {step.kind} is completed, one before it is not.",
            "Take the plan back if it has switched, else cancel it; then make a new one.",
        )


def find_leases_without_end(_: Surroundings) -> Iterator[Finding]:
    """A lease ends soon, so that whatever its holder had is taken over when it dies."""
    ahead = ClockTimestamp() + timedelta(seconds=LEASES * settings.SAM_LEASE_SECONDS)
    for step in Step.objects.filter(lease_until__gt=ahead).order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"step {step.pk} of plan {step.plan_id}",
            f"Its lease of {step.owner} ends only at {step.lease_until:%F %T}.",
            "The database's clock was set back, or somebody wrote the row: set the clock right, "
            "and the lease to now.",
        )


def find_broken_histories(_: Surroundings) -> Iterator[Finding]:
    """The events of a plan, and of a step, are a chain of moves that the tables allow."""
    allowed = [f"plan:{old}>{new}" for old, ways in PLAN_MOVES.items() for new in ways]
    allowed += [f"step:{old}>{new}" for old, ways in STEP_MOVES.items() for new in ways]
    for plan_id, step_id, old, new, before in select(_MOVED, {"allowed": allowed}):
        yield Finding(
            f"step {step_id} of plan {plan_id}" if step_id else f"plan {plan_id}",
            f"An event says {old} → {new} where it was {before}.",
            "A status was written past the transitions, or an event is lost; compare the events "
            "with what the plan did.",
        )


def find_unexplained_statuses(_: Surroundings) -> Iterator[Finding]:
    """A status is what the last event says."""
    for plan_id, step_id, told, found in select(_LAST):
        yield Finding(
            f"step {step_id} of plan {plan_id}" if step_id else f"plan {plan_id}",
            f"It is {found}, its last event says {told}.",
            "Somebody wrote the row by hand, or an event is lost; set the status back to what "
            "the events say.",
        )


def find_wrong_progress(_: Surroundings) -> Iterator[Finding]:
    """Progress is never behind what is completed, and whole at the end."""
    done = Count("steps", filter=Q(steps__status=StepStatus.COMPLETED))
    counted = Plan.objects.annotate(done=done, parts=Count("steps"))
    behind = Q(status=PlanStatus.IN_PROGRESS, parts__gt=0) & Q(
        progress_percentage__lt=100.0 * F("done") / F("parts") - SLACK
    )
    short = Q(status=PlanStatus.COMPLETED, progress_percentage__lt=100)
    for plan in counted.filter(behind | short).order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"plan {plan.pk}",
            f"It says {plan.progress_percentage:.0f} % with {plan.done} of {plan.parts} steps "
            f"completed, and is {plan.status}.",
            "What people see is wrong, the steps are right; report it.",
        )


def find_ranges_left_open(_: Surroundings) -> Iterator[Finding]:
    """A step that embedded is completed only with all of its ranges."""
    left = EmbedRange.objects.filter(step__status=StepStatus.COMPLETED)
    left = left.exclude(status=StepStatus.COMPLETED).select_related("step")
    for row in left.order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"range {row.pk} of step {row.step_id}",
            f"The chunks {row.first_id} to {row.last_id} are {row.status}, the step is completed.",
            "Re-embed the base: sam kb re-embed ID.",
        )
