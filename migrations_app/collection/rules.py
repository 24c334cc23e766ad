"""What a rule of the collector is: what is needed no more, how much it is, and how it is removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.expressions import RawSQL

from engines.files.artifacts import ArtifactStore

BATCH = 200
"""Rows removed in one transaction: whoever waits for one of them waits for moments."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many things, and how many bytes they take."""

    count: int = 0
    size: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size + other.size)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is collected: at which moment, in which store, on which machine."""

    now: datetime
    store: ArtifactStore
    models_dir: Path
    host_name: str


class CollectionRule(Protocol):
    """One kind of thing that is needed no more after a while."""

    @property
    def name(self) -> str: ...

    @property
    def why(self) -> str:
        """Say when it is needed no more."""

    def survey(self, place: Place) -> Amount:
        """Count what is due now; changes nothing."""

    def collect(self, place: Place) -> Amount:
        """Remove what is due now and nobody holds; returns what was removed."""


@dataclass(frozen=True, slots=True)
class RowRule:
    """Rows that a query finds, removed in small batches, without waiting for any that is locked."""

    name: str
    why: str
    due: Callable[[datetime], QuerySet[Any]]
    remove: Callable[[QuerySet[Any], datetime], int] | None = None
    """Other than deleting them; gets a batch of locked rows, and returns how many it was for."""

    def survey(self, place: Place) -> Amount:
        return survey_rows(self.due(place.now))

    def collect(self, place: Place) -> Amount:
        total, after = Amount(), None
        while True:
            with transaction.atomic():
                batch = self._next(place.now, after)
                if not batch:
                    return total
                after = max(pk for pk, _ in batch)
                total += self._remove(place.now, batch)

    def _next(self, now: datetime, after: Any) -> list[tuple[Any, int]]:
        rows = with_sizes(self.due(now)).order_by("pk")
        rows = rows if after is None else rows.filter(pk__gt=after)
        locked = rows.select_for_update(skip_locked=True, of=("self",))
        return [(row.pk, row.row_bytes) for row in locked[:BATCH]]

    def _remove(self, now: datetime, batch: list[tuple[Any, int]]) -> Amount:
        size = sum(size for _, size in batch)
        rows = self.due(now).model._default_manager.filter(pk__in=[pk for pk, _ in batch])
        if self.remove is None:
            rows.delete()
            return Amount(len(batch), size)
        count = self.remove(rows, now)
        return Amount(count, size * count // len(batch))


def survey_rows(rows: QuerySet[Any]) -> Amount:
    """Count rows and the bytes they take."""
    sized = with_sizes(rows).order_by()
    total = sized.aggregate(count=Count("pk"), size=Sum("row_bytes"))
    return Amount(total["count"], total["size"] or 0)


def with_sizes(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Add ``row_bytes``: what PostgreSQL says that a row takes."""
    table = rows.model._meta.db_table
    sized: QuerySet[Any] = rows.annotate(row_bytes=RawSQL(f'pg_column_size("{table}".*)', []))  # noqa: S611 - a table of ours
    return sized
