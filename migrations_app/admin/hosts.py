"""The admin of hosts: read by operators and curators, moved by the same calls as elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from engines.exceptions import SamError
from engines.models import LIMIT_NAMES, Host, HostEvent, ModelCopy
from engines.services.hosts import invite_host
from engines.services.people.roles import is_curator, is_operator
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.dress import TabularInline
from migrations_app.admin.reports import report_each
from migrations_app.hosts import drain_host, limit_host, resume_host, retire_host


class HostEventInline(TabularInline[HostEvent, Host]):
    model = HostEvent
    fields = ("at", "from_status", "to_status", "who", "why")
    readonly_fields = fields
    extra = 0
    can_delete = False
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_operator(request.user) or is_curator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CopyInline(TabularInline[ModelCopy, Host]):
    model = ModelCopy
    fields = ("revision", "status", "size", "downloaded_at", "verified_at", "error")
    readonly_fields = fields
    extra = 0
    can_delete = False
    hide_title = True

    def size(self, copy: ModelCopy) -> str:
        return filesizeformat(copy.file_size)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelCopy]:
        return super().get_queryset(request).select_related("revision__model")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_operator(request.user) or is_curator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Host)
class HostAdmin(RoleAdmin):
    """Hosts register themselves; an operator limits and drains them, takes them back and lets them go."""

    list_display = ("name", "status", "last_seen", "cores", "memory", "free_disk", "copies_held")
    list_filter = ("status",)
    search_fields = ("name",)
    fields = (
        ("name", "status", "last_seen"),
        ("cores", "memory"),
        ("gpu_names", "gpu_memory"),
        ("free_disk", "disk"),
        "work_taken",
        "limits",
    )
    readonly_fields = (
        *("name", "status", "last_seen", "cores", "memory", "gpu_names", "gpu_memory"),
        *("free_disk", "disk", "work_taken"),
    )
    inlines = (CopyInline, HostEventInline)
    actions = ["drain", "drain_knowing", "resume", "retire", "invite_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        held = Count("copies", filter=Q(copies__status="downloaded"))
        rows: QuerySet[Host] = super().get_queryset(request)
        return rows.annotate(copy_count=held)

    @admin.display(description="models", ordering="copy_count")
    def copies_held(self, host: Any) -> int:
        return int(host.copy_count)

    @admin.display(ordering="memory_bytes")
    def memory(self, host: Host) -> str:
        return filesizeformat(host.memory_bytes)

    @admin.display(description="GPU memory")
    def gpu_memory(self, host: Host) -> str:
        return filesizeformat(host.vram_bytes)

    @admin.display(description="GPUs")
    def gpu_names(self, host: Host) -> str:
        return ", ".join(str(gpu.get("name", "unnamed")) for gpu in host.gpus) or "none"

    @admin.display(description="takes on")
    def work_taken(self, host: Host) -> str:
        """The kinds of work that its workers announced."""
        return ", ".join(sorted(host.announces)) or "nothing: no worker of it has started yet"

    @admin.display(ordering="disk_free_bytes")
    def free_disk(self, host: Host) -> str:
        return filesizeformat(host.disk_free_bytes)

    def disk(self, host: Host) -> str:
        return filesizeformat(host.disk_total_bytes)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "limits":
            kwargs["help_text"] = (
                f'By name, as {{"plans": 4, "downloads": 2}}; what is not named has no limit. '
                f"There are {', '.join(LIMIT_NAMES)}."
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_operator(request.user)

    def save_model(
        self,
        request: HttpRequest,
        obj: Any,
        form: Any,
        change: bool,  # noqa: FBT001 - Django's signature
    ) -> None:
        limit_host(obj, form.cleaned_data["limits"] or {}, who=request.user.get_username())

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.action(description="Drain", permissions=["operate"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(request, queryset, drain_host, ("host is draining", "hosts are draining"))

    @admin.action(
        description="Drain although people need what it alone holds", permissions=["operate"]
    )
    def drain_knowing(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(
            request,
            queryset,
            partial(drain_host, force=True),
            ("host is draining", "hosts are draining"),
        )

    @admin.action(description="Take back into service", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(
            request, queryset, resume_host, ("host is active again", "hosts are active again")
        )

    @admin.action(description="Retire", permissions=["operate"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._each(request, queryset, retire_host, ("host is retired", "hosts are retired"))

    @admin.action(description="Make a token to join again", permissions=["operate"])
    def invite_again(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        for host in queryset:
            try:
                token, _ = invite_host(host.name, who=request.user.get_username())
            except SamError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                text = f"{host.name}: SAM_JOIN_TOKEN={token} (shown only now)"
                self.message_user(request, text, messages.SUCCESS)

    def _each(
        self, request: HttpRequest, rows: QuerySet[Host], move: Any, done: tuple[str, str]
    ) -> None:
        who = cast("User", request.user).username

        def act(host: Any) -> None:
            move(host, who=who)

        report_each(self, request, rows, act, done=done)
