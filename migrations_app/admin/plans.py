"""The admin of plans: a list with bulk actions, and one page a plan that says where it is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.safestring import SafeString

from engines.exceptions import SamError
from engines.models import CatalogModel
from engines.services.people.roles import is_operator
from migrations_app.admin.base import LivePageAdmin
from migrations_app.admin.plan_page import describe_plan
from migrations_app.admin.reports import report_each
from migrations_app.controller import MigrationController, get_migration_controller
from migrations_app.models import Plan
from migrations_app.plans.titles import title_for
from migrations_app.states import ACTIONS_OF, PlanAction, PlanStatus

MOVES: dict[PlanAction, tuple[Callable[..., Any], str]] = {
    PlanAction.EXECUTE: (MigrationController.execute_migration, "started"),
    PlanAction.PAUSE: (MigrationController.pause_migration, "paused"),
    PlanAction.RESUME: (MigrationController.resume_migration, "resumed"),
    PlanAction.CANCEL: (MigrationController.cancel_migration, "asked to stop"),
    PlanAction.ROLL_BACK: (MigrationController.roll_back_migration, "being rolled back"),
    PlanAction.RETRY: (MigrationController.retry_step, "retried"),
    PlanAction.ABANDON: (MigrationController.abandon_migration, "abandoned"),
    PlanAction.MOVE: (MigrationController.move_migration, "moved"),
}
"""What each action calls, and what is said of a plan afterwards."""
NUMBER_DIGITS = 32


@cache
def _draw_status(value: str) -> SafeString:
    return render_to_string("admin/status.html", {"value": value})


@admin.register(Plan)
class PlanAdmin(LivePageAdmin):
    """Plans are read here and moved only through the controller, which keeps to legal moves."""

    templates = "admin/plans"
    list_display = ("title", "state", "progress", "created_at", "short_id")
    list_select_related = ("user", "from_engine", "to_engine", "host")
    list_filter = ("status", "kind", "host", "created_at")
    search_fields = ("id", "user__username", "to_engine__model_id")
    search_help_text = "A person, an engine, or how a plan's number begins."
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = [str(action) for action in PlanAction]

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:key>/live/", view(self.live_view), name="plan_live"),
            path("<uuid:key>/ask/<slug:action>/", view(self.ask_view), name="plan_ask"),
        ]
        return [*own, *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Plan], search_term: str
    ) -> tuple[QuerySet[Plan], bool]:
        """Narrow to plans that have each word in their person, their engine or at the start of their number."""
        for word in search_term.split():
            queryset = queryset.filter(pk__in=_find_plans(word))
        return queryset, False

    @admin.display(description="plan", ordering="to_engine__display_name")
    def title(self, plan: Plan) -> str:
        return title_for(plan)

    @admin.display(description="status", ordering="status")
    def state(self, plan: Plan) -> SafeString:
        return _draw_status(plan.status)

    @admin.display(description="number", ordering="id")
    def short_id(self, plan: Plan) -> str:
        """The beginning, which is enough to find it; the whole would fill the line."""
        return str(plan.pk)[:8]

    @admin.display(description="progress", ordering="progress_percentage")
    def progress(self, plan: Plan) -> str:
        return f"{int(plan.progress_percentage)} %"

    @admin.action(description="Execute", permissions=["operate"])
    def execute(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.EXECUTE)

    @admin.action(description="Pause downloads", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.PAUSE)

    @admin.action(description="Resume downloads", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.RESUME)

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.CANCEL)

    @admin.action(description="Roll back", permissions=["operate"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.ROLL_BACK)

    @admin.action(description="Retry the step that waits", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.RETRY)

    @admin.action(description="Abandon what is left", permissions=["operate"])
    def abandon(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.ABANDON)

    @admin.action(description="Move to another host", permissions=["operate"])
    def move(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, PlanAction.MOVE)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer what at least one plan of this page allows, and nothing that all of them refuse."""
        answer = super().changelist_view(request, extra_context)
        context = getattr(answer, "context_data", None) or {}
        form = context.get("action_form")
        if form is not None and request.method == "GET":
            shown = {PlanStatus(plan.status) for plan in context["cl"].result_list}
            legal = {str(action) for status in shown for action in ACTIONS_OF[status]}
            unknown = set(PlanAction.values) - legal
            field = form.fields["action"]
            field.choices = [choice for choice in field.choices if choice[0] not in unknown]
        return answer

    def find_row(self, key: str) -> Plan:
        joined = ("user", "created_by", "host", "from_engine", "to_engine", "to_revision")
        plan = get_migration_controller().get_migration_status(key)
        if plan is None:
            raise Http404("There is no such plan.")
        return Plan.objects.select_related(*joined).get(pk=plan.pk)

    def describe_row(self, request: HttpRequest, row: Plan) -> dict[str, Any]:
        return dict(describe_plan(row))

    def page_title(self, row: Plan) -> str:
        return title_for(row)

    def ask_view(self, request: HttpRequest, key: Any, action: str) -> HttpResponse:
        """Do what a button of the page asks, and tell what came of it."""
        if not self.has_operate_permission(request) or request.method != "POST":
            raise PermissionDenied
        if action not in PlanAction.values:
            raise Http404
        plan = self.find_row(str(key))
        move, done = MOVES[PlanAction(action)]
        try:
            move(get_migration_controller(), plan.pk, actor=cast("User", request.user))
        except SamError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, f"{title_for(plan)}: {done}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:migrations_app_plan_change", args=[plan.pk]))

    def _each(self, request: HttpRequest, queryset: QuerySet[Plan], action: PlanAction) -> None:
        move, done = MOVES[action]
        actor = cast("User", request.user)

        def act(plan: Any) -> None:
            move(get_migration_controller(), str(plan.pk), actor=actor)

        report_each(self, request, queryset, act, done=(f"plan {done}", f"plans {done}"))


def _find_plans(word: str) -> QuerySet[Plan, Any]:
    """Return the keys of plans whose person or engine has this word, or whose number begins with it.

    Each is asked by an index of its own: one condition over all three reads every plan of years, and a list
    asks it four times.
    """
    keys = Plan.objects.order_by().values("pk")
    people = User.objects.filter(username__icontains=word)
    engines = CatalogModel.objects.filter(model_id__icontains=word)
    return keys.filter(user__in=people).union(
        keys.filter(to_engine__in=engines), keys.filter(**_begins_with(word))
    )


def _begins_with(word: str) -> dict[str, Any]:
    """Return the span of the numbers that begin so; of a word that is no number, one without any."""
    digits = word.replace("-", "").lower()
    if not digits or len(digits) > NUMBER_DIGITS or set(digits) - set("0123456789abcdef"):
        return {"pk__in": ()}
    return {
        "pk__gte": uuid.UUID(digits.ljust(NUMBER_DIGITS, "0")),
        "pk__lte": uuid.UUID(digits.ljust(NUMBER_DIGITS, "f")),
    }
