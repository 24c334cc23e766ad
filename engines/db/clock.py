"""The database's clock: leases never use a worker's own, and ``now()`` does not advance in a transaction."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DateTimeField, Func, Value
from django.db.models.expressions import Combinable, CombinedExpression


class ClockTimestamp(Func):
    """``clock_timestamp()``: the real time, also late in a transaction."""

    function = "clock_timestamp"
    template = "%(function)s()"
    output_field = DateTimeField()


def seconds_from_now(seconds: float) -> CombinedExpression:
    """Return the database's time some seconds ahead, as an expression for an UPDATE."""
    return CombinedExpression(
        ClockTimestamp(),
        Combinable.ADD,
        Value(timedelta(seconds=seconds)),
        output_field=DateTimeField(),
    )
