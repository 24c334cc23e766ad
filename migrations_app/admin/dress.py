"""Unfold's classes; to mypy they are the classes of Django that they dress, as Unfold states no types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, TabularInline
    from django.contrib.auth.forms import (
        AdminPasswordChangeForm,
        AdminUserCreationForm,
        UserChangeForm,
    )
else:
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm
    from unfold.forms import UserCreationForm as AdminUserCreationForm

__all__ = [
    "AdminPasswordChangeForm",
    "AdminUserCreationForm",
    "ModelAdmin",
    "TabularInline",
    "UserChangeForm",
]
