"""The admin of tokens: what people used, read by operators, and quotas, set by administrators."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User

from engines.models import TokenQuota, TokenUsage
from engines.services.people.roles import is_administrator, is_operator
from migrations_app.admin.base import RoleAdmin


@admin.register(TokenUsage)
class TokenUsageAdmin(RoleAdmin):
    """One row for a person and day."""

    list_display = ("day", "user", "tokens_in", "tokens_out", "requests")
    list_select_related = ("user",)
    list_filter = ("day",)
    search_fields = ("user__username",)
    list_display_links = None
    show_full_result_count = False

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)


@admin.register(TokenQuota)
class TokenQuotaAdmin(RoleAdmin):
    """A person's tokens a day; the row without a person is everybody's."""

    list_display = ("__str__", "tokens_per_day")
    list_select_related = ("user",)
    raw_id_fields = ("user",)
    search_fields = ("user__username",)

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)
