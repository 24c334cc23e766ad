"""The admin of API tokens: names and last use, never keys; ended here."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model
from django.http import HttpRequest

from engines.models import ApiToken
from engines.services.people.roles import is_administrator
from migrations_app.admin.base import RoleAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(RoleAdmin):
    """Whose tokens there are and when they were used; deleting one ends it at once."""

    list_display = ("name", "user", "scope", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("scope", "expires_at", "last_used_at")
    search_fields = ("name", "user__username")
    list_display_links = None

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_administrator(request.user)
