"""Who calls from this machine's command line: they reach the database, so nothing is proved again."""

from __future__ import annotations

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from engines.models import TokenScope
from migrations_app.controller import SYSTEM
from migrations_app.local_caller import find_local_caller


class LocalAuthentication(BaseAuthentication):
    """Believe the command line of this machine."""

    def authenticate(self, request: Request) -> tuple[User, TokenScope] | None:
        """Return who is meant, None for a request of a web server; AuthenticationFailed."""
        caller = find_local_caller(request._request)
        if caller is None:
            return None
        if not caller.person:
            return make_system_user(), TokenScope.ALL
        user = User.objects.filter(username=caller.person, is_active=True).first()
        if user is None:
            raise AuthenticationFailed(f"There is no active user {caller.person!r}.")
        return user, TokenScope.ALL


def make_system_user() -> User:
    """Return somebody with every role and nothing of their own; there is no such row."""
    return User(username=SYSTEM, is_active=True, is_superuser=True)
