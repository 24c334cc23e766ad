"""Follows the changes of all plans in the order in which they become visible, losing and doubling none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import Max, QuerySet

from migrations_app.live.cursor import MAX_TOLD, Cursor
from migrations_app.live.messages import Change
from migrations_app.models import Plan, PlanEvent

MAX_ROWS = 1000
_NEW_TRANSACTION = "SELECT pg_current_xact_id()::text::bigint"
_OLDEST_TRANSACTION = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
LOOK_BACK = 1000
"""Changes before the newest one that may still be on their way when following begins."""


@dataclass(frozen=True, slots=True)
class Owned:
    """Whose plan something is about."""

    plan: str
    user: int | None
    created_by: int | None


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change, and whose plan it is of."""

    owned: Owned
    change: Change


@dataclass(frozen=True, slots=True)
class _Mark:
    """Once all transactions before ``transaction`` ended, all changes up to ``number`` are visible."""

    number: int
    transaction: int


def change_rows(
    after: int, without: Iterable[int] = (), plans: QuerySet[Plan] | None = None
) -> list[ChangeRow]:
    """Return the first changes with higher numbers, of some plans or of all, in their order."""
    rows = PlanEvent.objects.filter(pk__gt=after).exclude(pk__in=list(without))
    if plans is not None:
        rows = rows.filter(plan__in=plans.order_by().values("pk"))
    related = rows.select_related("plan", "step").only(
        *("from_status", "to_status", "why", "at"),
        *("plan__user", "plan__created_by", "step__kind"),
    )
    return [_row(event) for event in related.order_by("pk")[:MAX_ROWS]]


def _row(event: PlanEvent) -> ChangeRow:
    plan = event.plan
    change = Change(
        id=event.pk,
        plan=str(plan.pk),
        step=event.step.kind if event.step else None,
        from_status=event.from_status,
        to_status=event.to_status,
        why=event.why,
        at=event.at,
    )
    return ChangeRow(Owned(str(plan.pk), plan.user_id, plan.created_by_id), change)


class Tail:
    """One process's place among the changes; its methods ask the database, so they need a thread."""

    def __init__(self) -> None:
        self.settled = 0
        """Every change up to this number was seen."""
        self._seen: set[int] = set()
        self._marks: deque[_Mark] = deque()

    def begin(self) -> None:
        """Take what is there as known."""
        self.settled = max(_newest() - LOOK_BACK, 0)
        self._seen = _numbers_after(self.settled, PlanEvent.objects.all())
        self._marks.clear()
        self._mark(max(self._seen, default=self.settled))

    def read(self) -> list[ChangeRow]:
        """Return the changes that became visible since the last time."""
        # Asked first: what those transactions wrote is then visible to the statement after it.
        oldest = _ask(_OLDEST_TRANSACTION) if self._marks else 0
        rows = change_rows(self.settled, self._seen)
        self._seen |= {row.change.id for row in rows}
        if len(rows) < MAX_ROWS:
            self._settle(oldest)
        newest = max((row.change.id for row in rows), default=0)
        if newest > max(self.settled, self._marks[-1].number if self._marks else 0):
            self._mark(newest)
        return rows

    def _settle(self, oldest: int) -> None:
        """Move on to the newest mark before which every transaction has ended."""
        while self._marks and self._marks[0].transaction <= oldest:
            self.settled = self._marks.popleft().number
        self._seen = {number for number in self._seen if number > self.settled}

    def _mark(self, number: int) -> None:
        # Whoever took a lower number has its transaction's id already, so a new one is above it.
        self._marks.append(_Mark(number, _ask(_NEW_TRANSACTION)))


def place_now(plans: QuerySet[Plan]) -> Cursor:
    """Return the place after every change of some plans that is visible now, for who shows them and listens then."""
    settled = max(_newest() - MAX_TOLD, 0)
    own = PlanEvent.objects.filter(plan__in=plans.order_by().values("pk"))
    return Cursor(settled, frozenset(_numbers_after(settled, own)))


def _newest() -> int:
    return PlanEvent.objects.aggregate(newest=Max("pk"))["newest"] or 0


def _numbers_after(settled: int, events: QuerySet[PlanEvent]) -> set[int]:
    return set(events.filter(pk__gt=settled).values_list("pk", flat=True))


def _ask(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (answer,) = cursor.fetchone() or (0,)
    return int(answer)
