"""The admin of fallback engines and of the times when one answered."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError

from engines.models import (
    CatalogModel,
    EngineFallback,
    FallbackIncident,
)
from engines.services.people.roles import is_operator
from migrations_app.admin.base import RoleAdmin


class FallbackForm(forms.ModelForm[EngineFallback]):
    """A rule's form, which knows the rules that are there."""

    def clean_engine(self) -> CatalogModel | None:
        """Refuse a second rule for the same engine, and say what the first one is."""
        engine: CatalogModel | None = self.cleaned_data["engine"]
        rows = EngineFallback.objects.filter(engine=engine).exclude(pk=self.instance.pk)
        if (there := rows.select_related("engine", "answers").first()) is not None:
            raise ValidationError(f"There is a rule already, {there}: change that one instead.")
        return engine

    def clean(self) -> dict[str, Any]:
        """Refuse an engine that would answer for itself."""
        cleaned: dict[str, Any] = super().clean() or {}
        engine = cleaned.get("engine")
        if engine is not None and engine == cleaned.get("answers"):
            self.add_error("answers", "An engine cannot answer for itself; choose another.")
        return cleaned


@admin.register(EngineFallback)
class EngineFallbackAdmin(RoleAdmin):
    """What answers, and says so, for an engine that cannot be made ready."""

    form = FallbackForm
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
