"""The admin of plans with their steps and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from engines.services.people.roles import is_operator
from migrations_app.admin.base import ReadOnlyInline, RoleAdmin
from migrations_app.admin.reports import report_each
from migrations_app.controller import get_migration_controller
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.states import ACTIONS_OF, PlanAction, PlanStatus


class StepInline(ReadOnlyInline):
    model = Step
    fields = (
        "position",
        "kind",
        "host",
        "status",
        "done",
        "detail",
        "attempts",
        "error",
        "finished_at",
    )
    readonly_fields = fields

    def done(self, step: Step) -> str:
        return f"{step.progress:.0%}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        return Step.objects.select_related("host", "plan").order_by("position")


class EventInline(ReadOnlyInline):
    model = PlanEvent
    fields = ("at", "step", "from_status", "to_status", "who", "why")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanEvent]:
        return PlanEvent.objects.select_related("step__plan", "plan").order_by("id")


@admin.register(Plan)
class PlanAdmin(RoleAdmin):
    """Plans are read here and moved only through the controller, which keeps to legal moves."""

    list_display = (
        "short_id",
        "kind",
        "user",
        "engines",
        "status",
        "progress",
        "created_at",
    )
    list_select_related = ("user", "from_engine", "to_engine")
    list_filter = ("status", "kind", "host", "created_at")
    search_fields = ("id", "user__username", "to_engine__model_id")
    date_hierarchy = "created_at"
    inlines = (StepInline, EventInline)
    fields = (
        ("kind", "status", "current_step", "progress"),
        ("user", "created_by", "host"),
        ("from_engine", "to_engine", "to_revision"),
        ("backup_lora_adapters", "re_embed_knowledge", "update_prompt_templates"),
        ("knowledge_base_size", "estimated_duration_minutes"),
        "error_message",
        "warning",
        "may_be_asked",
        ("not_before", "confirmed_at"),
        ("rolls_back", "cancel_requested_at", "retention_until"),
        ("created_at", "started_at", "finished_at"),
    )
    actions = [str(action) for action in PlanAction]

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.display(description="plan", ordering="id")
    def short_id(self, plan: Plan) -> str:
        """The beginning, which is enough to find it; the whole would fill the line."""
        return str(plan.pk)[:8]

    @admin.display(ordering="to_engine")
    def engines(self, plan: Plan) -> str:
        ends = (plan.from_engine, plan.to_engine)
        return " → ".join(end.model_id for end in ends if end is not None)

    @admin.display(description="progress", ordering="progress_percentage")
    def progress(self, plan: Plan) -> str:
        return f"{plan.progress_percentage:.0f} %"

    @admin.action(description="Execute", permissions=["operate"])
    def execute(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, get_migration_controller().execute_migration, "started")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, get_migration_controller().cancel_migration, "asked to stop")

    @admin.action(description="Roll back", permissions=["operate"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        move = get_migration_controller().roll_back_migration
        self._each(request, queryset, move, "being rolled back")

    @admin.action(description="Retry the step that waits", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, get_migration_controller().retry_step, "retried")

    @admin.action(description="Abandon what is left", permissions=["operate"])
    def abandon(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, get_migration_controller().abandon_migration, "abandoned")

    @admin.action(description="Move to another host", permissions=["operate"])
    def move(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        self._each(request, queryset, get_migration_controller().move_migration, "moved")

    @admin.display(description="what can be done")
    def may_be_asked(self, plan: Plan) -> str:
        legal = get_migration_controller().legal_actions(plan.pk)
        return ", ".join(action.label for action in legal) or "Nothing any more."

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

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Plan],
        move: Callable[..., Any],
        done: str,
    ) -> None:
        actor = cast("User", request.user)

        def act(plan: Any) -> None:
            move(str(plan.pk), actor=actor)

        report_each(self, request, queryset, act, done=f"plans {done}")
