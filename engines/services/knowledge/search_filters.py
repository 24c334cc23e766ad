"""What a search is narrowed to: bases, documents, when they were written, how near a passage is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from engines.exceptions import InvalidRequestError
from engines.models import Document, KnowledgeBase

MAX_BASES = 100
MAX_DOCUMENTS = 1000
MAX_ID = 2**63 - 1
LISTS = {"bases": MAX_BASES, "documents": MAX_DOCUMENTS}
TIMES = ("updated_after", "updated_before")


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Where to search; ``None`` narrows nothing."""

    bases: tuple[int, ...] | None = None
    documents: tuple[int, ...] | None = None
    updated_after: datetime | None = None
    """Documents last written at this moment or later."""
    updated_before: datetime | None = None
    """Documents last written before this moment."""
    min_score: float | None = None
    """The smallest cosine of a passage and the question."""

    @classmethod
    def parse(cls, given: object) -> SearchFilter:
        """Return a filter from JSON; InvalidRequestError names the field at fault."""
        known = [field.name for field in fields(cls)]
        if not isinstance(given, Mapping) or set(given) - set(known):
            raise InvalidRequestError(f"A filter may hold {', '.join(known)}.")
        values = {name: value for name, value in given.items() if value is not None}
        return cls(**{name: _CHECKS[name](name, value) for name, value in values.items()})

    @property
    def narrows_documents(self) -> bool:
        """Whether some documents of a base may be left out."""
        return bool(self.documents or self.updated_after or self.updated_before)

    def refuse_strange(self, readable: QuerySet[KnowledgeBase]) -> None:
        """Raise InvalidRequestError for what is not the person's to read, whether or not it exists."""
        bases = readable.filter(pk__in=self.bases or ())
        _refuse_missing("base", self.bases, bases)
        documents = Document.objects.filter(base__in=readable, pk__in=self.documents or ())
        _refuse_missing("document", self.documents, documents)


def _refuse_missing(what: str, wanted: tuple[int, ...] | None, rows: QuerySet[Any]) -> None:
    missing = set(wanted) - set(rows.values_list("pk", flat=True)) if wanted else None
    if missing:
        raise InvalidRequestError(
            f"There is no {what} {min(missing)} that you may read; leave it out of the filter."
        )


def _ids(name: str, value: object) -> tuple[int, ...]:
    most = LISTS[name]
    ids = value if isinstance(value, (list, tuple)) else []
    if not 0 < len(ids) <= most or not all(_is_id(item) for item in ids):
        raise InvalidRequestError(f"{name} must be a list of 1 to {most} whole numbers from 1.")
    return tuple(dict.fromkeys(ids))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


def _moment(name: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequestError(
            f"{name} must be a moment with its time zone, like 2026-01-31T12:00:00Z."
        )
    return moment


def _cosine(name: str, value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -1 <= value <= 1:  # type: ignore[operator]
        raise InvalidRequestError(f"{name} must be a number from -1 to 1.")
    return float(value)  # type: ignore[arg-type]


_CHECKS: dict[str, Any] = {
    **dict.fromkeys(LISTS, _ids),
    **dict.fromkeys(TIMES, _moment),
    "min_score": _cosine,
}
EVERYTHING = SearchFilter()
