"""How a search is made, and what it is narrowed to: bases, documents, times, how near a passage is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from django.db.models import QuerySet
from msgspec import Meta, Struct

from engines.db.keys import MAX_ROW_ID
from engines.exceptions import InvalidRequestError
from engines.models import Document, KnowledgeBase
from engines.parsing import convert_or_refuse

MAX_BASES = 100
MAX_DOCUMENTS = 1000
TIMES = ("updated_after", "updated_before")

RowId = Annotated[int, Meta(ge=1, le=MAX_ROW_ID)]
Moment = Annotated[datetime, Meta(tz=True)]


class SearchMode(StrEnum):
    """By what passages are found."""

    HYBRID = "hybrid"
    """By meaning and by words; both rankings count."""
    VECTORS = "vectors"
    """By meaning alone."""
    WORDS = "words"
    """By words alone; nothing is embedded."""


class SearchFilter(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How and where to search; ``None`` narrows nothing."""

    bases: Annotated[list[RowId], Meta(min_length=1, max_length=MAX_BASES)] | None = None
    documents: Annotated[list[RowId], Meta(min_length=1, max_length=MAX_DOCUMENTS)] | None = None
    updated_after: Moment | None = None
    """Documents last written at this moment or later."""
    updated_before: Moment | None = None
    """Documents last written before this moment."""
    min_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    """The smallest cosine of a passage and the question; where one has no vector it counts as -1."""
    mode: SearchMode | None = None
    """How it is searched; hybrid unless it is said."""
    rerank: bool | None = None
    """Whether a rank model puts the first passages in order, where there is one; it does unless it is said."""

    @classmethod
    def parse(cls, given: object) -> Self:
        """Return a filter from JSON; InvalidRequestError names the field at fault."""
        known = cls.__struct_fields__
        if not isinstance(given, Mapping) or set(given) - set(known):
            raise InvalidRequestError(f"A filter may hold {', '.join(known)}.")
        return convert_or_refuse(with_moments(given), cls)

    @property
    def narrows_documents(self) -> bool:
        """Whether some documents of a base may be left out."""
        return bool(self.documents or self.updated_after or self.updated_before)

    @property
    def way(self) -> SearchMode:
        """Return how it is searched."""
        return self.mode or SearchMode.HYBRID

    @property
    def is_reranked(self) -> bool:
        """Whether a rank model is to put the passages in order; a single ranking is left as it is."""
        return self.way is SearchMode.HYBRID if self.rerank is None else self.rerank

    def documents_of(self, bases: Collection[int]) -> QuerySet[Document]:
        """Return the documents of bases that are not left out."""
        rows = Document.objects.filter(base__in=bases)
        if self.documents:
            rows = rows.filter(pk__in=self.documents)
        if self.updated_after:
            rows = rows.filter(updated_at__gte=self.updated_after)
        return rows.filter(updated_at__lt=self.updated_before) if self.updated_before else rows

    def require_possible(self) -> None:
        """Raise InvalidRequestError for what contradicts itself."""
        if self.way is SearchMode.WORDS and self.min_score is not None:
            raise InvalidRequestError(
                "min_score is a cosine, and a search by words compares no vectors; leave one of both out."
            )

    def require_readable(self, readable: QuerySet[KnowledgeBase]) -> None:
        """Raise InvalidRequestError for what is not the person's to read, whether or not it exists.

        So does what contradicts itself.
        """
        self.require_possible()
        bases = readable.filter(pk__in=self.bases or ())
        _refuse_missing("base", self.bases, bases)
        documents = Document.objects.filter(base__in=readable, pk__in=self.documents or ())
        _refuse_missing("document", self.documents, documents)


def _refuse_missing(what: str, wanted: list[int] | None, rows: QuerySet[Any]) -> None:
    missing = set(wanted) - set(rows.values_list("pk", flat=True)) if wanted else None
    if missing:
        raise InvalidRequestError(
            f"There is no {what} {min(missing)} that you may read; leave it out of the filter."
        )


def with_moments(given: Mapping[str, object]) -> dict[str, object]:
    """Return a filter's JSON with its moments read; InvalidRequestError for what is none."""
    return {**given, **{name: _moment(name, given[name]) for name in TIMES if name in given}}


def _moment(name: str, value: object) -> datetime | None:
    """Return a moment in any form of ISO 8601 that tells its time zone."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequestError(
            f"{name} must be a moment with its time zone, like 2026-01-31T12:00:00Z."
        )
    return moment


EVERYTHING = SearchFilter()
