"""Tokens used per person and day, and the quota that may limit them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from engines.db.prepared import Parameter
from engines.exceptions import InvalidRequestError, SamError
from engines.models import TokenQuota, TokenUsage

MAX_QUOTA = 2**63 - 1
MAX_DAYS = 3660

# One statement, so that concurrent answers add up; nothing for a person erased meanwhile.
_ADD = """
INSERT INTO engines_tokenusage AS u (user_id, day, tokens_in, tokens_out, requests)
SELECT id, (clock_timestamp() AT TIME ZONE 'UTC')::date, %s, %s, 1 FROM auth_user WHERE id = %s
ON CONFLICT (user_id, day) DO UPDATE SET
    tokens_in = u.tokens_in + excluded.tokens_in,
    tokens_out = u.tokens_out + excluded.tokens_out,
    requests = u.requests + 1
"""


class QuotaExceededError(SamError):
    """A person used the tokens of the day; ``seconds`` until the next one begins."""

    code = "quota_exceeded"

    def __init__(self, message: str, seconds: int = 0) -> None:
        super().__init__(message)
        self.seconds = seconds


def with_quota(people: QuerySet[User], day: date | Parameter) -> QuerySet[User]:
    """Add to people what ``check_quota`` looks at: the day's tokens and how many are allowed.

    That is the person's own quota, or else everybody's.
    """
    used = TokenUsage.objects.filter(user=OuterRef("pk"), day=day)
    quotas = TokenQuota.objects.filter(Q(user=OuterRef("pk")) | Q(user__isnull=True))
    first = quotas.order_by(F("user").asc(nulls_last=True)).values("tokens_per_day")[:1]
    return people.annotate(
        tokens_used=Subquery(used.values_list(F("tokens_in") + F("tokens_out"))),
        tokens_allowed=Subquery(first),
    )


def today() -> date:
    """Return the present day of UTC, for which tokens are counted."""
    return datetime.now(UTC).date()


def add_usage(user_id: int, tokens_in: int, tokens_out: int) -> None:
    """Add one answered request to the person's day."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [tokens_in, tokens_out, user_id])


def check_quota(user: User) -> None:
    """Raise QuotaExceededError when today's tokens reach the person's quota, if there is one.

    The person was read ``with_quota``. Answers under way are not counted, so a day may end a little
    above it.
    """
    known: Any = user
    used, allowed = known.tokens_used or 0, known.tokens_allowed
    if allowed is None or used < allowed:
        return
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    raise QuotaExceededError(
        f"You used {used} of the {allowed} tokens allowed a day; the next day begins "
        "at midnight UTC, or ask an administrator for more.",
        int((midnight - now).total_seconds()) + 1,
    )


def usage_rows(days: int) -> QuerySet[TokenUsage]:
    """Return who used how much on the last days, today (UTC) included, the newest first."""
    first = today() - timedelta(days=min(max(days, 1), MAX_DAYS) - 1)
    return TokenUsage.objects.filter(day__gte=first).select_related("user")


def set_quota(user: User | None, tokens_per_day: int) -> TokenQuota:
    """Set a person's quota, or without one everybody's; InvalidRequestError below 0."""
    if not 0 <= tokens_per_day <= MAX_QUOTA:
        raise InvalidRequestError(f"A quota is a whole number from 0 to {MAX_QUOTA}.")
    quota, _ = TokenQuota.objects.update_or_create(
        user=user, defaults={"tokens_per_day": tokens_per_day}
    )
    return quota


def remove_quota(user: User | None) -> None:
    """Take a person's quota away, or without one everybody's."""
    TokenQuota.objects.filter(user=user).delete()
