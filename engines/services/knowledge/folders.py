"""Files as documents: a path in a base is one document, so the same folder again changes only what changed."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from engines.exceptions import InvalidRequestError, NotFoundError, SamError
from engines.models import Document, KnowledgeBase
from engines.reading.kinds import is_archive
from engines.reading.reader import ReadFile, RefusedFile, make_shown, read_file, read_files
from engines.services.knowledge.content import MAX_TITLE_CHARS, Content, Origin
from engines.services.knowledge.documents import delete_document
from engines.services.knowledge.sizing import cutting_for
from engines.services.knowledge.writing import (
    Embed,
    insert_document,
    next_seq,
    replace_text,
    require_document,
    write,
)


class Outcome(StrEnum):
    """What became of a file."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    MOVED = "moved"
    DELETED = "deleted"
    MISSING = "missing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    """A document and how it came to be what it is."""

    document: Document
    outcome: Outcome


def put_file(
    base_id: int,
    file: ReadFile,
    *,
    moved_from: str = "",
    is_copy: bool = False,
    embed: Embed | None = None,
) -> Taken:
    """Make a file the document of its path: added, updated, moved from another path, or unchanged.

    A document without a path that has its title is taken for it. ``moved_from`` counts when that document was
    made of the same file. ``is_copy`` adds a document without a path where there is one with another text.
    Raises as ``add_document``.
    """
    content = _content_of(base_id, file)

    def change(base: KnowledgeBase) -> Taken:
        found = _find(base, content)
        if found is None and moved_from:
            found = _movable(base, content, moved_from)
        if found is None:
            return Taken(insert_document(base, content), Outcome.ADDED)
        if is_copy and not content.is_text_of(found):
            apart = replace(content, origin=_pathless(content))
            return Taken(insert_document(base, apart), Outcome.ADDED)
        return _bring_up(base, found, content)

    return write(base_id, content.pieces, embed, change)


def add_read_file(base_id: int, file: ReadFile, title: str, embed: Embed | None) -> Document:
    """Add a file as one more document, under no path. Raises as ``add_document``."""
    reading, origin = file.reading, Origin.of_reading("", file.reading)
    content = Content.of(title, reading.text, reading.media_type, origin, cutting_for(base_id))
    return write(base_id, content.pieces, embed, lambda base: insert_document(base, content))


def replace_with_file(document_id: int, stored: Path, name: str, embed: Embed | None) -> Document:
    """Give a document the text of another file; its title and its path stay. Raises as ``add_document``."""
    reading = read_file(stored, name).reading
    document = require_document(document_id)
    origin = Origin.of_reading(document.path, reading)
    cutting = cutting_for(document.base_id)
    content = Content.of(document.title, reading.text, reading.media_type, origin, cutting)

    def change(base: KnowledgeBase) -> Document:
        current = require_document(document_id)
        if not content.is_text_of(current):
            replace_text(current, content, next_seq(base))
        # It may have been moved while the file was read.
        _keep_origin(current, replace(content.origin, path=current.path))
        return current

    return write(document.base_id, content.pieces, embed, change)


def _content_of(base_id: int, file: ReadFile) -> Content:
    reading, origin = file.reading, Origin.of_reading(file.path, file.reading)
    title, cutting = title_of(file.path), cutting_for(base_id)
    return Content.of(title, reading.text, reading.media_type, origin, cutting)


def title_of(path: str) -> str:
    """Return a document's title: its path, or the end of a very long one."""
    return path if len(path) <= MAX_TITLE_CHARS else f"…{path[1 - MAX_TITLE_CHARS :]}"


def _pathless(content: Content) -> Origin:
    return replace(content.origin, path="")


def _find(base: KnowledgeBase, content: Content) -> Document | None:
    """Return the document of this path, else one without a path that is called so: the same text first."""
    documents = Document.objects.filter(base=base)
    at_path = documents.filter(path=content.origin.path).first()
    if at_path is not None:
        return at_path
    titled = documents.filter(path="", title=content.title).order_by("-pk")
    return titled.filter(sha256=content.sha256).first() or titled.first()


def _movable(base: KnowledgeBase, content: Content, moved_from: str) -> Document | None:
    before = unicodedata.normalize("NFC", moved_from)
    found = Document.objects.filter(base=base, path=before).first()
    if found is None or found.source_sha256 != content.origin.source_sha256:
        raise InvalidRequestError(
            f"No document of this base was made of this file at {moved_from[:80]!a}; send it without "
            "moved_from."
        )
    return found


def _bring_up(base: KnowledgeBase, document: Document, content: Content) -> Taken:
    is_moved = document.path not in ("", content.origin.path)
    is_updated = not content.is_text_of(document)
    if is_updated:
        replace_text(document, content, next_seq(base))
    # A title that somebody gave it stays; one that was its path goes with it.
    if document.title in ("", title_of(document.path)):
        document.title = content.title
    _keep_origin(document, content.origin)
    if is_moved:
        return Taken(document, Outcome.MOVED)
    return Taken(document, Outcome.UPDATED if is_updated else Outcome.UNCHANGED)


def _keep_origin(document: Document, origin: Origin) -> None:
    """Let a document know the file that its text is of, also where another file has the same text."""
    known = (document.path, document.source_sha256, document.note)
    if known != (origin.path, origin.source_sha256, origin.note):
        document.path, document.note = origin.path, origin.note
        document.source_sha256 = origin.source_sha256
        document.save(update_fields=["path", "source_sha256", "note", "title"])


@dataclass(frozen=True, slots=True)
class FileLine:
    """What became of one file, for people."""

    path: str
    outcome: Outcome
    document_id: int | None = None
    said: str = ""
    """Why it was refused, or what was not as people expect."""


NOT_IN_ARCHIVE = (
    "The archive does not hold it any more, and its document stays until somebody deletes it."
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that was sent: where it lies for the moment, and its name at its person's."""

    stored: Path
    path: str
    moved_from: str = ""
    replaces: bool = True
    """Whether another text at a path takes the place of the one there, or stands beside it."""
    delete_missing: bool = False
    """Whether documents of the archive whose files it does not hold any more are deleted."""


def take_delivery(base_id: int, delivery: Delivery, embed: Embed | None = None) -> list[FileLine]:
    """Make documents of a file, or of each file in an archive; what is refused has its line like others.

    What an archive held before and does not hold any more has a line as well.
    """
    lines = [
        _take(base_id, found, delivery, embed)
        for found in read_files(delivery.stored, delivery.path)
    ]
    return lines + _settle_missing(base_id, delivery, {line.path for line in lines})


def _settle_missing(base_id: int, delivery: Delivery, here: set[str]) -> list[FileLine]:
    """Tell which documents of an archive it does not hold any more, or delete them.

    None while it is empty, as a backup that failed leaves one, or cannot be opened.
    """
    is_opened = here and make_shown(delivery.path) not in here
    if not is_archive(delivery.path) or not is_opened:
        return []
    inside = Document.objects.filter(base=base_id, path__startswith=f"{make_shown(delivery.path)}/")
    rows = inside.order_by("path").values_list("path", "pk")
    return [_settle(path, key, delivery) for path, key in rows if path not in here]


def _settle(path: str, document_id: int, delivery: Delivery) -> FileLine:
    if not delivery.delete_missing:
        return FileLine(path, Outcome.MISSING, document_id, NOT_IN_ARCHIVE)
    # Somebody else may have deleted it by now.
    with suppress(NotFoundError):
        delete_document(document_id)
    return FileLine(path, Outcome.DELETED)


def _take(
    base_id: int, found: ReadFile | RefusedFile, delivery: Delivery, embed: Embed | None
) -> FileLine:
    if isinstance(found, RefusedFile):
        return FileLine(found.path, Outcome.REFUSED, said=found.why)
    try:
        taken = put_file(
            base_id,
            found,
            moved_from=delivery.moved_from,
            is_copy=not delivery.replaces,
            embed=embed,
        )
    except SamError as error:
        return FileLine(found.path, Outcome.REFUSED, said=str(error))
    return FileLine(found.path, taken.outcome, taken.document.pk, found.reading.note)
