"""The admin, one file a subject; Django finds it here."""

from __future__ import annotations

from django.contrib import admin

from migrations_app.admin import (
    catalog,
    copies,
    fallbacks,
    hosts,
    knowledge,
    people,
    plans,
    tokens,
    usage,
)

__all__ = [
    "catalog",
    "copies",
    "fallbacks",
    "hosts",
    "knowledge",
    "people",
    "plans",
    "tokens",
    "usage",
]

admin.site.site_header = admin.site.site_title = "SAM"
admin.site.index_title = "Engines, people and plans"
