"""A person's tokens: made once, found by their hash, ended by their owner, time or a new password."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.db.prepared import Parameter, PreparedQuery
from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import ApiToken, TokenScope

PREFIX = "sam_"
"""Lets scanners of published code recognise a token."""
SECRET_BYTES = 32
MAX_TOKENS = 100
MAX_OF_ONE_NAME = 10
"""One more ends the oldest of the name: a script that signs in each time must not fill the list."""
MAX_NAME_CHARS = 64
KEY_IS_DEAD = "This token is not known, has expired or was ended"
USED_SECONDS = 3600.0
"""How exactly the last use is known: its row is not written for each request."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; ``key`` is known now and never again."""

    key: str
    token: ApiToken


def create_token(
    user: User, name: str, *, scope: TokenScope = TokenScope.ALL, days: int = 0
) -> NewToken:
    """Make a token for a person; 0 days means that it does not expire.

    Raises InvalidRequestError for a name that cannot be shown, ConflictError when the person has
    too many.
    """
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise InvalidRequestError(
            f"A token's name has 1 to {MAX_NAME_CHARS} characters that can be printed."
        )
    key = f"{PREFIX}{secrets.token_urlsafe(SECRET_BYTES)}"
    with transaction.atomic():
        # Two that sign in at once count one after the other.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _make_room(user, name)
        token = ApiToken.objects.create(
            user=user,
            name=name,
            sha256=hash_token(key),
            scope=scope,
            expires_at=seconds_from_now(timedelta(days=days).total_seconds()) if days else None,
        )
    token.refresh_from_db(fields=["expires_at"])
    return NewToken(key, token)


def _make_room(user: User, name: str) -> None:
    mine = ApiToken.objects.filter(user=user)
    mine.filter(expires_at__lt=ClockTimestamp()).delete()
    same = list(mine.filter(name=name).order_by("-id").values_list("pk", flat=True))
    mine.filter(pk__in=same[MAX_OF_ONE_NAME - 1 :]).delete()
    if mine.count() >= MAX_TOKENS:
        raise ConflictError(
            f"{user.get_username()} has {MAX_TOKENS} tokens; end some that are not used any more."
        )


def hash_token(key: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def with_token(digest: bytes | Parameter) -> QuerySet[User]:
    """Return the active person whose living token has a digest, with what is known of the token."""
    living = Q(api_tokens__expires_at__isnull=True) | Q(api_tokens__expires_at__gt=ClockTimestamp())
    return User.objects.filter(living, api_tokens__sha256=digest, is_active=True).annotate(
        token_id=F("api_tokens__pk"),
        token_scope=F("api_tokens__scope"),
        token_is_stale=Q(api_tokens__last_used_at__isnull=True)
        | Q(api_tokens__last_used_at__lt=seconds_from_now(-USED_SECONDS)),
    )


@PreparedQuery
def _owner(digest: Parameter) -> QuerySet[User]:
    return with_token(digest)


def find_owner(key: str) -> User | None:
    """Return the person a token stands for, with ``token_scope``; None when it opens nothing."""
    user = _owner.first(hash_token(key))
    if user is not None:
        note_use(user)
    return user


def note_use(user: User) -> None:
    """Write down that the token of a person read ``with_token`` was used, about once an hour."""
    known: Any = user
    if known.token_is_stale:
        ApiToken.objects.filter(pk=known.token_id).update(last_used_at=ClockTimestamp())


def end_tokens(user: User) -> int:
    """End all tokens of a person; returns how many."""
    return ApiToken.objects.filter(user=user).delete()[0]


def end_dead_tokens() -> int:
    """Remove tokens that expired or whose person was deactivated; returns how many."""
    dead = Q(expires_at__lt=ClockTimestamp()) | Q(user__is_active=False)
    return ApiToken.objects.filter(dead).delete()[0]


class EndTokensWithPassword:
    """Among Django's password validators, which it tells of every password that was set.

    A password is changed because somebody else may know it, and tokens are got with a password.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Accept any password: others judge it."""

    def get_help_text(self) -> str:
        return "A new password ends all API tokens."

    def password_changed(self, password: str, user: User | None = None) -> None:
        """End the person's tokens."""
        if user is not None and user.pk:
            end_tokens(user)
