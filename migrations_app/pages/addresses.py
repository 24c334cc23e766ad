"""Where what an answer or a search stands on is shown."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse


def passage_address(document_id: int, chunk_id: int) -> str:
    """Return where a passage is shown in its document."""
    asked = urlencode({"passage": chunk_id})
    return f"{reverse('document', args=[document_id])}?{asked}#passage"
