"""Found passages as they are shown in a list: their words and lines, without the marks of their file's kind."""

from __future__ import annotations

from collections.abc import Sequence

from engines.models import Document
from engines.services.answers.messages import FoundPassage
from migrations_app.pages.chat.markdown import plain_text


def excerpts_of(found: Sequence[FoundPassage]) -> list[str]:
    """Return the text of each passage; what is no Markdown stays letter by letter as it is."""
    # Without their texts, of which each may be megabytes.
    described = Document.objects.only("path", "media_type")
    documents = described.in_bulk({passage.document_id for passage in found})
    return [_excerpt(passage, documents.get(passage.document_id)) for passage in found]


def _excerpt(passage: FoundPassage, document: Document | None) -> str:
    if document is None or document.media_type != Document.MediaType.MARKDOWN:
        return passage.text
    return plain_text(passage.text, keeps_lines=document.has_read_lines) or passage.text
