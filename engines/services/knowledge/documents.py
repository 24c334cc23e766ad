"""Writing knowledge: every change of a base is one transaction under its row's lock.

The lock makes ``write_seq`` grow in the order of commits, which everything about indexes relies on.
Lock order: preference of the owner (only to create or delete a base), then the base, then its chunks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import (
    Chunk,
    Document,
    Fingerprint,
    KnowledgeBase,
    VectorIndex,
)
from engines.runtimes.base import EmbeddingBatch
from engines.services.engine_choice import effective_engine, engine_of_group
from engines.services.knowledge.chunking import chunk_text
from engines.services.knowledge.embeddings import embed_texts, missing_hashes
from engines.services.knowledge.fingerprints import known_fingerprint
from engines.services.knowledge.hooks import knowledge_changed
from engines.services.knowledge.indexes import index_for
from engines.services.people.limits import require_room
from engines.services.people.preferences import lock_preference

MAX_TEXT_BYTES = 50_000_000
MAX_TITLE_CHARS = 300
MAX_NAME_CHARS = 200
WRITE_TRIES = 5
"""How often a writer embeds again because the wanted index changed while it embedded."""

INSERT_ROWS = 2000

Embed = Callable[[int, Sequence[str]], EmbeddingBatch]
"""Embeds documents in the space of a fingerprint id; used only while a switch waits for writers."""

_Result = TypeVar("_Result")


def create_base(
    *, name: str, owner: User | None = None, group: Group | None = None
) -> KnowledgeBase:
    """Create a base of a person or of a group, searched with the engine they use now.

    Its live index stays empty while that engine's file was never read: ``adopt_index`` later.
    """
    _check_line(name, "name", MAX_NAME_CHARS)
    if (owner is None) == (group is None):
        raise InvalidRequestError("A base belongs to one person or to one group; name one of them.")
    with transaction.atomic():
        if owner is not None:
            lock_preference(owner.pk)
            require_room("bases", KnowledgeBase.objects.filter(owner=owner))
        base = KnowledgeBase.objects.create(owner=owner, group=group, name=name)
        _adopt(base)
    return base


def adopt_index(base_id: int) -> VectorIndex | None:
    """Give a base without a live index that of the engine in use, once its space is known."""
    with transaction.atomic():
        base = _locked_with_owner(base_id)
        if base.live_index is None:
            _adopt(base)
        return base.live_index


def rename_base(base_id: int, name: str) -> KnowledgeBase:
    """Give a base another name; InvalidRequestError unless it is one visible line."""
    _check_line(name, "name", MAX_NAME_CHARS)
    with transaction.atomic():
        base = _locked(base_id)
        base.name = name
        base.save(update_fields=["name"])
    return base


def delete_base(base_id: int) -> None:
    """Delete a base with all its texts and indexes at once; its index files are collected later."""
    with transaction.atomic():
        base = _locked_with_owner(base_id)
        KnowledgeBase.objects.filter(pk=base.pk).update(live_index=None, embed_on_write_for=None)
        Chunk.objects.filter(base=base).delete()
        base.delete()


def add_document(
    base_id: int,
    *,
    title: str,
    text: str,
    media_type: str = Document.MediaType.TEXT,
    embed: Embed | None = None,
) -> Document:
    """Add a document; it can be searched as soon as its chunks are embedded.

    Raises InvalidRequestError (empty, too large, not storable), NotFoundError (no such base) and, only
    while a switch waits for writers, ConflictError, LimitReachedError; nothing is stored then.
    """
    content = _Content.of(title, text, media_type)

    def change(base: KnowledgeBase) -> Document:
        require_room("documents", _documents_beside(base))
        document = Document.objects.create(base=base, **content.fields())
        _insert_chunks(document, content, _next_seq(base))
        return document

    return _write(base_id, content.pieces, embed, change)


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """A document that was written elsewhere or before, with the times it had."""

    title: str
    text: str
    media_type: str
    created_at: datetime
    updated_at: datetime


def put_documents(base_id: int, written: Sequence[WrittenDocument]) -> list[Document]:
    """Add documents as they were, in one write; they are found as soon as they are embedded.

    Raises what ``add_document`` raises; then none is stored.
    """
    contents = [_Content.of(one.title, one.text, one.media_type) for one in written]

    def change(base: KnowledgeBase) -> list[Document]:
        require_room("documents", _documents_beside(base))
        rows = [Document(base=base, **content.fields()) for content in contents]
        documents = Document.objects.bulk_create(rows)
        for document, one in zip(documents, written, strict=True):
            document.created_at, document.updated_at = one.created_at, one.updated_at
        # Both are set by themselves when a row is made, whatever it was given.
        Document.objects.bulk_update(documents, ["created_at", "updated_at"])
        seq = _next_seq(base)
        for document, content in zip(documents, contents, strict=True):
            _insert_chunks(document, content, seq)
        return documents

    return _write(base_id, {}, None, change)


def update_document(
    document_id: int,
    *,
    title: str | None = None,
    text: str | None = None,
    media_type: str | None = None,
    embed: Embed | None = None,
    expected_sha256: str = "",
) -> Document:
    """Change what is given of a document; the same text and kind again changes no chunk.

    Raises as ``add_document``; ConflictError also when the text changed while it was cut anew, or is
    not the expected one any more.
    """
    old = _document(document_id)
    content = _Content.of(
        old.title if title is None else title,
        old.text if text is None else text,
        media_type or old.media_type,
    )
    is_rewritten = text is not None or media_type is not None

    def change(base: KnowledgeBase) -> Document:
        document = _document(document_id)
        expected = expected_sha256 or (old.sha256 if is_rewritten and text is None else "")
        if expected not in ("", document.sha256):
            raise ConflictError("The document was changed meanwhile; read it and try again.")
        if is_rewritten and not content.is_text_of(document):
            _replace_text(document, content, _next_seq(base))
        if title is not None and title != document.title:
            document.title = title
            document.save(update_fields=["title", "updated_at"])
        return document

    return _write(old.base_id, content.pieces if is_rewritten else {}, embed, change)


def delete_document(document_id: int) -> None:
    """Delete a document: no search returns it from now on, and its text is erased."""

    def change(base: KnowledgeBase) -> None:
        document = _document(document_id)
        _bury_chunks(document, _next_seq(base))
        document.delete()

    _write(_document(document_id).base_id, {}, None, change)


@dataclass(frozen=True, slots=True)
class _Content:
    """A checked document and the pieces it is cut into: content hash → text, and their order."""

    title: str
    text: str
    media_type: str
    sha256: str
    order: list[bytes] = field(default_factory=list)
    pieces: dict[bytes, str] = field(default_factory=dict)

    @classmethod
    def of(cls, title: str, text: str, media_type: str) -> _Content:
        _check_line(title, "title", MAX_TITLE_CHARS)
        if media_type not in Document.MediaType.values:
            known = ", ".join(Document.MediaType.values)
            raise InvalidRequestError(f"{media_type!r} is not understood; send one of {known}.")
        encoded = _encode_text(text)
        chunks = chunk_text(text, media_type)
        if not chunks:
            raise InvalidRequestError("The document has no text; send some.")
        order = [hashlib.sha256(chunk.encode()).digest() for chunk in chunks]
        pieces = dict(zip(order, chunks, strict=True))
        return cls(title, text, media_type, hashlib.sha256(encoded).hexdigest(), order, pieces)

    def fields(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("title", "text", "media_type", "sha256")}

    def is_text_of(self, document: Document) -> bool:
        return (document.sha256, document.media_type) == (self.sha256, self.media_type)


def _encode_text(text: str) -> bytes:
    if "\0" in text:
        raise InvalidRequestError("The text holds a NUL character; send plain text or Markdown.")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError("The text is not valid Unicode; send it as UTF-8.") from error
    if len(encoded) > MAX_TEXT_BYTES:
        raise InvalidRequestError(
            f"The text has {len(encoded)} bytes, {MAX_TEXT_BYTES} are allowed; split the document."
        )
    return encoded


def _documents_beside(base: KnowledgeBase) -> QuerySet[Document]:
    """Return what counts together: all documents of a person, or those of a group's base."""
    if base.owner_id is None:
        return Document.objects.filter(base=base)
    return Document.objects.filter(base__owner=base.owner_id)


def _check_line(line: str, what: str, limit: int) -> None:
    if not line.strip() or len(line) > limit or not line.isprintable():
        raise InvalidRequestError(
            f"The {what} must be one line of 1 to {limit} visible characters; choose another."
        )


def _write(
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
        _bring_vectors(_unlocked(base_id), pieces, embed)
        with transaction.atomic():
            base = _locked(base_id)
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


def _unlocked(base_id: int) -> KnowledgeBase:
    return _existing(KnowledgeBase.objects.filter(pk=base_id).first(), base_id)


def _locked(base_id: int) -> KnowledgeBase:
    """Lock a base; joined rows must not be read along, for after a wait they are of before it."""
    rows = KnowledgeBase.objects.select_for_update(no_key=True)
    return _existing(rows.filter(pk=base_id).first(), base_id)


def _locked_with_owner(base_id: int) -> KnowledgeBase:
    owner_id = _unlocked(base_id).owner_id
    if owner_id is not None:
        lock_preference(owner_id)
    return _locked(base_id)


def _existing(base: KnowledgeBase | None, base_id: int) -> KnowledgeBase:
    if base is None:
        raise NotFoundError(f"There is no knowledge base {base_id}; list yours to see them.")
    return base


def _document(document_id: int) -> Document:
    document = Document.objects.filter(pk=document_id).first()
    if document is None:
        raise NotFoundError(f"There is no document {document_id}; list the base's documents.")
    return document


def _next_seq(base: KnowledgeBase) -> int:
    base.write_seq += 1
    base.save(update_fields=["write_seq"])
    knowledge_changed(base.pk)
    return base.write_seq


def _replace_text(document: Document, content: _Content, seq: int) -> None:
    _bury_chunks(document, seq)
    document.text, document.sha256 = content.text, content.sha256
    document.media_type = content.media_type
    document.save(update_fields=["text", "sha256", "media_type", "updated_at"])
    _insert_chunks(document, content, seq)


def _bury_chunks(document: Document, seq: int) -> None:
    live = Chunk.objects.filter(document=document, deleted_seq__isnull=True)
    live.update(deleted_seq=seq, text="", document=None)


def _insert_chunks(document: Document, content: _Content, seq: int) -> None:
    rows = (
        Chunk(
            base_id=document.base_id,
            document=document,
            position=position,
            text=content.pieces[key],
            content_hash=key,
            created_seq=seq,
        )
        for position, key in enumerate(content.order)
    )
    Chunk.objects.bulk_create(rows, batch_size=INSERT_ROWS)


def _adopt(base: KnowledgeBase) -> None:
    fingerprint = _space_in_use(base)
    if fingerprint is not None:
        base.live_index = index_for(base, fingerprint)
        base.save(update_fields=["live_index"])


def _space_in_use(base: KnowledgeBase) -> Fingerprint | None:
    if base.owner is not None:
        return known_fingerprint(*effective_engine(base.owner))
    return known_fingerprint(*engine_of_group(base.group))
