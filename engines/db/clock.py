"""The database's clock: leases never use a worker's own, and ``now()`` does not advance in a transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from django.db import connection
from django.db.models import DateTimeField, Func, Value
from django.db.models.expressions import Combinable, CombinedExpression


class ClockTimestamp(Func):
    """``clock_timestamp()``: the real time, also late in a transaction."""

    function = "clock_timestamp"
    template = "%(function)s()"
    output_field = DateTimeField()


def read_clock() -> datetime:
    """Return the database's time now: what several machines write is put in order by it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return cast("datetime", now)


def seconds_from_now(seconds: float) -> CombinedExpression:
    """Return the database's time some seconds ahead, as an expression for an UPDATE."""
    return CombinedExpression(
        ClockTimestamp(),
        Combinable.ADD,
        Value(timedelta(seconds=seconds)),
        output_field=DateTimeField(),
    )
