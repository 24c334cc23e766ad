"""The admin of model files on hosts: read, and cleared of a mark by an operator."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest

from engines.models import ModelCopy
from engines.services.catalog.copies import clear_unsafe
from engines.services.people.roles import is_operator
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.reports import report_each


@admin.register(ModelCopy)
class ModelCopyAdmin(RoleAdmin):
    """What each host holds; a file that crashed an engine is not loaded before it is cleared here."""

    list_display = ("revision", "host", "status", "verified_at", "error")
    list_select_related = ("revision__model", "host")
    list_filter = ("status", "host")
    search_fields = ("revision__model__model_id", "revision__sha256")
    list_display_links = None
    actions = ["clear_unsafe"]

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.action(description="Clear the mark of unsafe files", permissions=["operate"])
    def clear_unsafe(self, request: HttpRequest, queryset: QuerySet[ModelCopy]) -> None:
        rows: QuerySet[Any] = queryset.select_related("revision__model", "host")
        report_each(self, request, rows, clear_unsafe, done=("file cleared", "files cleared"))
