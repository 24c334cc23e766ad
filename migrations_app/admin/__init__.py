"""The admin, one file a subject; Django finds it here."""

from __future__ import annotations

from django.contrib import admin

from migrations_app.admin import (
    audit,
    backups,
    catalog,
    collection,
    fallbacks,
    hosts,
    invitations,
    knowledge,
    moves,
    people,
    plans,
    tokens,
    usage,
)
from migrations_app.admin.drawn_once import install
from migrations_app.admin.sign_in import close_own_login, remove_pages_of_allauth

__all__ = [
    "audit",
    "backups",
    "catalog",
    "collection",
    "fallbacks",
    "hosts",
    "invitations",
    "knowledge",
    "moves",
    "people",
    "plans",
    "tokens",
    "usage",
]

install()
close_own_login(admin.site)
remove_pages_of_allauth(admin.site)
