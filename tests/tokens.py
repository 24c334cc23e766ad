"""Tokens for tests: whoever asks gets one more."""

from __future__ import annotations

from django.contrib.auth.models import User

from engines.services.people.tokens import create_token


def token_for(user: User) -> str:
    """The key of a new token."""
    return create_token(user, "test").key
