"""The admin, one file a subject; Django finds it here."""

from __future__ import annotations

from django.contrib import admin

from migrations_app.admin import (
    catalog,
    copies,
    fallbacks,
    hosts,
    invitations,
    knowledge,
    people,
    plans,
    tokens,
    usage,
)
from migrations_app.admin.sign_in import close_own_login

__all__ = [
    "catalog",
    "copies",
    "fallbacks",
    "hosts",
    "invitations",
    "knowledge",
    "people",
    "plans",
    "tokens",
    "usage",
]

close_own_login(admin.site)
