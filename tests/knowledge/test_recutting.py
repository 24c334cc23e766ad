"""Passages fit their embedder, what cites them opens whatever is cut anew, and no document of before is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Document, Fingerprint, KnowledgeBase
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.reading import Frame, TokenReading
from engines.services.knowledge.cutting.former import cut_by_characters
from engines.services.knowledge.documents import add_document
from engines.services.knowledge.indexes import index_for, is_ready
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.passages import (
    CitationRecord,
    cited_passages,
    list_shown_texts,
    place_passage,
)
from engines.services.knowledge.search import search_index
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import live_index, make_space

pytestmark = pytest.mark.django_db

LIMIT = 512
DIGITS = "# Sums\n\n" + "\n\n".join(" ".join(str(n)) for n in (3**1500, 7**850))
"""Two tokens for each digit, its blank included: three times as many as any text is likely to have."""


@dataclass
class LetterEmbedder(HashEmbedder):
    """Has one token for each character, blanks included."""

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading]:
        frame = Frame([1], [2])
        return [frame.read([1, *map(ord, text), 2], {0}, LIMIT) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        batch = super().embed_documents(texts)
        long = {n for n, one in enumerate(self.read_documents(texts)) if one.beyond}
        return EmbeddingBatch(batch.vectors, batch.errors, frozenset(long))


def passages_of(document: Document) -> list[Chunk]:
    live = Chunk.objects.filter(document=document, deleted_seq__isnull=True)
    return list(live.select_related("document").order_by("position"))


def record_of(chunk: Chunk, *, says_where: bool) -> CitationRecord:
    record: CitationRecord = {
        "number": 1,
        "chunk_id": chunk.pk,
        "document_id": chunk.document_id or 0,
        "base_id": chunk.base_id,
        "score": 0.5,
        "content_hash": bytes(chunk.content_hash).hex(),
    }
    return {**record, "start": chunk.start_char, "end": chunk.end_char} if says_where else record


def make_former(document: Document) -> None:
    """Give a document the passages that it had before they knew where they stand."""
    Chunk.objects.filter(document=document).delete()
    Chunk.objects.bulk_create(
        Chunk(
            base=document.base,
            document=document,
            position=position,
            text=text,
            content_hash=hashlib.sha256(text.encode()).digest(),
            created_seq=1,
        )
        for position, text in enumerate(cut_by_characters(document.text, document.media_type))
    )


def test_what_is_too_long_is_cut_by_the_embedders_tokens_and_stays_cited(
    owner: User, base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    embedder = LetterEmbedder()
    document = add_document(base.pk, title="Sums", text=DIGITS, media_type="text/markdown")
    index, before = live_index(base), passages_of(document)
    assert any(one.beyond for one in embedder.read_documents([c.text for c in before]))

    said = keep_up(index.pk, embedder, store, scratch, lambda _done: None)
    keep_up(index.pk, embedder, store, scratch, lambda _done: None)

    after = passages_of(document)
    assert "1 documents cut anew by its tokens" in said
    assert not any(one.beyond for one in embedder.read_documents([c.text for c in after]))
    assert len(after) < 3 * len(DIGITS) / LIMIT
    assert is_ready(index)
    for chunk in after:
        assert chunk.text == DIGITS[chunk.start_char : chunk.end_char]
        (hit,) = search_index(index, embedder.vector(chunk.text), k=1, store=store)
        assert (hit.chunk_id, hit.heading, hit.place) == (chunk.pk, "Sums", "Sums")
        assert (hit.start, hit.end) == (chunk.start_char, chunk.end_char)
    # What an answer cited before is shown in its words, and opens where they stand now.
    for old in before:
        old.document = document
        (cited,) = cited_passages(owner, [record_of(old, says_where=True)])
        assert (cited.is_available, cited.text) == (True, old.text)
        assert (cited.start, cited.end) == (old.start_char, old.end_char)
        placed = place_passage(owner, document.pk, old.pk)
        assert placed.start <= (old.start_char or 0) < placed.end
    # A page shows the text once, however the passages overlap.
    shown = "".join(list_shown_texts(after, None))
    assert "".join(shown.split()) == "".join(DIGITS.split())


def test_documents_of_before_and_other_embedders_change_no_passage(
    base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    document = add_document(base.pk, title="Sums", text=DIGITS)
    make_former(document)
    former = [(chunk.pk, chunk.text) for chunk in passages_of(document)]
    fresh = add_document(base.pk, title="Fresh", text=DIGITS)
    kept = [(chunk.pk, chunk.text) for chunk in passages_of(fresh)]
    other = index_for(base, make_space("hash-b"))

    keep_up(other.pk, LetterEmbedder(salt="b"), store, scratch, lambda _done: None)
    assert [(chunk.pk, chunk.text) for chunk in passages_of(fresh)] == kept

    keep_up(live_index(base).pk, LetterEmbedder(), store, scratch, lambda _done: None)
    assert [(chunk.pk, chunk.text) for chunk in passages_of(document)] == former
    assert [chunk.pk for chunk in passages_of(fresh)] != [pk for pk, _ in kept]


def test_a_citation_of_a_former_passage_opens_when_its_document_was_cut_anew(
    owner: User, base: KnowledgeBase
) -> None:
    text = "intro\n\n" + "".join(f"Sentence {n} of the old rule. " for n in range(60))
    document = add_document(base.pk, title="Old", text=text)
    today = passages_of(document)
    make_former(document)
    records = [record_of(chunk, says_where=False) for chunk in passages_of(document)]
    words = [chunk.text for chunk in passages_of(document)]
    assert [one.text for one in cited_passages(owner, records)] == words

    Chunk.objects.filter(document=document).delete()
    Chunk.objects.bulk_create(today)

    cited = cited_passages(owner, records)
    assert [one.is_available for one in cited] == [True] * len(words)
    assert ["".join(one.text.split()) for one in cited] == ["".join(one.split()) for one in words]
    assert [text[one.start : one.end] for one in cited] == [one.text for one in cited]
    # Of words that no text holds any more nothing is left.
    lost: CitationRecord = {**records[0], "content_hash": "00" * 32}
    wrong: CitationRecord = {**lost, "start": 0, "end": 5}
    assert [one.is_available for one in cited_passages(owner, [lost, wrong])] == [False, False]


def test_a_cited_document_is_read_only_to_find_former_words_and_then_once(
    owner: User, base: KnowledgeBase
) -> None:
    """With each of its passages, a book that was changed since would be read thousands of times."""
    document = add_document(base.pk, title="Sums", text=DIGITS)
    records = [record_of(chunk, says_where=True) for chunk in passages_of(document)]
    assert len(records) > 1
    lost: CitationRecord = {**records[0], "content_hash": "00" * 32}

    for wanted, times in ((records, 0), ([*records, lost, lost], 1)):
        with CaptureQueriesContext(connection) as caught:
            shown = cited_passages(owner, wanted)
        assert sum(one.is_available for one in shown) == len(records)
        reading = [one["sql"] for one in caught if '"engines_document"."text"' in one["sql"]]
        assert len(reading) == times
        assert not any("engines_chunk" in sql for sql in reading)
