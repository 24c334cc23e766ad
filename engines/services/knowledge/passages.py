"""Passages in their documents: what an answer cited, found again and shown with what stands around it.

A citation keeps keys only. So when a passage is deleted, its text is gone from every conversation too; what
is left says that there was one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from django.contrib.auth.models import User
from django.db.models import QuerySet

from engines.exceptions import NotFoundError
from engines.models import Chunk, Document
from engines.services.knowledge.search import readable_bases

AROUND_CHARS = 1500
"""Of the document shown before and after a passage."""
GONE = "This passage is not there any more: its document was changed or deleted since."


class CitationRecord(TypedDict):
    """What is kept of a citation."""

    number: int
    chunk_id: int
    document_id: int
    base_id: int
    score: float
    content_hash: str


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A citation as it can be shown now; without title and text once its passage is gone."""

    number: int
    chunk_id: int
    document_id: int
    base_id: int
    score: float
    is_available: bool
    title: str = ""
    text: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class PlacedPassage:
    """A passage with what stands around it; ``start`` and ``end`` count characters of the document."""

    chunk_id: int
    document: Document
    start: int
    end: int
    before: str
    text: str
    after: str
    place: str = ""
    """Its page, sheet or slide and the headings above it, for people."""


def cited_passages(user: User, records: Iterable[CitationRecord]) -> list[CitedPassage]:
    """Return what may be shown of citations, in their order: in one question, however many there are.

    A text that stands unchanged in its document after it was written anew is found by its digest.
    """
    wanted = list(records)
    if not wanted:
        return []
    live = _readable(user).filter(document__in={one["document_id"] for one in wanted})
    found = {
        (chunk.document_id, bytes(chunk.content_hash).hex()): chunk
        for chunk in live.filter(
            content_hash__in={bytes.fromhex(r["content_hash"]) for r in wanted}
        )
    }
    return [_cited(one, found.get((one["document_id"], one["content_hash"]))) for one in wanted]


def _cited(record: CitationRecord, chunk: Chunk | None) -> CitedPassage:
    document = chunk.document if chunk is not None else None
    return CitedPassage(
        number=record["number"],
        chunk_id=chunk.pk if chunk is not None else record["chunk_id"],
        document_id=record["document_id"],
        base_id=record["base_id"],
        score=record["score"],
        is_available=document is not None,
        title=document.title if document is not None else "",
        text=chunk.text if chunk is not None else "",
        place=chunk.place if chunk is not None else "",
    )


def place_passage(user: User, document_id: int, chunk_id: int) -> PlacedPassage:
    """Return a passage in its document; NotFoundError when it is gone or not the person's to read."""
    chunk = find_passage(_readable(user).filter(document=document_id), chunk_id)
    if chunk is None or chunk.document is None:
        raise NotFoundError(GONE)
    text = chunk.document.text
    start, end = _span(chunk, text)
    return PlacedPassage(
        chunk_id=chunk.pk,
        document=chunk.document,
        start=start,
        end=end,
        before=text[max(start - AROUND_CHARS, 0) : start],
        text=text[start:end],
        after=text[end : end + AROUND_CHARS],
        place=chunk.place,
    )


def find_passage(live: QuerySet[Chunk], chunk_id: int) -> Chunk | None:
    """Return a passage, or the one of the same text where its document was written anew since."""
    return live.filter(pk=chunk_id).first() or _same_text(live, chunk_id)


def _readable(user: User) -> QuerySet[Chunk]:
    rows = Chunk.objects.filter(base__in=readable_bases(user), deleted_seq__isnull=True)
    return rows.select_related("document")


def _same_text(live: QuerySet[Chunk], chunk_id: int) -> Chunk | None:
    """Return the passage that has the text of one that was replaced."""
    before = Chunk.objects.filter(pk=chunk_id).first()
    return live.filter(content_hash=before.content_hash).first() if before is not None else None


def _span(chunk: Chunk, text: str) -> tuple[int, int]:
    """Return where a chunk stands: between its words there may be other white space than in the text."""
    words = map(re.escape, chunk.text.split())
    spans = [found.span() for found in re.finditer(r"\s+".join(words), text)]
    if not spans:
        raise NotFoundError(GONE)
    twins = Chunk.objects.filter(
        document=chunk.document_id,
        deleted_seq__isnull=True,
        content_hash=chunk.content_hash,
        position__lt=chunk.position,
    )
    return spans[min(twins.count(), len(spans) - 1)]
