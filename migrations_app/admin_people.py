"""The admin of people and groups: an administrator's, like the rest of SAM by role."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.authtoken.models import Token

from engines.admin import RoleAdmin
from engines.services.people.roles import is_administrator


class AdministratorWrites(RoleAdmin):
    """Only an administrator reads and writes."""

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)


class GroupAdmin(AdministratorWrites, DjangoGroupAdmin):
    """Groups; those named curator, operator and administrator are roles."""


class PeopleAdmin(AdministratorWrites, UserAdmin[User]):
    """People; their API tokens are ended here and shown nowhere."""

    list_display = ("username", "email", "roles_and_groups", "is_staff", "is_active", "has_token")
    actions = ["end_tokens"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset(request)
        return rows.prefetch_related("groups").select_related("auth_token")

    @admin.display(description="groups")
    def roles_and_groups(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    @admin.display(description="API token", boolean=True)
    def has_token(self, user: Any) -> bool:
        return hasattr(user, "auth_token")

    @admin.action(description="End the API token", permissions=["change"])
    def end_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        ended, _ = Token.objects.filter(user__in=queryset).delete()
        self.message_user(request, f"{ended} tokens ended.", messages.SUCCESS)
