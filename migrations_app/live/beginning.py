"""What a listener is told first: what it missed since its cursor, and what is now."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from migrations_app.live.access import Scope
from migrations_app.live.cursor import Cursor
from migrations_app.live.messages import Change, PlanState, Reset
from migrations_app.live.states import PersonState, person_states, plan_states
from migrations_app.live.tail import change_rows
from migrations_app.states import PLAN_OPEN

MAX_MISSED = 500
"""Of more, a page that was away so long reads everything again."""
TOO_MUCH = Reset(
    reason="More happened meanwhile than is told one by one; read again what is shown."
)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is told first, in this order."""

    missed: list[Change]
    reset: Reset | None
    plans: list[PlanState]
    person: PersonState | None
    known: frozenset[int]
    """Numbers of changes that are in the states already."""


def read_beginning(scope: Scope, cursor: Cursor | None, settled: int) -> Beginning:
    """Read it from the database; a listener that is pushed to already misses nothing in between."""
    user = User.objects.get(pk=scope.user_id)
    plans = scope.plans(user)
    missed: list[Change] = []
    reset = None
    if cursor is not None:
        missed = [row.change for row in change_rows(cursor.settled, cursor.told, plans)]
        if len(missed) > MAX_MISSED:
            missed, reset = [], TOO_MUCH
    known: frozenset[int] = frozenset()
    if cursor is None or reset is not None:
        known = frozenset(row.change.id for row in change_rows(settled, (), plans))
    # After the changes: what is now is never older than what was told before it.
    shown = plans if scope.plan else plans.filter(status__in=PLAN_OPEN)
    person = person_states([user.pk]).get(user.pk) if scope.hears_person else None
    return Beginning(missed, reset, plan_states(shown), person, known)
