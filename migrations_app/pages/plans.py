"""A plan as its person reads it: what it does, how far it is, what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from migrations_app.models import Plan, Step
from migrations_app.pages.base import PageView
from migrations_app.pages.components import StepLine
from migrations_app.plans.titles import title_for
from migrations_app.states import STEP_TITLES, PlanStatus, StepStatus

MINUTE = 60
HOUR = 3600


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A plan with its steps, ready to be shown."""

    plan: Plan
    title: str
    href: str
    steps: list[StepLine]

    @property
    def waits(self) -> bool:
        """Whether a step needs an operator."""
        return any(step.status == StepStatus.NEEDS_OPERATOR for step in self.steps)

    @property
    def is_running(self) -> bool:
        """Whether there will be news of it."""
        return self.plan.status == PlanStatus.IN_PROGRESS

    @property
    def starts_by_itself(self) -> bool:
        """Whether it starts by itself; a pending plan that nobody confirmed waits for its person."""
        return self.plan.status == PlanStatus.PENDING and self.plan.confirmed_at is not None

    @property
    def shown_status(self) -> str:
        """Return the plan's status, or its step's that needs somebody."""
        return StepStatus.NEEDS_OPERATOR if self.waits else str(self.plan.status)

    @property
    def doing(self) -> str:
        """Name the step that runs; empty while none does."""
        return next((step.name for step in self.steps if step.is_running), "")

    @property
    def detail(self) -> str:
        """Say how far that step is."""
        return next((step.note for step in self.steps if step.is_running), "")


def plans_of(user_id: int) -> QuerySet[Plan]:
    """Return the plans that a person may read here: about themselves, or made by them."""
    mine = Plan.objects.filter(Q(user=user_id) | Q(created_by=user_id))
    return mine.select_related("user", "host", "base", "from_engine", "to_engine")


def card_of(plan: Plan, reader_id: int) -> PlanCard:
    """Return a plan to show; its steps are read, unless they were fetched with it."""
    steps = sorted(plan.steps.all(), key=lambda step: step.position)
    return PlanCard(
        plan, title_for(plan, reader_id), reverse("plan", args=[plan.pk]), list(map(line_of, steps))
    )


def line_of(step: Step) -> StepLine:
    """Return a step as it is shown."""
    percent = 100 * step.progress if step.progress else None
    note = step.detail if step.status == StepStatus.IN_PROGRESS else _took(step)
    stopped = step.status in (StepStatus.FAILED, StepStatus.NEEDS_OPERATOR)
    # What ended the plan is told once, above its steps.
    error = step.error if stopped and step.error != step.plan.error_message else ""
    title = STEP_TITLES.get(step.kind, step.kind)
    return StepLine(title, step.status, percent, note, error, step.kind)


def _took(step: Step) -> str:
    if step.status != StepStatus.COMPLETED or not (step.started_at and step.finished_at):
        return ""
    return describe_duration(step.finished_at - step.started_at)


def describe_duration(span: timedelta) -> str:
    """Write a span of time in at most two units."""
    seconds = round(span.total_seconds())
    if seconds < MINUTE:
        return f"{seconds} s" if seconds else "at once"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min {seconds % MINUTE} s"
    return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"


class PlanPage(PageView):
    """One plan, live while it runs."""

    section: ClassVar[str] = "home"
    template_name: ClassVar[str] = "pages/plans/plan.html"
    part_name: ClassVar[str] = "pages/plans/progress.html"
    follows_plans: ClassVar[bool] = True

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show it; somebody else's is not there."""
        plan = plans_of(self.person.pk).prefetch_related("steps").filter(pk=plan_id).first()
        if plan is None:
            raise Http404
        card = card_of(plan, self.person.pk)
        return self.render({"card": card, "title": card.title})
