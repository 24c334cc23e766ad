"""Querysets composed into SQL once and planned once for a connection, for what every request asks.

Composing takes Django about ten times as long as PostgreSQL takes to answer, and planning takes
PostgreSQL about ten times as long as looking up.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.query import RawQuerySet
from django.db.models.sql import RawQuery

from engines.db.cursors import prepared_cursor

Row = TypeVar("Row", bound=Model)


class Given(RawSQL):
    """Stands in a queryset for an argument of each call."""

    def __init__(self, number: int) -> None:
        super().__init__("%s", (_Place(number),))


class _Place(int):
    """Where an argument goes among the parameters of the SQL."""


class _PreparedQuery(RawQuery):
    """A statement of Django's ``raw`` by a cursor that prepares it."""

    def _execute_query(self) -> None:
        self.cursor = prepared_cursor()
        self.cursor.execute(self.sql, self.params)


class Composed(Generic[Row]):
    """Calling it with the arguments of ``build`` returns the rows of the queryset that builds.

    ``build`` is called once, with a ``Given`` for each argument, and must not look at them. Related
    rows are not brought along, and fields left out are deferred.
    """

    def __init__(self, build: Callable[..., QuerySet[Row]]) -> None:
        self._build = build
        self._arguments = len(inspect.signature(build).parameters)
        self._composed = cache(self._compose)
        self.__doc__ = build.__doc__

    def __call__(self, *arguments: Any) -> list[Row]:
        model, sql, parameters = self._composed()
        given = [arguments[p] if isinstance(p, _Place) else p for p in parameters]
        query: Any = _PreparedQuery(sql, DEFAULT_DB_ALIAS, given)
        return list(RawQuerySet(sql, model, query))

    def first(self, *arguments: Any) -> Row | None:
        """Return the first row; the queryset limits itself to one where there may be many."""
        return next(iter(self(*arguments)), None)

    def _compose(self) -> tuple[type[Row], str, Sequence[Any]]:
        rows = self._build(*map(Given, range(self._arguments)))
        sql, parameters = rows.query.sql_with_params()
        return rows.model, sql, parameters
