"""Second factors at the doors that are no pages, and who must have one."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest

from engines.exceptions import SamError
from migrations_app.limits.sign_in import count_attempt, forgive_attempt

NOBODY, STAFF, EVERYBODY = "nobody", "staff", "everybody"


class SecondFactorError(SamError):
    """The password was right and is not enough."""

    code = "second_factor"


def require_second_factor(request: HttpRequest, user: User, code: str) -> None:
    """Raise SecondFactorError unless a person without a second factor, or with its code, asks.

    A wrong code counts like a wrong password; LockedOutError after too many.
    """
    factors = list(Authenticator.objects.filter(user=user))
    # A passkey speaks to browsers only; whoever has one has recovery codes as well.
    coded = [factor for factor in factors if factor.type != Authenticator.Type.WEBAUTHN]
    if not factors:
        if must_have_factor(user):
            raise SecondFactorError(
                "A second factor is required here; sign in on the page and set it up first."
            )
        return
    if not code:
        raise SecondFactorError(
            "Send the code of your second factor as well: of your app, or a recovery code."
        )
    count_attempt(request, user.username)
    if not any(factor.wrap().validate_code(code) for factor in coded):
        raise SecondFactorError("The code is wrong or was used before; send a new one.")
    forgive_attempt(request, user.username)


def has_factor(user: User) -> bool:
    """Whether a person set up a second factor."""
    return Authenticator.objects.filter(user=user).exists()


def must_have_factor(user: User) -> bool:
    """Whether the installation asks a second factor of a person."""
    asked = settings.SAM_REQUIRE_SECOND_FACTOR
    return bool(asked == EVERYBODY or (asked == STAFF and (user.is_staff or user.is_superuser)))


def remove_factors(user: User) -> int:
    """Take a person's second factors away, for who lost the telephone; returns how many."""
    return int(Authenticator.objects.filter(user=user).delete()[0])
