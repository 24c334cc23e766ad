"""The people of the demo: an administrator, Ada with her team, and Bob, who must see nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import Group, User

from engines.services.people.tokens import create_token

TEAM = "readers"
ADMIN = "admin"
_PASSWORD_BYTES = 15


@dataclass(frozen=True, slots=True)
class People:
    """Everybody's API token."""

    admin: str
    ada: str
    bob: str


def ensure_administrator() -> str | None:
    """Create ``admin`` when there is none; return the password that time only."""
    if User.objects.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    User.objects.create_superuser(ADMIN, password=password)
    return password


def ensure_people() -> People:
    """Create Ada in her team and Bob outside of it; nobody but the administrator has a password."""
    team, _ = Group.objects.get_or_create(name=TEAM)
    ada, bob = _person("ada"), _person("bob")
    ada.groups.add(team)
    admin = User.objects.get(username=ADMIN)
    return People(*(_token(user) for user in (admin, ada, bob)))


def _person(name: str) -> User:
    user = User.objects.filter(username=name).first()
    return user or User.objects.create_user(name)


def _token(user: User) -> str:
    return create_token(user, "demo").key
