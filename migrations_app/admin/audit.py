"""The admin of the audit: read, filtered, never written."""

from __future__ import annotations

import json

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from engines.services.people.roles import is_administrator, is_operator
from migrations_app.admin.base import RoleAdmin
from migrations_app.audit.entries import (
    OPERATORS_READ,
    describe_actor,
    describe_person,
    list_entries,
)
from migrations_app.models import AuditEntry

MOST_SHOWN = 80
"""Characters of a value in the list; the entry's own page has all of it."""


@admin.register(AuditEntry)
class AuditEntryAdmin(RoleAdmin):
    """Operators read what is about hosts, plans and fallback engines; administrators everything."""

    list_display = ("at", "who", "door", "action", "kind", "what", "whom", "short_changes")
    list_filter = ("kind", "action", "door", ("at", admin.DateFieldListFilter))
    search_fields = ("actor__exact", "name__exact", "key__exact")
    search_help_text = "Who did it, or what it is called, in full."
    fields = ("at", "who", "door", "action", "kind", "what", "key", "whom", "all_changes")
    readonly_fields = fields
    show_full_result_count = False

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        entries = list_entries()
        if is_administrator(request.user):
            return entries
        return entries.filter(kind__in=OPERATORS_READ)

    @admin.display(ordering="actor")
    def who(self, entry: AuditEntry) -> str:
        return describe_actor(entry)

    @admin.display(description="what", ordering="name")
    def what(self, entry: AuditEntry) -> str:
        return entry.name or entry.key

    @admin.display(description="about")
    def whom(self, entry: AuditEntry) -> str:
        return describe_person(entry)

    @admin.display(description="changes")
    def short_changes(self, entry: AuditEntry) -> SafeString:
        return _list_changes(entry, MOST_SHOWN)

    @admin.display(description="changes")
    def all_changes(self, entry: AuditEntry) -> SafeString:
        return _list_changes(entry, None)


def _list_changes(entry: AuditEntry, most: int | None) -> SafeString:
    lines = (
        (name.removesuffix("_id").replace("_", " "), _write(old, most), _write(new, most))
        for name, (old, new) in sorted(entry.changes.items())
    )
    return format_html_join("", "<div>{}: {} → {}</div>", lines)


def _write(value: object, most: int | None) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if most is None or len(text) <= most else f"{text[:most]}…"
