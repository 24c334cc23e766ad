"""The admin, one file a subject; Django finds it here."""

from __future__ import annotations

from django.contrib import admin
from rest_framework.authtoken.models import TokenProxy

from migrations_app.admin import (
    catalog,
    copies,
    fallbacks,
    hosts,
    knowledge,
    people,
    plans,
    usage,
)

__all__ = ["catalog", "copies", "fallbacks", "hosts", "knowledge", "people", "plans", "usage"]

admin.site.site_header = admin.site.site_title = "SAM"
admin.site.index_title = "Engines, people and plans"
# The framework's own page of tokens shows every key.
admin.site.unregister(TokenProxy)
