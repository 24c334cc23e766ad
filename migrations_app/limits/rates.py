"""How many requests a person, or an address without one, may send in a time; counted for all processes."""

from __future__ import annotations

import re

from django.conf import settings
from django.http import HttpRequest

from engines.exceptions import SamError
from migrations_app.limits.client_address import client_address
from migrations_app.limits.counters import add, digest, forget

ANONYMOUS, USER, WORK = "anon", "user", "work"
SECONDS = {"s": 1, "sec": 1, "min": 60, "hour": 3600, "day": 86_400}
_RATE = re.compile(r"([0-9]+)/([a-z]+)")


class TooManyRequestsError(SamError):
    """Somebody asks more often than is allowed; ``seconds`` until they may again."""

    code = "throttled"

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


def limit_person(user_id: int, scope: str = USER) -> None:
    """Count a request of a person; TooManyRequestsError above the rate of the scope."""
    _limit(scope, _person(user_id))


def forget_person(user_id: int) -> None:
    """Begin the counts of a person's requests anew."""
    for scope in (USER, WORK):
        forget(_name(scope, _person(user_id)))


def refuse_person(user_id: int) -> None:
    """Raise TooManyRequestsError when the person's next request would be one too many; counts nothing."""
    _limit(USER, _person(user_id), amount=0)


def limit_address(request: HttpRequest) -> None:
    """Count a request of nobody in particular; TooManyRequestsError above SAM_RATE_ANONYMOUS."""
    _limit(ANONYMOUS, f"address:{digest(client_address(request))}")


def _limit(scope: str, who: str, *, amount: int = 1) -> None:
    rate = settings.SAM_RATES[scope]
    found = _RATE.fullmatch(rate or "")
    if found is None:
        return
    most = int(found[1])
    counted = add(_name(scope, who), ("n",), SECONDS[found[2]], amount)
    if counted.counts[0] + 1 - amount > most:
        raise TooManyRequestsError(
            f"More than {rate} requests; wait {counted.seconds_left} s.", counted.seconds_left
        )


def _name(scope: str, who: str) -> str:
    return f"rate:{scope}:{who}"


def _person(user_id: int) -> str:
    return f"person:{user_id}"
