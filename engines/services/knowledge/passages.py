"""Passages in their documents: what an answer cited, found again and shown with what stands around it.

A citation keeps keys only. So when a passage is deleted, its text is gone from every conversation too; what
is left says that there was one.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

from django.contrib.auth.models import User
from django.db.models import QuerySet

from engines.exceptions import NotFoundError
from engines.models import Chunk, Document
from engines.services.knowledge.access import readable_bases
from engines.services.knowledge.cutting.former import find_former_passage

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
    start: NotRequired[int | None]
    end: NotRequired[int | None]
    """Where it stood in its document, in characters; the oldest records do not say it."""


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
    path: str = ""
    """Of its document's file."""
    heading: str = ""
    start: int | None = None
    """Where it begins in its document, in characters; None where nobody has looked for it yet."""
    end: int | None = None


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
    heading: str = ""


def cited_passages(user: User, records: Iterable[CitationRecord]) -> list[CitedPassage]:
    """Return what may be shown of citations, in their order: in three questions, however many there are.

    A text that stands unchanged in its document is found by its digest, however its document was written or
    cut anew since.
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
        # Each row would bring its whole document along.
        .select_related("document")
        .defer("document__text", "document__places")
    }
    missing = [one for one in wanted if _key(one) not in found]
    again = _find_again(live, missing) if missing else {}
    return [
        _cited(one, found[_key(one)]) if _key(one) in found else _cited_again(one, again)
        for one in wanted
    ]


_Key = tuple[int | None, str]


def _key(record: CitationRecord) -> _Key:
    return record["document_id"], record["content_hash"]


@dataclass(frozen=True, slots=True)
class _Again:
    """Words that were a passage before their document was cut anew, and the passage they begin in now."""

    chunk: Chunk
    document: Document
    start: int
    end: int


def _find_again(live: QuerySet[Chunk], missing: Iterable[CitationRecord]) -> Mapping[_Key, _Again]:
    found: dict[_Key, _Again] = {}
    passages = defaultdict[int | None, list[Chunk]](list)
    for chunk in live.filter(document__in={one["document_id"] for one in missing}):
        passages[chunk.document_id].append(chunk)
    documents = Document.objects.in_bulk(list(passages))
    for record in missing:
        document = documents.get(record["document_id"])
        if document is None:
            continue
        span = _span_of_record(document, record)
        at = _passage_at(passages[document.pk], span[0]) if span is not None else None
        if span is not None and at is not None:
            at.document = document
            found[_key(record)] = _Again(at, document, *span)
    return found


def _span_of_record(document: Document, record: CitationRecord) -> tuple[int, int] | None:
    digest = bytes.fromhex(record["content_hash"])
    start, end = record.get("start"), record.get("end")
    if start is not None and end is not None:
        return (start, end) if is_digest_of(document.text[start:end], digest) else None
    words = find_former_passage(document.text, document.media_type, digest)
    return next(iter(_spans(words, document.text)), None) if words else None


def is_digest_of(words: str, content_hash: bytes) -> bool:
    """Whether these are the words of a passage."""
    return hashlib.sha256(words.encode()).digest() == content_hash


def _passage_at(chunks: Iterable[Chunk], start: int) -> Chunk | None:
    """Return the last passage that begins at or before a character."""
    before = (one for one in chunks if one.start_char is not None and one.start_char <= start)
    return max(before, key=lambda one: one.position, default=None)


def _cited(record: CitationRecord, chunk: Chunk) -> CitedPassage:
    document = chunk.document
    return CitedPassage(
        number=record["number"],
        chunk_id=chunk.pk,
        document_id=record["document_id"],
        base_id=record["base_id"],
        score=record["score"],
        is_available=document is not None,
        title=document.title if document is not None else "",
        text=chunk.text,
        place=chunk.place,
        path=document.path if document is not None else "",
        heading=chunk.heading,
        start=chunk.start_char,
        end=chunk.end_char,
    )


def _cited_again(record: CitationRecord, again: Mapping[_Key, _Again]) -> CitedPassage:
    found = again.get(_key(record))
    if found is not None:
        text = found.document.text[found.start : found.end]
        passage = _cited(record, found.chunk)
        return replace(passage, text=text, start=found.start, end=found.end)
    return CitedPassage(
        number=record["number"],
        chunk_id=record["chunk_id"],
        document_id=record["document_id"],
        base_id=record["base_id"],
        score=record["score"],
        is_available=False,
    )


def place_passage(user: User, document_id: int, chunk_id: int) -> PlacedPassage:
    """Return a passage in its document; NotFoundError when it is gone or not the person's to read."""
    live = _readable(user).filter(document=document_id).select_related("document")
    chunk = find_passage(live, chunk_id)
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
        heading=chunk.heading,
    )


def find_passage(live: QuerySet[Chunk], chunk_id: int) -> Chunk | None:
    """Return a passage, or the one of the same text where its document was written or cut anew since."""
    found = live.filter(pk=chunk_id).first()
    if found is not None:
        return found
    # A passage of another base is none of theirs: that it says the same would tell what it says.
    before = Chunk.objects.filter(pk=chunk_id, base__in=live.values("base")).first()
    if before is None:
        return None
    return live.filter(content_hash=before.content_hash).first() or _around(live, before)


def _around(live: QuerySet[Chunk], before: Chunk) -> Chunk | None:
    """Return the passage in which a former one begins, if its words still stand where they stood."""
    start, end = before.start_char, before.end_char
    if start is None or end is None:
        return None
    chunk = live.filter(start_char__lte=start).order_by("-position").first()
    document = chunk.document if chunk is not None else None
    if document is None or not is_digest_of(document.text[start:end], bytes(before.content_hash)):
        return None
    return chunk


def list_shown_texts(chunks: Sequence[Chunk], marked: Chunk | None) -> list[str]:
    """Return what a page shows of passages that follow each other: what two of them say, once.

    The marked one is shown whole.
    """
    shown, end = list[str](), 0
    following: Sequence[Chunk | None] = [*chunks[1:], None]
    for chunk, after in zip(chunks, following, strict=True):
        start, own_end = chunk.start_char, chunk.end_char
        if start is None or own_end is None:
            shown.append(chunk.text)
            continue
        first = 0 if chunk == marked else max(end - start, 0)
        last = own_end
        if after is not None and after == marked and after.start_char is not None:
            last = min(own_end, after.start_char)
        shown.append(chunk.text[first : max(last - start, 0)].rstrip())
        end = own_end
    return shown


def _readable(user: User) -> QuerySet[Chunk]:
    return Chunk.objects.filter(base__in=readable_bases(user), deleted_seq__isnull=True)


def _span(chunk: Chunk, text: str) -> tuple[int, int]:
    """Return where a chunk stands; the oldest have other white space between their words than the text."""
    if chunk.start_char is not None and chunk.end_char is not None:
        return chunk.start_char, chunk.end_char
    spans = _spans(chunk.text, text)
    if not spans:
        raise NotFoundError(GONE)
    twins = Chunk.objects.filter(
        document=chunk.document_id,
        deleted_seq__isnull=True,
        content_hash=chunk.content_hash,
        position__lt=chunk.position,
    )
    return spans[min(twins.count(), len(spans) - 1)]


def _spans(words: str, text: str) -> list[tuple[int, int]]:
    parts = map(re.escape, words.split())
    return [found.span() for found in re.finditer(r"\s+".join(parts), text)]
