"""Files that a person sends become documents: each whole or not at all, with a reason for each refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from engines.exceptions import InvalidRequestError, SamError
from engines.files.names import check_name
from engines.models import Document, KnowledgeBase
from engines.services.knowledge.documents import MAX_TEXT_BYTES, add_document, update_document
from engines.services.knowledge.text_files import (
    RefusedFile,
    TextFile,
    is_archive,
    read_archive,
    read_text_file,
)
from migrations_app.serving.answers import embed_for_writer

MAX_LINES = 200


@dataclass(slots=True)
class Intake:
    """What became of files: how many are new, replaced or were there already, and those refused."""

    added: int = 0
    replaced: int = 0
    kept: int = 0
    refused: list[RefusedFile] = field(default_factory=list)

    @property
    def shown(self) -> list[RefusedFile]:
        """Return the refused ones that a page lists."""
        return self.refused[:MAX_LINES]

    @property
    def not_shown(self) -> int:
        """Return how many more were refused."""
        return len(self.refused) - len(self.shown)

    @property
    def taken(self) -> int:
        """Return how many are in the base now."""
        return self.added + self.replaced + self.kept

    @property
    def sentence(self) -> str:
        """Say it by number."""
        parts = [
            f"{number} {word}"
            for number, word in (
                (self.added, "added"),
                (self.replaced, "replaced"),
                (self.kept, "already there"),
                (len(self.refused), "refused"),
            )
            if number
        ]
        return ", ".join(parts) or "Nothing was in it"


def take_files(
    base: KnowledgeBase, files: Sequence[UploadedFile[Any]], *, folder: str = "", replaces: bool
) -> Intake:
    """Make documents of files and of what is in their archives.

    ``folder`` is where a file lay on its person's machine; with ``replaces`` a document of the same title
    gets the new text. Raises nothing of SAM: what is refused is listed.
    """
    intake = Intake()
    for upload in files:
        for found in _read(upload, folder):
            if isinstance(found, RefusedFile):
                intake.refused.append(found)
            else:
                _take(base, found, intake, replaces=replaces)
    return intake


def _read(upload: UploadedFile[Any], folder: str) -> Iterator[TextFile | RefusedFile]:
    name = f"{folder}/{upload.name}" if folder else str(upload.name)
    try:
        if folder:
            check_name(name)
        if is_archive(name):
            yield from read_archive(upload)
        else:
            yield read_text_file(name, _content(upload))
    except SamError as error:
        yield RefusedFile(name, str(error))


def _content(upload: UploadedFile[Any]) -> bytes:
    if (upload.size or 0) > MAX_TEXT_BYTES:
        raise InvalidRequestError(
            f"It has {upload.size} bytes, {MAX_TEXT_BYTES} are allowed; split the document."
        )
    content: bytes = upload.read()
    return content


def _take(base: KnowledgeBase, file: TextFile, intake: Intake, *, replaces: bool) -> None:
    same_title = Document.objects.filter(base=base, title=file.name)
    digest = hashlib.sha256(file.text.encode()).hexdigest()
    content = {"text": file.text, "media_type": file.media_type}
    try:
        if same_title.filter(sha256=digest, media_type=file.media_type).exists():
            intake.kept += 1
            return
        twin = same_title.order_by("-pk").values_list("pk", flat=True).first() if replaces else None
        if twin is None:
            add_document(base.pk, title=file.name, embed=embed_for_writer, **content)
            intake.added += 1
        else:
            update_document(twin, embed=embed_for_writer, **content)
            intake.replaced += 1
    except SamError as error:
        intake.refused.append(RefusedFile(file.name, str(error)))
