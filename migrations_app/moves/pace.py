"""How fast a mass move goes, and when it will be through, by what it did lately."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone

from migrations_app.models import MassMove
from migrations_app.moves.counts import count_to_come
from migrations_app.plans.time_left import Pace, say_time_left
from migrations_app.states import MoveState

WATCHED = timedelta(minutes=10)
MIN_WATCHED = timedelta(minutes=1)
MIN_ENDED = 5
"""Plans that ended meanwhile, before a pace is told: fewer say nothing of the next ones."""
MINUTE = 60


def measure_pace(move: MassMove, counts: Mapping[MoveState, int]) -> Pace:
    """Return people a second over the last minutes and the seconds left; unknown while too few have ended.

    ``counts`` are its people by state.
    """
    now = timezone.now()
    watched = min(now - move.created_at, WATCHED)
    to_come = count_to_come(counts)
    if move.finished_at or move.cancel_requested_at or not to_come or watched < MIN_WATCHED:
        return Pace()
    ended = move.lines.filter(plan__finished_at__gt=now - watched).count()
    if ended < MIN_ENDED:
        return Pace()
    rate = ended / watched.total_seconds()
    return Pace(rate, to_come / rate)


def say_pace(pace: Pace) -> str:
    """Return it as people read it; empty while it is not known."""
    if pace.rate is None or pace.seconds_left is None:
        return ""
    return f"{pace.rate * MINUTE:.3g} people a minute, {say_time_left(pace.seconds_left)}"
