"""What the pages of a move share: whose plan it is, where it goes on, how a refusal is shown."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from engines.exceptions import SamError
from migrations_app.api.problems import status_of
from migrations_app.api.serializers.plans import tells_content
from migrations_app.controller import MigrationController, get_migration_controller
from migrations_app.models import Plan
from migrations_app.pages.base import PageView
from migrations_app.pages.components import Link, Stage
from migrations_app.pages.plans import PlanPage as PlanCardPage
from migrations_app.pages.wizard.wording import who_answers
from migrations_app.plans.titles import leaves_none
from migrations_app.plans.visibility import plans_visible_to
from migrations_app.states import MOVES, PERSON_KINDS, PLAN_FINAL, PlanKind, PlanStatus

CHOOSE = "migrate"
MEANING = "migrate-meaning"
OPTIONS = "migrate-options"
CONFIRM = "migrate-confirm"
PROGRESS = "migrate-progress"
RESULT = "migrate-result"
TRY = "migrate-try"
LABELS = {
    CHOOSE: "Choose",
    MEANING: "What it means",
    OPTIONS: "Options",
    CONFIRM: "Confirm",
    PROGRESS: "Move",
}
RELATED = (
    "user",
    "base",
    "host",
    "from_engine",
    "to_engine",
    "from_revision__model",
    "to_revision__model",
    "embedder_revision__model",
    "rolls_back",
)


def plans_for(reader: Any) -> QuerySet[Plan]:
    """Return the plans about people that somebody may open here: their own, for operators everybody's."""
    rows = plans_visible_to(reader).filter(kind__in=MOVES)
    return rows.select_related(*RELATED)


def continues_at(plan: Plan) -> str:
    """Return the name of the page on which a plan goes on."""
    if plan.status == PlanStatus.PENDING:
        return MEANING if plan.confirmed_at is None else CONFIRM
    return PROGRESS if plan.status == PlanStatus.IN_PROGRESS else RESULT


def stages_of(plan: Plan | None, current: str) -> list[Stage]:
    """Return the way through the wizard as it stands for a plan; None before one is made."""
    names = list(LABELS)
    here = names.index(current if current in names else PROGRESS)
    is_pending = plan is not None and plan.status == PlanStatus.PENDING
    has_ended = plan is not None and plan.status in PLAN_FINAL
    return [
        Stage(
            label,
            _address(name, plan) if is_pending and name != PROGRESS else "",
            is_done=number < here or has_ended,
            is_current=number == here and not has_ended,
        )
        for number, (name, label) in enumerate(LABELS.items())
    ]


def _address(name: str, plan: Plan | None) -> str:
    return reverse(name) if name == CHOOSE or plan is None else reverse(name, args=[plan.pk])


class PlanPage(PageView):
    """A page of the wizard about one plan; what a plan's status does not allow leads to where it is.

    ``statuses`` are those in which the page has something to say.
    """

    section: ClassVar[str] = "migrate"
    page: ClassVar[str] = ""
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset()
    plan: Plan

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Find the plan first; somebody else's is not there."""
        if request.user.is_authenticated:
            self.plan = _find(request.user, kwargs["plan_id"])
            if self.statuses and self.plan.status not in self.statuses:
                return self._elsewhere()
        return super().dispatch(request, *args, **kwargs)

    def _elsewhere(self) -> HttpResponse:
        if self.request.method == "POST":
            messages.warning(
                self.request, f"The plan is {PlanStatus(self.plan.status).label.lower()} already."
            )
        return self.go(continues_at(self.plan), plan_id=self.plan.pk)

    @property
    def controller(self) -> MigrationController:
        """Return the door."""
        return get_migration_controller()

    @property
    def tells_content(self) -> bool:
        """Whether the reader may know what of the person's the plan touches."""
        return tells_content(self.plan, self.person)

    @property
    def is_for_another(self) -> bool:
        """Whether somebody runs this plan for another person."""
        return self.plan.user_id not in (None, self.person.pk)

    def show(self, context: dict[str, Any], *, refusal: SamError | None = None) -> HttpResponse:
        """Answer with the page, with what every page of a plan shows, and with a refusal beside it."""
        shared = {
            "plan": self.plan,
            "stages": stages_of(self.plan, self.page),
            "refusal": str(refusal) if refusal else "",
            "ways_out": ways_out(self.plan) if refusal else [],
            "may_plan_again": self.page == CONFIRM and self.plan.kind == PlanKind.MIGRATE,
            "is_for_another": self.is_for_another,
            "for_whom": self.plan.user.get_username() if self.plan.user else "",
            "is_migration": self.plan.kind == PlanKind.MIGRATE,
            "is_first": leaves_none(self.plan),
            "who_answers": who_answers(self.plan),
        }
        return self.render({**shared, **context}, status=status_of(refusal) if refusal else 200)


def ways_out(plan: Plan) -> list[Link]:
    """Return where somebody can go whose wish was refused."""
    running = Plan.objects.filter(
        user=plan.user, status=PlanStatus.IN_PROGRESS, kind__in=PERSON_KINDS
    ).exclude(pk=plan.pk)
    ways = [
        Link("Look at the plan that runs", reverse("plan", args=[other.pk]))
        for other in running[:1]
    ]
    return [*ways, Link("Choose again", reverse(CHOOSE))]


def _find(reader: Any, plan_id: UUID) -> Plan:
    plan = plans_for(reader).filter(pk=plan_id).first()
    if plan is None:
        raise Http404
    return plan


class ContinueView(PageView):
    """The plan's own address: leads to where it goes on; one about a file has one page for all."""

    def get(self, request: Any, plan_id: UUID) -> HttpResponseBase:
        """Go there."""
        plan = plans_for(self.person).filter(pk=plan_id).first()
        if plan is None:
            return PlanCardPage.as_view()(request, plan_id=plan_id)
        return self.go(continues_at(plan), plan_id=plan_id)
