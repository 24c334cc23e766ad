"""What the templates of the shell need; computed only where a template asks for it."""

from __future__ import annotations

from typing import TypedDict

from django.conf import settings
from django.http import HttpRequest

from migrations_app.pages.navigation import ACCOUNT_PLACES, PLACES, Place
from migrations_app.pages.theme import theme_of


class Shell(TypedDict):
    """For base.html and plain.html."""

    theme: str
    places: tuple[Place, ...]
    account_places: tuple[Place, ...]
    version: str


def shell(request: HttpRequest) -> Shell:
    """Return the shell's part of every template's context."""
    return {
        "theme": theme_of(request),
        "places": PLACES,
        "account_places": ACCOUNT_PLACES,
        "version": settings.VERSION,
    }
