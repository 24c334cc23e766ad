"""Who may listen to what, asked at the beginning and again and again: for all listeners together."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils import timezone

from engines.db.clock import ClockTimestamp
from engines.models import ApiToken, TokenScope
from engines.services.people.roles import is_operator
from migrations_app.live.tail import Owned
from migrations_app.models import Plan
from migrations_app.plans.visibility import plans_of, plans_visible_to

SIGNED_OUT = "You are signed out here; sign in again."
NOT_YOURS = "This is not yours to see any more."


@dataclass(frozen=True, slots=True)
class Credential:
    """What a listener came with: a person's token, or a session of theirs in a browser."""

    user_id: int
    token_id: int | None = None
    session_key: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a listener hears of: one plan, all that is a person's, or every plan, for an operator."""

    user_id: int
    plan: str | None = None
    everything: bool = False

    @property
    def hears_person(self) -> bool:
        """Whether it is the stream of a person, with engine, adapters and notices."""
        return self.plan is None

    def includes(self, owned: Owned) -> bool:
        """Whether something about a plan is for this listener."""
        if self.plan is not None:
            return owned.plan == self.plan
        is_own = owned.user == self.user_id
        is_own = is_own or (owned.user is None and owned.created_by == self.user_id)
        return self.everything or is_own

    def plans(self, user: User) -> QuerySet[Plan]:
        """Return the plans of the scope that the person may see."""
        if self.plan is not None:
            return plans_visible_to(user).filter(pk=self.plan)
        return plans_visible_to(user) if self.everything else plans_of(user)


@dataclass(frozen=True, slots=True)
class Permit:
    """What a listener may hear, and what shows that they may."""

    credential: Credential
    scope: Scope


def refusals(permits: Collection[Permit]) -> dict[Permit, str]:
    """Return the permits that do not hold any more, each with a sentence."""
    credentials = {permit.credential for permit in permits}
    valid = _valid_tokens(credentials), _valid_sessions(credentials)
    people = User.objects.in_bulk({credential.user_id for credential in credentials})
    return {
        permit: sentence
        for permit in permits
        if (sentence := _refusal(permit, people.get(permit.credential.user_id), *valid))
    }


def _refusal(
    permit: Permit, user: User | None, tokens: Collection[int], sessions: dict[str, str]
) -> str:
    if (
        user is None
        or not user.is_active
        or not _is_held(permit.credential, user, tokens, sessions)
    ):
        return SIGNED_OUT
    scope = permit.scope
    if scope.everything and not is_operator(user):
        return NOT_YOURS
    if scope.plan is not None and not scope.plans(user).exists():
        return NOT_YOURS
    return ""


def _is_held(
    credential: Credential, user: User, tokens: Collection[int], sessions: dict[str, str]
) -> bool:
    if credential.token_id is not None:
        return credential.token_id in tokens
    kept = sessions.get(credential.session_key or "")
    # A new password changes the hash, which ends all sessions of before.
    return kept is not None and kept == user.get_session_auth_hash()


def _valid_tokens(credentials: Iterable[Credential]) -> set[int]:
    living = Q(expires_at__isnull=True) | Q(expires_at__gt=ClockTimestamp())
    ids = [one.token_id for one in credentials if one.token_id is not None]
    rows = ApiToken.objects.filter(living, pk__in=ids).exclude(scope=TokenScope.ANSWERS)
    return set(rows.values_list("pk", flat=True)) if ids else set()


def _valid_sessions(credentials: Iterable[Credential]) -> dict[str, str]:
    """Return the hash that each living session keeps of its person's password."""
    keys = [one.session_key for one in credentials if one.session_key is not None]
    if not keys:
        return {}
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return {row.session_key: str(row.get_decoded().get("_auth_user_hash")) for row in rows}
