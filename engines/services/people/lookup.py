"""Whom a caller means by a key or a name."""

from __future__ import annotations

from django.contrib.auth.models import User

from engines.exceptions import NotFoundError


def person_named(user_id: int | str) -> User:
    """Return the person of a key or a user name; NotFoundError when there is none."""
    name = str(user_id)
    # Digits are a key, also where somebody's name is made of digits: what a name means never changes.
    by_key = name.isascii() and name.isdecimal()
    found = User.objects.filter(pk=int(name)) if by_key else User.objects.filter(username=name)
    user = found.first()
    if user is None:
        raise NotFoundError(f"There is no user {user_id!r}.")
    return user
