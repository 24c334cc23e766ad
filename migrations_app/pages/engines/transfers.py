"""Work on model files as it is shown: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from migrations_app.models import Plan, Step
from migrations_app.serving.progress import PlanProgress, read_progress
from migrations_app.states import PLAN_OPEN, PlanKind, PlanStatus, StepStatus

MAX_OPEN = 100
"""Open downloads that one page shows, the oldest first."""

_DOING = {
    PlanKind.DOWNLOAD: "Downloading",
    PlanKind.VERIFY: "Verifying",
    PlanKind.DELETE: "Deleting",
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """A plan about one file with how far it is; ``refusal`` is why the last wish about it was refused."""

    plan: Plan
    step: Step
    told: PlanProgress | None
    refusal: str = ""

    @property
    def name(self) -> str:
        """Return what is fetched."""
        return self.plan.to_engine.display_name if self.plan.to_engine else "A file"

    @property
    def percent(self) -> float:
        """Return how far it is, as the worker told last."""
        return self.told.percentage if self.told else 100 * self.step.progress

    @property
    def pace(self) -> str:
        """Return its rate and the time left; empty while they are not known."""
        return self.told.pace if self.told else ""

    @property
    def detail(self) -> str:
        """Say what is being done."""
        if self.is_paused:
            return f"What has arrived stays on {self.plan.host}; resume, and it goes on from there."
        if self._is_put_off:
            return f"Is tried again later. {self.step.detail}"
        if self.step.status == StepStatus.PENDING:
            return f"Waits for a worker of {self.plan.host}"
        return self.told.detail if self.told else self.step.detail

    @property
    def _is_put_off(self) -> bool:
        """Whether its worker gave it back until a later moment: after a failure, or as another is at its file."""
        ready_at = self.step.ready_at
        return self.step.status == StepStatus.PENDING and bool(
            ready_at and ready_at > timezone.now()
        )

    @property
    def doing(self) -> str:
        """Name the work in a word."""
        return _DOING[PlanKind(self.plan.kind)]

    @property
    def has_begun(self) -> bool:
        """Whether a worker tells of it."""
        return self.step.status == StepStatus.IN_PROGRESS

    @property
    def waits(self) -> bool:
        """Whether an operator has to decide."""
        return self.step.status == StepStatus.NEEDS_OPERATOR

    @property
    def is_paused(self) -> bool:
        """Whether somebody told it to wait; its host's worker is free meanwhile."""
        return self.plan.status == PlanStatus.PAUSED

    @property
    def may_pause(self) -> bool:
        """Whether a pause can be asked for: of a download that goes on and was not asked to stop."""
        going_on = self.plan.status == PlanStatus.IN_PROGRESS and not self.waits
        return going_on and self.plan.kind == PlanKind.DOWNLOAD and not self.is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.plan.cancel_requested_at is not None

    @property
    def shown_status(self) -> str:
        """Return the plan's status, or its step's that needs somebody."""
        return StepStatus.NEEDS_OPERATOR if self.waits else str(self.plan.status)


def file_plans(*kinds: PlanKind) -> QuerySet[Plan]:
    """Return the plans that do something to a file on a host."""
    return Plan.objects.filter(kind__in=kinds).select_related("to_engine", "host")


def open_transfers(
    plans: QuerySet[Plan], *, refused: str = "", refusal: str = ""
) -> list[Transfer]:
    """Return those of the plans that are under way, the oldest first.

    ``refused`` is the id of a plan of which something was asked that the ``refusal`` answers.
    """
    rows = plans.filter(status__in=PLAN_OPEN).order_by("created_at", "pk")
    return transfers_of(rows[:MAX_OPEN], refused=refused, refusal=refusal)


def transfers_of(plans: Iterable[Plan], *, refused: str = "", refusal: str = "") -> list[Transfer]:
    """Return plans of one step each with how far they are."""
    chosen = list(plans)
    steps = {step.plan_id: step for step in Step.objects.filter(plan__in=chosen)}
    told = read_progress([plan.pk for plan in chosen])
    return [
        Transfer(
            plan,
            steps[plan.pk],
            told.get(plan.migration_id) if plan.status == PlanStatus.IN_PROGRESS else None,
            refusal if plan.migration_id == refused else "",
        )
        for plan in chosen
        if plan.pk in steps
    ]
