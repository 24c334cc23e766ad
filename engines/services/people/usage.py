"""Tokens used per person and day, the quota that may limit them, and what another engine would lack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery, Sum

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.db.prepared import Parameter
from engines.exceptions import InvalidRequestError, SamError
from engines.models import TokenQuota, TokenReservation, TokenUsage
from engines.services.catalog.capabilities import Capabilities, JsonUse, ToolUse

MAX_QUOTA = 2**63 - 1
RESERVED_SECONDS = 900.0
"""How long an answer may take before what it took is free again for others."""
UNCOUNTED_SECONDS = 15.0
UNDER_WAY_SECONDS = 5
"""When to ask again while other answers hold what is left."""
CHARACTERS_PER_TOKEN = 2
FORM_TOKENS = 64
"""About what the chat template and the prompts of a family add."""
DEFAULT_ANSWER_TOKENS = 1024
"""What is set aside for an answer without a limit."""
MAX_DAYS = 3660
RECENT_DAYS = 30
"""How far back it counts what somebody uses."""

# One statement, so that concurrent answers add up; nothing for a person erased meanwhile.
_ADD = """
INSERT INTO engines_tokenusage AS u (
    user_id, day, tokens_in, tokens_out, requests, with_tools, with_schema, longest_request
)
SELECT id, (clock_timestamp() AT TIME ZONE 'UTC')::date, %s, %s, 1, %s, %s, %s
FROM auth_user WHERE id = %s
ON CONFLICT (user_id, day) DO UPDATE SET
    tokens_in = u.tokens_in + excluded.tokens_in,
    tokens_out = u.tokens_out + excluded.tokens_out,
    requests = u.requests + 1,
    with_tools = u.with_tools + excluded.with_tools,
    with_schema = u.with_schema + excluded.with_schema,
    longest_request = greatest(u.longest_request, excluded.longest_request)
"""


class QuotaExceededError(SamError):
    """A person used the tokens of the day; ``seconds`` until asking again helps.

    Without them that is the next day, also for an error that came from another process.
    """

    code = "quota_exceeded"

    def __init__(self, message: str, seconds: int = 0) -> None:
        super().__init__(message)
        self.seconds = seconds or _seconds_to_midnight()


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


def estimate_tokens(characters: int, max_tokens: int) -> int:
    """Return what to set aside for an answer to so much text, with ``max_tokens`` or 0."""
    return FORM_TOKENS + characters // CHARACTERS_PER_TOKEN + (max_tokens or DEFAULT_ANSWER_TOKENS)


@dataclass(frozen=True, slots=True)
class RequestKind:
    """What a request asked of an engine besides text; nothing of what was written."""

    has_tools: bool = False
    has_schema: bool = False
    fills_context: bool = False
    """Whether prompt and answer stood in one context; texts that are embedded do not."""


NOTHING_SPECIAL = RequestKind()


@dataclass(frozen=True, slots=True)
class RecentUse:
    """What a person asked of engines in the last days."""

    days: int
    with_tools: int
    with_schema: int
    longest_request: int
    """Tokens, prompt and answer together."""


def add_usage(
    user_id: int, tokens_in: int, tokens_out: int, kind: RequestKind = NOTHING_SPECIAL
) -> None:
    """Add one answered request to the person's day."""
    longest = tokens_in + tokens_out if kind.fills_context else 0
    special = [int(kind.has_tools), int(kind.has_schema), longest]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [tokens_in, tokens_out, *special, user_id])


def recent_use(user: User, days: int = RECENT_DAYS) -> RecentUse:
    """Return what a person asked of engines in the last days; one statement."""
    rows = TokenUsage.objects.filter(user=user, day__gt=today() - timedelta(days=days))
    found = rows.aggregate(
        tools=Sum("with_tools"), schema=Sum("with_schema"), longest=Max("longest_request")
    )
    return RecentUse(days, found["tools"] or 0, found["schema"] or 0, found["longest"] or 0)


def check_quota(user: User) -> None:
    """Raise QuotaExceededError when today's tokens reach the person's quota, if there is one.

    The person was read ``with_quota``. Answers under way are looked at by ``reserve_tokens``.
    """
    known: Any = user
    used, allowed = known.tokens_used or 0, known.tokens_allowed
    if allowed is None or used < allowed:
        return
    raise QuotaExceededError(
        f"You used {used} of the {allowed} tokens allowed a day; the next day begins "
        "at midnight UTC, or ask an administrator for more."
    )


def _seconds_to_midnight() -> int:
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return int((midnight - now).total_seconds()) + 1


@dataclass(frozen=True, slots=True)
class Reserved:
    """Tokens of a person's day that an answer may use; ``pk`` names them until they are settled."""

    pk: int
    tokens: int


def reserve_tokens(user_id: int, wanted: int) -> Reserved | None:
    """Take up to ``wanted`` tokens of what the day still has; None for a person without a quota.

    Answers side by side take one after the other, so that together they cannot use more than is
    left. Raises QuotaExceededError when nothing is. Settle what was taken when the answer ended.
    """
    with transaction.atomic():
        left = _left_of_day(user_id)
        if left is None:
            return None
        if left <= 0:
            raise QuotaExceededError(
                "Your answers under way may use the rest of the tokens allowed a day; ask again when "
                "one of them has ended.",
                UNDER_WAY_SECONDS,
            )
        row = TokenReservation.objects.create(
            user_id=user_id,
            tokens=max(1, min(wanted, left)),
            expires_at=seconds_from_now(RESERVED_SECONDS),
        )
    return Reserved(row.pk, row.tokens)


def fit_reservation(user_id: int, reservation_id: int, wanted: int) -> int:
    """Bring what was taken by an estimate to what is needed, as far as the day has it; returns that.

    ``wanted`` again for a person whose quota was taken away meanwhile. Raises QuotaExceededError.
    """
    with transaction.atomic():
        left = _left_of_day(user_id, besides=reservation_id)
        tokens = wanted if left is None else min(wanted, max(left, 0))
        # Of an answer whose reader left there may be no row any more: it ends before it begins.
        TokenReservation.objects.filter(pk=reservation_id).update(tokens=max(1, tokens))
    return tokens


def _left_of_day(user_id: int, *, besides: int = 0) -> int | None:
    """Return what nobody took of a person's day, who is locked until the transaction ends.

    None without a quota. ``besides`` is the key of a reservation that is not counted.
    """
    # Its own statement: the sums that follow must see what the one before committed.
    User.objects.select_for_update(no_key=True).get(pk=user_id)
    under_way = TokenReservation.objects.filter(user=user_id).exclude(pk=besides)
    under_way.filter(expires_at__lt=ClockTimestamp()).delete()
    # Before the usage: an answer that ends between the two is then counted twice for a moment; the
    # other way round it would be counted by neither, and the quota passed.
    taken = under_way.aggregate(sum=Sum("tokens"))["sum"] or 0
    person: Any = with_quota(User.objects.filter(pk=user_id), today()).get()
    check_quota(person)
    if person.tokens_allowed is None:
        return None
    return int(person.tokens_allowed - (person.tokens_used or 0) - taken)


def settle_reservation(reserved: Reserved | None, *, is_counted: bool = True) -> None:
    """Give back what was taken; what an answer used is counted by whoever wrote it.

    Not counted yet (its reader left, so its writer stops within seconds): it stays taken until then.
    """
    if reserved is None:
        return
    rows = TokenReservation.objects.filter(pk=reserved.pk)
    if is_counted:
        rows.delete()
    else:
        rows.update(expires_at=seconds_from_now(UNCOUNTED_SECONDS))


@contextmanager
def reserved_tokens(user_id: int, wanted: int) -> Iterator[Reserved | None]:
    """Hold tokens of the day for as long as the block runs; QuotaExceededError."""
    reserved = reserve_tokens(user_id, wanted)
    try:
        yield reserved
    finally:
        settle_reservation(reserved)


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


def describe_lost_uses(
    used: RecentUse, old: Capabilities | None, new: Capabilities, name: str
) -> list[str]:
    """Return a sentence for each use that ``new`` lacks and ``old`` (None: no engine) does not.

    What was counted is how often, never what was asked. Images are not counted: no engine takes them.
    """
    since = f"in the last {used.days} days"
    told = []
    if used.with_tools and new.tools == ToolUse.WRITTEN and _had(old, ToolUse.WRITTEN):
        told.append(
            f"{_times(used.with_tools)} {since} you had tools called. {name} was not trained for "
            "that: they are described to it in words, and calls may fail."
        )
    if used.with_schema and new.json != JsonUse.HELD and _held(old):
        refused = "it refuses such requests" if new.json == JsonUse.NONE else "its server may not"
        told.append(
            f"{_times(used.with_schema)} {since} an answer kept to a JSON schema. With {name} "
            f"nothing holds it to one: {refused}."
        )
    if 0 < new.context < used.longest_request:
        told.append(
            f"Your longest request {since} had {used.longest_request:,} tokens. {name} reads "
            f"{new.context:,}: the oldest messages of such a conversation are left out."
        )
    return told


def _had(old: Capabilities | None, lack: ToolUse) -> bool:
    return old is None or old.tools != lack


def _held(old: Capabilities | None) -> bool:
    return old is None or old.json == JsonUse.HELD


def _times(count: int) -> str:
    return "Once" if count == 1 else f"{count:,} times"
