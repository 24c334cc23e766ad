"""Tokens for tests: whoever asks gets one more."""

from __future__ import annotations

from django.contrib.auth.models import User

from engines.services.people.tokens import token_create


def token_for(user: User) -> str:
    """The key of a new token."""
    return token_create(user, "test").key
