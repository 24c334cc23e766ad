"""The admin, one file a subject; Django finds it here."""

from __future__ import annotations

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
