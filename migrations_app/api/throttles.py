"""The rates of ``limits`` as the framework asks for them; its views import this, so this imports none."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from migrations_app.limits.rates import USER, WORK, limit_address, limit_person


class RateThrottle(BaseThrottle):
    """Counts by person, and by address who shows no token."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Return True, or raise TooManyRequestsError."""
        user = request.user
        if user.is_authenticated:
            _count(user)
        else:
            limit_address(request._request)
        return True


class WorkThrottle(BaseThrottle):
    """A brake on what starts work; reading is not counted."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Return True, or raise TooManyRequestsError."""
        if request.method not in SAFE_METHODS and request.user.is_authenticated:
            _count(request.user, WORK)
        return True


def _count(user: Any, scope: str = USER) -> None:
    # The system itself, from this machine's command line, has no row and no limit.
    if user.pk is not None:
        limit_person(int(user.pk), scope)
