"""What became of the people of mass moves, asked of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When
from django_stubs_ext import WithAnnotations

from migrations_app.models import MassMove, MassMoveLine
from migrations_app.states import MoveState, PlanStatus

_OF_PLAN = {
    PlanStatus.PENDING: MoveState.PLANNED,
    PlanStatus.IN_PROGRESS: MoveState.RUNNING,
    PlanStatus.PAUSED: MoveState.RUNNING,
    PlanStatus.COMPLETED: MoveState.COMPLETED,
    PlanStatus.FAILED: MoveState.FAILED,
    PlanStatus.CANCELLED: MoveState.CANCELLED,
    PlanStatus.ROLLED_BACK: MoveState.ROLLED_BACK,
}


_TO_COME = (MoveState.WAITING, MoveState.PLANNED, MoveState.RUNNING)


class State(TypedDict):
    """What ``with_states`` adds to a line."""

    state: str


def with_states(lines: QuerySet[MassMoveLine]) -> QuerySet[WithAnnotations[MassMoveLine, State]]:
    """Add to each line its ``MoveState``."""
    is_cancelled = Q(handled_at=None, move__cancel_requested_at__isnull=False)
    return lines.annotate(
        state=Case(
            When(~Q(refusal=""), then=Value(MoveState.REFUSED)),
            When(is_cancelled, then=Value(MoveState.CANCELLED)),
            When(handled_at=None, then=Value(MoveState.WAITING)),
            *(When(plan__status=status, then=Value(state)) for status, state in _OF_PLAN.items()),
            default=Value(MoveState.GONE),
            output_field=CharField(),
        )
    )


def count_states(moves: Iterable[MassMove]) -> dict[int, dict[MoveState, int]]:
    """Return for each move how many people are in which state, every state named; one query."""
    keys = [move.pk for move in moves]
    found = {key: dict.fromkeys(MoveState, 0) for key in keys}
    lines = with_states(MassMoveLine.objects.filter(move__in=keys)).order_by()
    for row in lines.values("move", "state").annotate(people=Count("pk")):
        found[row["move"]][MoveState(row["state"])] = row["people"]
    return found


def count_refusals(move: MassMove, limit: int) -> list[tuple[str, int]]:
    """Return why people were left out, with how many for each reason, the most frequent first."""
    refused = move.lines.exclude(refusal="").order_by().values("refusal")
    rows = refused.annotate(people=Count("pk")).order_by("-people", "refusal")
    return [(row["refusal"], row["people"]) for row in rows[:limit]]


def count_to_come(counts: Mapping[MoveState, int]) -> int:
    """Return for how many people there is still something to do."""
    return sum(counts[state] for state in _TO_COME)


def percent_done(counts: Mapping[MoveState, int]) -> float:
    """Return with how many of a hundred people a move is done, whatever became of them."""
    total = sum(counts.values())
    return 100 * (1 - count_to_come(counts) / total) if total else 100.0
