"""Writing knowledge: every change of a base is one transaction under its row's lock.

The lock makes ``write_seq`` grow in the order of commits, which everything about indexes relies on.
Lock order: preference of the owner (only to create or delete a base), then the base, then its chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet

from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import (
    Chunk,
    Document,
    Fingerprint,
    KnowledgeBase,
    VectorIndex,
)
from engines.reading.carried_places import carry_places
from engines.reading.result import Place
from engines.services.engine_choice import effective_engine, engine_of_group
from engines.services.knowledge.content import MAX_NAME_CHARS, Content, Origin, check_line
from engines.services.knowledge.fingerprints import known_fingerprint
from engines.services.knowledge.indexes import index_for
from engines.services.knowledge.sizing import cutting_for
from engines.services.knowledge.writing import (
    Embed,
    bury_chunks,
    documents_beside,
    insert_chunks,
    insert_document,
    lock_base_with_owner,
    next_seq,
    replace_text,
    require_document,
    write,
)
from engines.services.people.limits import require_room
from engines.services.people.preferences import lock_preference


def create_base(
    *, name: str, owner: User | None = None, group: Group | None = None
) -> KnowledgeBase:
    """Create a base of a person or of a group, searched with the engine they use now.

    Its live index stays empty while that engine's file was never read: ``adopt_index`` later. ConflictError
    where they have one of this name, which people would take for the other.
    """
    check_line(name, "name", MAX_NAME_CHARS)
    if (owner is None) == (group is None):
        raise InvalidRequestError("A base belongs to one person or to one group; name one of them.")
    with transaction.atomic():
        if owner is not None:
            lock_preference(owner.pk)
        elif group is not None:
            # Two that make one of a name take turns.
            Group.objects.select_for_update(no_key=True).get(pk=group.pk)
        _refuse_same_name(KnowledgeBase.objects.filter(owner=owner, group=group), name)
        return _insert_base(name, owner, group)


def put_base(name: str, owner: User) -> KnowledgeBase:
    """Put back a base that was there before, under the name it had."""
    with transaction.atomic():
        lock_preference(owner.pk)
        return _insert_base(name, owner, None)


def _insert_base(name: str, owner: User | None, group: Group | None) -> KnowledgeBase:
    if owner is not None:
        require_room("bases", KnowledgeBase.objects.filter(owner=owner))
    base = KnowledgeBase.objects.create(owner=owner, group=group, name=name)
    _adopt(base)
    return base


def adopt_index(base_id: int) -> VectorIndex | None:
    """Give a base without a live index that of the engine in use, once its space is known."""
    with transaction.atomic():
        base = lock_base_with_owner(base_id)
        if base.live_index is None:
            _adopt(base)
        return base.live_index


def rename_base(base_id: int, name: str) -> KnowledgeBase:
    """Give a base another name; InvalidRequestError unless it is one visible line, ConflictError for one in use."""
    check_line(name, "name", MAX_NAME_CHARS)
    with transaction.atomic():
        base = lock_base_with_owner(base_id)
        beside = KnowledgeBase.objects.filter(owner=base.owner_id, group=base.group_id)
        if name != base.name:
            _refuse_same_name(beside.exclude(pk=base.pk), name)
        base.name = name
        base.save(update_fields=["name"])
    return base


def _refuse_same_name(bases: QuerySet[KnowledgeBase], name: str) -> None:
    same = bases.filter(name__iexact=name).first()
    if same is not None:
        raise ConflictError(
            f"There is a base {same.name!r} already, number {same.pk}; choose another name, or add to that one."
        )


def delete_base(base_id: int) -> None:
    """Delete a base with all its texts and indexes at once; its index files are collected later."""
    with transaction.atomic():
        base = lock_base_with_owner(base_id)
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
    content = Content.of(title, text, media_type, cutting=cutting_for(base_id))

    def change(base: KnowledgeBase) -> Document:
        return insert_document(base, content)

    return write(base_id, content.pieces, embed, change)


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """A document that was written elsewhere or before, with the times it had."""

    title: str
    text: str
    media_type: str
    created_at: datetime
    updated_at: datetime
    origin: Origin | None = None


def put_documents(base_id: int, written: Sequence[WrittenDocument]) -> list[Document]:
    """Add documents as they were, in one write; they are found as soon as they are embedded.

    Raises what ``add_document`` raises; then none is stored.
    """
    cutting = cutting_for(base_id)
    contents = [
        Content.of(one.title, one.text, one.media_type, one.origin, cutting) for one in written
    ]

    def change(base: KnowledgeBase) -> list[Document]:
        require_room("documents", documents_beside(base))
        rows = [Document(base=base, **content.fields()) for content in contents]
        documents = Document.objects.bulk_create(rows)
        for document, one in zip(documents, written, strict=True):
            document.created_at, document.updated_at = one.created_at, one.updated_at
        # Both are set by themselves when a row is made, whatever it was given.
        Document.objects.bulk_update(documents, ["created_at", "updated_at"])
        seq = next_seq(base)
        for document, content in zip(documents, contents, strict=True):
            insert_chunks(document, content.passages, seq)
        return documents

    return write(base_id, {}, None, change)


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
    old = require_document(document_id)
    wanted = old.text if text is None else text
    # What is written here is not what was read from its file any more, but stands on the same pages.
    is_same = text is None or text == old.text
    source, note = (old.source_sha256, old.note) if is_same else ("", "")
    places = old.places if is_same else _carried(old, wanted)
    content = Content.of(
        old.title if title is None else title,
        wanted,
        media_type or old.media_type,
        Origin(old.path, source, places, note),
        cutting_for(old.base_id),
    )
    is_rewritten = text is not None or media_type is not None

    def change(base: KnowledgeBase) -> Document:
        document = require_document(document_id)
        expected = expected_sha256 or (old.sha256 if is_rewritten and text is None else "")
        if expected not in ("", document.sha256):
            raise ConflictError("The document was changed meanwhile; read it and try again.")
        if is_rewritten and not content.is_text_of(document):
            replace_text(document, content, next_seq(base))
        if title is not None and title != document.title:
            document.title = title
            document.save(update_fields=["title", "updated_at"])
        return document

    return write(old.base_id, content.pieces if is_rewritten else {}, embed, change)


def _carried(document: Document, text: str) -> list[Place]:
    places = [(int(at), str(label)) for at, label in document.places]
    return carry_places(document.text, text, places)


def delete_document(document_id: int) -> None:
    """Delete a document: no search returns it from now on, and its text is erased."""

    def change(base: KnowledgeBase) -> None:
        document = require_document(document_id)
        bury_chunks(document, next_seq(base))
        document.delete()

    write(require_document(document_id).base_id, {}, None, change)


def _adopt(base: KnowledgeBase) -> None:
    fingerprint = _space_in_use(base)
    if fingerprint is not None:
        base.live_index = index_for(base, fingerprint)
        base.save(update_fields=["live_index"])


def _space_in_use(base: KnowledgeBase) -> Fingerprint | None:
    if base.owner is not None:
        return known_fingerprint(*effective_engine(base.owner))
    return known_fingerprint(*engine_of_group(base.group))
