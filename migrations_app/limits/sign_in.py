"""Passwords cannot be guessed in bulk: after failures a name waits, and so does an address.

A name is locked first for the address that fails, so that who guesses cannot keep the owner out; only many
failures from everywhere lock it for all. It opens by itself after a quarter of an hour, or when an
administrator says so (the admin's page of people, ``sam unlock``).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from migrations_app.limits.client_address import client_address
from migrations_app.limits.counters import add, digest, forget
from migrations_app.limits.rates import TooManyRequestsError

LOCK_SECONDS = 900
FROM_ANYWHERE = 10
"""Times as many failures from all addresses together lock a name for everybody."""
OF_ONE_ADDRESS = 5
"""Times as many failures with whatever names lock an address."""
ALL = "all"


class LockedOutError(TooManyRequestsError):
    """Too many failures; the sentence does not tell whether the name exists."""

    code = "locked_out"


def refuse_locked(request: HttpRequest, login: str) -> None:
    """Raise LockedOutError when a sign-in would not even be tried."""
    _count(request, _counted_name(login), amount=0)


def count_attempt(request: HttpRequest, username: str) -> None:
    """Count a password or code before it is looked at; LockedOutError while the name is locked."""
    _count(request, username, amount=1)


def forgive_attempt(request: HttpRequest, username: str) -> None:
    """Take back what ``count_attempt`` counted: it was the right one."""
    _count(request, username, amount=-1)


def unlock(username: str) -> bool:
    """Let a name sign in again from everywhere; returns whether there were failures."""
    return forget(_name(username))


def find_person(login: str) -> User | None:
    """Return who signs in with a user name or an e-mail address; an address of several is nobody's."""
    # PostgreSQL stores no NUL, so no name has one.
    if "\x00" in login:
        return None
    user = User.objects.filter(username=login).first()
    if user is not None or "@" not in login:
        return user
    verified = User.objects.filter(emailaddress__email__iexact=login, emailaddress__verified=True)
    found = list(verified[:2]) or list(User.objects.filter(email__iexact=login)[:2])
    return found[0] if len(found) == 1 else None


class GuardedBackend(ModelBackend):
    """Django's own, behind the lock: every door that takes a password asks it."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        email: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user; PermissionDenied while locked. Without a request nothing is counted."""
        login = username or email
        if login is None or password is None:
            return super().authenticate(request, username, password, **kwargs)
        known = find_person(login)
        name = known.username if known else login
        try:
            # Counted before the password is looked at: guesses side by side are not free.
            if request is not None:
                count_attempt(request, name)
        except LockedOutError as error:
            raise PermissionDenied(str(error)) from error
        user: User | None = None
        if "\x00" not in login:
            user = super().authenticate(request, name, password, **kwargs)
        if user is not None and request is not None:
            forgive_attempt(request, name)
        return user


def _counted_name(login: str) -> str:
    """Return the one name of a person's, so that their address is no second count."""
    person = find_person(login)
    return person.username if person else login


def _count(request: HttpRequest, username: str, *, amount: int) -> None:
    """Add to the failures of a name and of an address; LockedOutError when there were too many before."""
    most: int = settings.SAM_SIGN_IN_FAILURES
    if not most:
        return
    here = _address(request)
    of_name = add(_name(username), (here, ALL), LOCK_SECONDS, amount)
    of_address = add(here, (ALL,), LOCK_SECONDS, amount)
    before = [count - amount for count in (*of_name.counts, *of_address.counts)]
    bounds = (most, most * FROM_ANYWHERE, most * OF_ONE_ADDRESS)
    if amount >= 0 and any(had >= bound for had, bound in zip(before, bounds, strict=True)):
        left = max(of_name.seconds_left, of_address.seconds_left)
        raise LockedOutError(
            f"Too many failed sign-ins; wait {left} s, or ask an administrator to unlock the name.",
            left,
        )


def _name(username: str) -> str:
    return f"sign-in:name:{digest(username)}"


def _address(request: HttpRequest) -> str:
    return f"sign-in:address:{digest(client_address(request))}"
