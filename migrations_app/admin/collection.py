"""What the collector removed, run by run."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from engines.services.people.roles import is_operator
from migrations_app.admin.base import RoleAdmin
from migrations_app.collection.collect import RULES
from migrations_app.models import CollectionRun

WHY = {rule.name: rule.why for rule in RULES}


@admin.register(CollectionRun)
class CollectionRunAdmin(RoleAdmin):
    """Read by operators; `sam collect --dry-run` says what the next one would remove."""

    list_display = ("started_at", "finished_at", "count", "bytes_removed", "kinds")
    fields = ("started_at", "finished_at", "count", "bytes_removed", "removed")
    readonly_fields = fields
    show_full_result_count = False

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    @admin.display(description="size", ordering="size")
    def bytes_removed(self, run: CollectionRun) -> str:
        return filesizeformat(run.size)

    @admin.display(description="what")
    def kinds(self, run: CollectionRun) -> str:
        return ", ".join(f"{count} {name}" for name, (count, _) in sorted(run.report.items()))

    @admin.display(description="removed")
    def removed(self, run: CollectionRun) -> SafeString:
        lines = (
            (count, name.replace("_", " "), filesizeformat(size), WHY.get(name, ""))
            for name, (count, size) in sorted(run.report.items())
        )
        return format_html_join("", "<div>{} {}, {}: {}</div>", lines)
