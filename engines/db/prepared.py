"""Querysets compiled to SQL once, and planned once per connection, for what every request asks.

Django takes about ten times as long to compile a queryset as PostgreSQL takes to answer, and PostgreSQL
about ten times as long to plan as to look up.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from engines.db.cursors import prepared_cursor

Row = TypeVar("Row", bound=Model)


class Parameter(RawSQL):
    """An argument of each call, where the queryset that is prepared uses it."""

    def __init__(self, number: int) -> None:
        super().__init__("%s", (_Position(number),))


class _Position(int):
    """The number of an argument, found again among the SQL's parameters."""


class _Compiled(NamedTuple, Generic[Row]):
    """A queryset's SQL, and what its columns are: those of the model's fields, then what was annotated."""

    model: type[Row]
    sql: str
    parameters: Sequence[Any]
    fields: Sequence[str]
    annotations: Sequence[str]
    converters: Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]
    """By the number of a column: what makes Python's value of PostgreSQL's."""


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
        compiled = self._compiled()
        given = [arguments[p] if isinstance(p, _Position) else p for p in compiled.parameters]
        with prepared_cursor() as cursor:
            cursor.execute(compiled.sql, given)
            return [_row(compiled, values) for values in cursor.fetchall()]

    def first(self, *arguments: Any) -> Row | None:
        """Return the first row; the queryset limits itself to one where there may be many."""
        return next(iter(self(*arguments)), None)

    def _compile(self) -> _Compiled[Row]:
        rows = self._build(*map(Parameter, range(self._arguments)))
        compiler: Any = rows.query.get_compiler(DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        columns = [column for column, _, _ in compiler.select]
        fields = compiler.klass_info["select_fields"]
        return _Compiled(
            rows.model,
            sql,
            parameters,
            fields=[columns[number].target.attname for number in fields],
            annotations=list(compiler.annotation_col_map),
            converters=compiler.get_converters(columns),
        )


def _row(compiled: _Compiled[Row], values: Sequence[Any]) -> Row:
    found = list(values)
    for number, (convert, column) in compiled.converters.items():
        for each in convert:
            found[number] = each(found[number], column, connection)
    count = len(compiled.fields)
    row = compiled.model.from_db(DEFAULT_DB_ALIAS, compiled.fields, found[:count])
    row.__dict__.update(zip(compiled.annotations, found[count:], strict=True))
    return row
