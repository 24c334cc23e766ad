"""Step 5: what is being done now, step by step, and what somebody is asked to do."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.services.people.roles import is_operator
from migrations_app.api.serializers.plans import FOR_OPERATORS
from migrations_app.models import Plan, Step
from migrations_app.pages.plans import line_of
from migrations_app.pages.wizard.base import PROGRESS, PlanPage, continues_at
from migrations_app.pages.wizard.comparison import can_compare
from migrations_app.pages.wizard.wording import base_name
from migrations_app.plans.titles import destination_of
from migrations_app.serving.progress import read_progress
from migrations_app.states import STEP_TITLES, PlanAction, PlanKind, PlanStatus, StepStatus


def list_steps(plan: Plan) -> list[Step]:
    """Return a plan's steps in their order."""
    return list(plan.steps.select_related("host").order_by("position"))


class ProgressView(PlanPage):
    """A running plan: live where scripts run, by reloading where they do not."""

    page: ClassVar[str] = PROGRESS
    template_name: ClassVar[str] = "pages/wizard/progress.html"
    part_name: ClassVar[str] = "pages/wizard/running.html"
    follows_plans: ClassVar[bool] = True
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset({PlanStatus.IN_PROGRESS})

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show how far it is."""
        return self._show()

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Ask of the plan what the pressed button says."""
        wish = request.POST.get("do", "")
        try:
            said = self._ask(wish, plan_id)
        except SamError as error:
            self.plan.refresh_from_db()
            return self._show(error)
        if said:
            messages.success(request, said)
        self.plan.refresh_from_db()
        return self.go(continues_at(self.plan), plan_id=plan_id)

    def _ask(self, wish: str, plan_id: UUID) -> str:
        if wish == PlanAction.CANCEL:
            self.controller.cancel_migration(plan_id, actor=self.person)
            return "Asked to stop. What is running ends at its next pause, and nothing is changed."
        if not is_operator(self.person):
            return ""
        if wish == PlanAction.RETRY:
            self.controller.retry_step(plan_id, actor=self.person)
            return "The step is tried again."
        if wish == PlanAction.ABANDON:
            self.controller.abandon_migration(plan_id, actor=self.person)
            return "What was left of the plan is given up."
        if wish == PlanAction.MOVE:
            moved = self.controller.move_migration(plan_id, actor=self.person)
            return f"The plan goes on at {moved.host}."
        return ""

    def _show(self, refusal: SamError | None = None) -> HttpResponse:
        steps = list_steps(self.plan)
        waiting = next((s for s in steps if s.status == StepStatus.NEEDS_OPERATOR), None)
        legal = self.controller.legal_actions(self.plan.pk)
        hidden = frozenset() if is_operator(self.person) else FOR_OPERATORS
        told = read_progress([self.plan.pk]).get(self.plan.migration_id)
        context = {
            "pace": told.pace if told else "",
            "title": _title(self.plan, self.person.pk),
            "cancel_label": "Cancel it"
            if self.plan.kind == PlanKind.RE_EMBED
            else "Cancel the move",
            "engine": destination_of(self.plan),
            "lines": [line_of(step) for step in steps],
            "waiting": waiting,
            "waiting_title": STEP_TITLES.get(waiting.kind, waiting.kind) if waiting else "",
            "actions": [action for action in legal if action not in hidden],
            "is_stopping": self.plan.cancel_requested_at is not None,
            "can_compare": self.plan.user_id == self.person.pk and can_compare(self.plan),
        }
        return self.show(context, refusal=refusal)


def _title(plan: Plan, reader_id: int) -> str:
    match PlanKind(plan.kind):
        case PlanKind.ROLLBACK:
            return f"Going back to {destination_of(plan)}"
        case PlanKind.RE_EMBED:
            return f"Embedding {base_name(plan, reader_id)} anew"
        case _:
            return f"Moving to {destination_of(plan)}"
