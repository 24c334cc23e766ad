"""Writing a base's texts: what each writer of documents is made of.

Every change of a base is one transaction under its row's lock, which makes ``write_seq`` grow in the order of
commits; everything about indexes relies on that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Least

from engines.exceptions import ConflictError, NotFoundError
from engines.models import Chunk, Document, KnowledgeBase
from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.content import Content, CutPassage
from engines.services.knowledge.embeddings import embed_texts, missing_hashes
from engines.services.knowledge.hooks import knowledge_changed
from engines.services.knowledge.words.rows import (
    AT_ONCE,
    erase_words,
    fill_words_of,
    store_words,
)
from engines.services.people.limits import require_room
from engines.services.people.preferences import lock_preference

WRITE_TRIES = 5
"""How often a writer embeds again because the wanted index changed while it embedded."""

INSERT_ROWS = 2000

Embed = Callable[[int, Sequence[str]], EmbeddingBatch]
"""Embeds documents in the space of a fingerprint id; used only while a switch waits for writers."""

_Result = TypeVar("_Result")


def insert_document(base: KnowledgeBase, content: Content) -> Document:
    """Add a document to a base that is locked; LimitReachedError where there is no room."""
    require_room("documents", documents_beside(base))
    document = Document.objects.create(base=base, **content.fields())
    _insert_content(document, content, next_seq(base))
    return document


def documents_beside(base: KnowledgeBase) -> QuerySet[Document]:
    """Return what counts together: all documents of a person, or those of a group's base."""
    if base.owner_id is None:
        return Document.objects.filter(base=base)
    return Document.objects.filter(base__owner=base.owner_id)


def write(
    base_id: int,
    pieces: Mapping[bytes, str],
    embed: Embed | None,
    change: Callable[[KnowledgeBase], _Result],
) -> _Result:
    """Run ``change`` under the base's lock, with the vectors that a waiting switch wants.

    Embedding takes long, so it happens before the lock; if then another space is wanted or a vector is
    gone, the lock is let go and all is done again.
    """
    for _ in range(WRITE_TRIES):
        _bring_vectors(_read_base(base_id), pieces, embed)
        with transaction.atomic():
            base = lock_base(base_id)
            if not _lacking(base, pieces):
                return change(base)
    raise ConflictError("This base is being switched to another engine; try again in a moment.")


def _bring_vectors(base: KnowledgeBase, pieces: Mapping[bytes, str], embed: Embed | None) -> None:
    lacking = _lacking(base, pieces)
    index = base.embed_on_write_for
    if index is None or not lacking:
        return
    if embed is None:
        raise ConflictError(
            "This base is being switched to another engine and new text must be embedded at once; "
            "try again in a moment."
        )
    texts = {key: text for key, text in pieces.items() if key in lacking}
    embed_texts(index.fingerprint_id, texts, _CallbackEmbedder(index.fingerprint_id, embed))


def _lacking(base: KnowledgeBase, pieces: Mapping[bytes, str]) -> set[bytes]:
    index = base.embed_on_write_for
    return missing_hashes(index.fingerprint_id, list(pieces)) if index is not None else set()


@dataclass(frozen=True, slots=True)
class _CallbackEmbedder:
    """Lets the writer's callback be used where an embedder is."""

    fingerprint_id: int
    embed: Embed

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        return self.embed(self.fingerprint_id, texts)


def _read_base(base_id: int) -> KnowledgeBase:
    return _existing(KnowledgeBase.objects.filter(pk=base_id).first(), base_id)


def lock_base(base_id: int) -> KnowledgeBase:
    """Lock a base; joined rows must not be read along, for after a wait they are of before it."""
    rows = KnowledgeBase.objects.select_for_update(no_key=True)
    return _existing(rows.filter(pk=base_id).first(), base_id)


def lock_base_with_owner(base_id: int) -> KnowledgeBase:
    """Lock a base, and before it the preference of its owner."""
    owner_id = _read_base(base_id).owner_id
    if owner_id is not None:
        lock_preference(owner_id)
    return lock_base(base_id)


def _existing(base: KnowledgeBase | None, base_id: int) -> KnowledgeBase:
    if base is None:
        raise NotFoundError(f"There is no knowledge base {base_id}; list yours to see them.")
    return base


def require_document(document_id: int) -> Document:
    """Return a document; NotFoundError when there is none."""
    document = Document.objects.filter(pk=document_id).first()
    if document is None:
        raise NotFoundError(f"There is no document {document_id}; list the base's documents.")
    return document


def next_seq(base: KnowledgeBase) -> int:
    """Count one more write of a base that is locked, and tell the layer above after the commit."""
    # Whoever writes stores the words as well, so a base that had all of them still has.
    base.words_seq += base.words_seq == base.write_seq
    base.write_seq += 1
    base.save(update_fields=["write_seq", "words_seq"])
    knowledge_changed(base.pk)
    return base.write_seq


def replace_text(document: Document, content: Content, seq: int) -> None:
    """Give a document of a locked base another text; its old passages are found no more."""
    bury_chunks(document, seq)
    document.text, document.sha256 = content.text, content.sha256
    document.media_type, document.places = content.media_type, content.places
    document.passage_limit = content.passage_limit
    # What is written here is not what was read from its file any more, unless the origin says so.
    document.source_sha256, document.note = content.origin.source_sha256, content.origin.note
    changed = ("text", "sha256", "media_type", "places", "passage_limit", "source_sha256", "note")
    document.save(update_fields=[*changed, "updated_at"])
    _insert_content(document, content, seq)


def replace_passages(
    document: Document, passages: Sequence[CutPassage], limit: int, seq: int
) -> None:
    """Give a document of a locked base other passages of the text that it has."""
    bury_chunks(document, seq)
    Document.objects.filter(pk=document.pk).update(passage_limit=limit)
    insert_chunks(document, passages, seq)


def bury_chunks(document: Document, seq: int) -> None:
    """Take a document's passages out of every search, and erase their text."""
    live = Chunk.objects.filter(document=document, deleted_seq__isnull=True)
    keys = list(live.values_list("pk", flat=True))
    live.update(deleted_seq=seq, text="", document=None)
    # After the rows are locked: who just stores words of one has them before, or not at all.
    erase_words(keys)


def insert_chunks(document: Document, passages: Sequence[CutPassage], seq: int) -> None:
    """Add the passages of a document of a locked base, with their words."""
    store_words(_insert(document, passages, seq))


def _insert_content(document: Document, content: Content, seq: int) -> None:
    """Add the passages of what somebody writes; the words of a long text follow once the base is free again.

    They take most of the time, and others who write to the base wait meanwhile. Until then it says that it lacks some.
    """
    made = _insert(document, content.passages, seq)
    if len(made) <= AT_ONCE:
        store_words(made)
        return
    base = KnowledgeBase.objects.filter(pk=document.base_id)
    base.update(words_seq=Least("words_seq", seq - 1))
    transaction.on_commit(partial(fill_words_of, document.base_id), robust=True)


def _insert(document: Document, passages: Sequence[CutPassage], seq: int) -> list[Chunk]:
    rows = [
        Chunk(
            base_id=document.base_id,
            document=document,
            position=position,
            place=one.place.label,
            heading=one.place.heading,
            start_char=one.span.start,
            end_char=one.span.end,
            text=document.text[one.span.start : one.span.end],
            content_hash=one.content_hash,
            created_seq=seq,
        )
        for position, one in enumerate(passages)
    ]
    return Chunk.objects.bulk_create(rows, batch_size=INSERT_ROWS)
