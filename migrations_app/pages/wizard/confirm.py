"""Step 4: everything on one page, in plain words; and what was scheduled, until it starts."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from migrations_app.models import Plan
from migrations_app.pages.wizard.base import (
    CHOOSE,
    CONFIRM,
    MEANING,
    PlanPage,
    continues_at,
)
from migrations_app.pages.wizard.drafts import begin_draft
from migrations_app.pages.wizard.wording import (
    base_name,
    duration,
    is_cutting,
    loss_points,
    old_name,
    option_points,
    time_basis,
)
from migrations_app.plans.titles import destination_of, title_for
from migrations_app.plans.transitions import PlanChange
from migrations_app.states import PlanKind, PlanStatus


class ConfirmView(PlanPage):
    """The last look; a POST starts the plan, at once or at its time, or takes its time back."""

    page: ClassVar[str] = CONFIRM
    template_name: ClassVar[str] = "pages/wizard/confirm.html"
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset({PlanStatus.PENDING})

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show the summary."""
        return self._show()

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Do what the pressed button says; what is refused changes nothing."""
        try:
            self._do(request.POST.get("do", ""), plan_id)
        except SamError as error:
            return self._show(error)
        self.plan.refresh_from_db()
        return self.go(continues_at(self.plan), plan_id=plan_id)

    def _do(self, wish: str, plan_id: UUID) -> None:
        if wish == "unschedule":
            self.controller.change_migration(plan_id, PlanChange(at_once=True), actor=self.person)
        elif wish == "now":
            # Together: a start that is refused leaves the plan scheduled as it was.
            with transaction.atomic():
                self.controller.change_migration(
                    plan_id, PlanChange(at_once=True), actor=self.person
                )
                self.controller.execute_migration(plan_id, actor=self.person)
        else:
            self.controller.execute_migration(plan_id, actor=self.person)

    def _show(self, refusal: SamError | None = None) -> HttpResponse:
        preview = self.plan.preview
        is_scheduled = self.plan.confirmed_at is not None
        engine, is_migration = destination_of(self.plan), self.plan.kind == PlanKind.MIGRATE
        return self.show(
            {
                "title": _title(self.plan, self.person.pk, is_scheduled=is_scheduled),
                "is_cutting": is_cutting(self.plan),
                "start_label": "Move now" if is_migration else "Embed anew now",
                "schedule_label": "Schedule the move" if is_migration else "Schedule it",
                "is_scheduled": is_scheduled,
                "engine": engine,
                "old_engine": old_name(self.plan),
                "duration": duration(preview),
                "time_basis": time_basis(preview),
                "retention_days": settings.SAM_RETENTION_DAYS,
                "losses": list(loss_points(self.plan, preview, tells_content=self.tells_content)),
                "options": list(option_points(self.plan, preview)),
            },
            refusal=refusal,
        )


def _title(plan: Plan, reader_id: int, *, is_scheduled: bool) -> str:
    if plan.kind == PlanKind.RE_EMBED:
        what = base_name(plan, reader_id)
        return f"Embedding {what} anew is scheduled" if is_scheduled else f"Embed {what} anew?"
    engine = destination_of(plan)
    return f"The move to {engine} is scheduled" if is_scheduled else f"Move to {engine}?"


class DropView(PlanPage):
    """Gives up a plan that has not started; nothing was changed by it."""

    statuses: ClassVar[frozenset[PlanStatus]] = frozenset({PlanStatus.PENDING})

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Drop it and go back to the choice."""
        try:
            self.controller.cancel_migration(plan_id, actor=self.person)
        except SamError as error:
            messages.error(request, str(error))
            return self.go("plan", plan_id=plan_id)
        messages.success(request, f"{title_for(self.plan, self.person.pk)}: the plan was dropped.")
        if self.plan.kind == PlanKind.RE_EMBED and self.plan.base_id and self.tells_content:
            return self.go("base", base_id=self.plan.base_id)
        return self.go(CHOOSE)


class AgainView(PlanPage):
    """Makes the same plan anew: the world has overtaken this one."""

    def post(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Plan again, to the same engine and for the same person."""
        whom, engine = self.plan.user, self.plan.to_engine
        if whom is None or engine is None:
            return self.go(CHOOSE)
        try:
            new_id = begin_draft(whom, engine.model_id, actor=self.person)
        except SamError as error:
            messages.error(request, str(error))
            return self.go("plan", plan_id=plan_id)
        return self.go(MEANING, plan_id=new_id)
