"""The admin of fallback engines and of the times when one answered."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User

from engines.models import (
    EngineFallback,
    FallbackIncident,
)
from engines.services.people.roles import is_operator
from migrations_app.admin.base import RoleAdmin


@admin.register(EngineFallback)
class EngineFallbackAdmin(RoleAdmin):
    """What answers, and says so, for an engine that cannot be made ready."""

    list_display = ("__str__", "engine", "answers")
    list_select_related = ("engine", "answers")
    autocomplete_fields = ("engine", "answers")

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)


@admin.register(FallbackIncident)
class FallbackIncidentAdmin(RoleAdmin):
    """One row from the first to the last request that another engine answered."""

    list_display = ("revision", "answered_by", "began_at", "last_at", "ended_at", "reason")
    list_select_related = ("revision__model", "answered_by__model")
    list_filter = ("ended_at",)
    list_display_links = None
