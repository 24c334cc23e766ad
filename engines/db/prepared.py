"""Querysets compiled to SQL once, and planned once per connection, for what every request asks.

Django takes about ten times as long to compile a queryset as PostgreSQL takes to answer, and PostgreSQL
about ten times as long to plan as to look up.
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


class Parameter(RawSQL):
    """An argument of each call, where the queryset that is prepared uses it."""

    def __init__(self, number: int) -> None:
        super().__init__("%s", (_Position(number),))


class _Position(int):
    """The number of an argument, found again among the SQL's parameters."""


class _PreparedRawQuery(RawQuery):
    """Django's raw query on a cursor that prepares its statement."""

    def _execute_query(self) -> None:
        self.cursor = prepared_cursor()
        self.cursor.execute(self.sql, self.params)


class PreparedQuery(Generic[Row]):
    """Called with the arguments of ``build``, it returns the rows of the queryset that ``build`` makes.

    ``build`` is called once, with a ``Parameter`` for each argument, and must not inspect them. Related
    rows are not loaded, and fields left out are deferred.
    """

    def __init__(self, build: Callable[..., QuerySet[Row]]) -> None:
        self._build = build
        self._arguments = len(inspect.signature(build).parameters)
        # At the first call, not at import: models may not be loaded yet.
        self._compiled = cache(self._compile)
        self.__doc__ = build.__doc__

    def __call__(self, *arguments: Any) -> list[Row]:
        model, sql, parameters = self._compiled()
        given = [arguments[p] if isinstance(p, _Position) else p for p in parameters]
        query: Any = _PreparedRawQuery(sql, DEFAULT_DB_ALIAS, given)
        return list(RawQuerySet(sql, model, query))

    def first(self, *arguments: Any) -> Row | None:
        """Return the first row; the queryset limits itself to one where there may be many."""
        return next(iter(self(*arguments)), None)

    def _compile(self) -> tuple[type[Row], str, Sequence[Any]]:
        rows = self._build(*map(Parameter, range(self._arguments)))
        sql, parameters = rows.query.sql_with_params()
        return rows.model, sql, parameters
