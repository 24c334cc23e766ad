"""Tokens used per person and day, and the quota that may limit them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, Q, QuerySet, Subquery

from engines.composed import Composed, Given
from engines.exceptions import InvalidRequestError, SamError
from engines.models import TokenQuota, TokenUsage

LARGEST_QUOTA = 2**63 - 1
MOST_DAYS = 3660

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


@Composed
def _quota(user: Given, day: Given) -> QuerySet[TokenQuota]:
    """The person's own quota, or else everybody's, with what was ``used`` that day."""
    used = TokenUsage.objects.filter(user=user, day=day)
    rows = TokenQuota.objects.filter(Q(user=user) | Q(user__isnull=True)).annotate(
        used=Subquery(used.values_list(F("tokens_in") + F("tokens_out")))
    )
    return rows.order_by(F("user").asc(nulls_last=True))[:1]


def usage_add(user_id: int, tokens_in: int, tokens_out: int) -> None:
    """Add one answered request to the person's day."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [tokens_in, tokens_out, user_id])


def quota_check(user: User) -> None:
    """Raise QuotaExceededError when today's tokens reach the person's quota, if there is one.

    Answers under way are not counted, so a day may end a little above it.
    """
    now = datetime.now(UTC)
    quota = _quota.first(user.pk, now.date())
    used = getattr(quota, "used", None) or 0
    if quota is None or used < quota.tokens_per_day:
        return
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    raise QuotaExceededError(
        f"You used {used} of the {quota.tokens_per_day} tokens allowed a day; the next day begins "
        "at midnight UTC, or ask an administrator for more.",
        int((midnight - now).total_seconds()) + 1,
    )


def usage_rows(days: int) -> QuerySet[TokenUsage]:
    """Return who used how much on the last days, today (UTC) included, the newest first."""
    first = datetime.now(UTC).date() - timedelta(days=min(max(days, 1), MOST_DAYS) - 1)
    return TokenUsage.objects.filter(day__gte=first).select_related("user")


def quota_set(user: User | None, tokens_per_day: int) -> TokenQuota:
    """Set a person's quota, or without one everybody's; InvalidRequestError below 0."""
    if not 0 <= tokens_per_day <= LARGEST_QUOTA:
        raise InvalidRequestError(f"A quota is a whole number from 0 to {LARGEST_QUOTA}.")
    quota, _ = TokenQuota.objects.update_or_create(
        user=user, defaults={"tokens_per_day": tokens_per_day}
    )
    return quota


def quota_remove(user: User | None) -> None:
    """Take a person's quota away, or without one everybody's."""
    TokenQuota.objects.filter(user=user).delete()
