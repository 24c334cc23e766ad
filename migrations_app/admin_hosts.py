"""The admin of hosts' ways and of fallback engines: read by operators, moved by the same calls as elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest

from engines.admin import INLINE_STYLE, HostAdmin, RoleAdmin
from engines.exceptions import SamError
from engines.models import Host, HostEvent
from engines.services.hosts import host_invite
from engines.services.people.roles import is_curator, is_operator
from migrations_app.admin_reports import report_each
from migrations_app.host_care import host_drain, host_resume, host_retire


class HostEventInline(admin.TabularInline[HostEvent, Host]):
    model = HostEvent
    fields = ("at", "from_status", "to_status", "who", "why")
    readonly_fields = fields
    extra = 0
    can_delete = False

    class Media:
        css = INLINE_STYLE

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_operator(request.user) or is_curator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HostCareAdmin(HostAdmin):
    """Hosts register themselves; an operator drains them, takes them back and lets them go."""

    actions = ["drain", "drain_knowing", "resume", "retire", "invite_again"]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [*super().get_inlines(request, obj), HostEventInline]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.action(description="Drain", permissions=["operate"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(request, queryset, host_drain, "hosts are draining")

    @admin.action(
        description="Drain although people need what it alone holds", permissions=["operate"]
    )
    def drain_knowing(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(request, queryset, partial(host_drain, knowing=True), "hosts are draining")

    @admin.action(description="Take back into service", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(request, queryset, host_resume, "hosts are active again")

    @admin.action(description="Retire", permissions=["operate"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(request, queryset, host_retire, "hosts are retired")

    @admin.action(description="Make a token to join again", permissions=["operate"])
    def invite_again(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        for host in queryset:
            try:
                token, _ = host_invite(host.name, who=request.user.get_username())
            except SamError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                text = f"{host.name}: SAM_JOIN_TOKEN={token} (shown only now)"
                self.message_user(request, text, messages.SUCCESS)

    def _each(self, request: HttpRequest, rows: QuerySet[Host], move: Any, done: str) -> None:
        who = cast("User", request.user).username

        def act(host: Any) -> None:
            move(host, who=who)

        report_each(self, request, rows, act, done=done)


class EngineFallbackAdmin(RoleAdmin):
    """What answers, and says so, for an engine that cannot be made ready."""

    list_display = ("__str__", "engine", "answers")
    list_select_related = ("engine", "answers")
    autocomplete_fields = ("engine", "answers")

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_operator(user) or is_curator(user)


class FallbackIncidentAdmin(RoleAdmin):
    """One row from the first to the last request that another engine answered."""

    list_display = ("revision", "answered_by", "began_at", "last_at", "ended_at", "reason")
    list_select_related = ("revision__model", "answered_by__model")
    list_filter = ("ended_at",)
    list_display_links = None
