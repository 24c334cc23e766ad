"""Bodies from outside: bounded before they are read, and strict."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request

from migrations_app.api.problems import BodyTooLarge, LengthMissing

KIBI = 1024
MAX_JSON_BYTES = 2 * KIBI * KIBI
"""Below Django's own limit for a body in memory; what is larger is sent as a file."""
MAX_DOCUMENT_UPLOAD_BYTES = 51 * KIBI * KIBI
MAX_ADAPTER_UPLOAD_BYTES = KIBI**3


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL's text cannot hold and UTF-8 cannot say, but JSON's escapes can."""


def refuse_unstorable(content: object, place: str = "") -> None:
    """Raise ValidationError naming the field that holds a NUL or half a character, however deep.

    Asked once at the door: each field, row and log behind it would have to ask again.
    """
    if isinstance(content, str):
        if _UNSTORABLE.search(content):
            sentence = "It holds a character that cannot be stored; leave it out."
            raise ValidationError(
                {_UNSTORABLE.sub("?", place)[:100] or "non_field_errors": [sentence]}
            )
    elif isinstance(content, Mapping):
        for name, value in content.items():
            refuse_unstorable(name, place)
            refuse_unstorable(value, f"{place}.{name}" if place else str(name))
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            refuse_unstorable(value, f"{place}.{number}" if place else str(number))


class StrictJSONParser(JSONParser):
    """JSON whose depth cannot exhaust the interpreter; NaN, NUL and broken text are refused."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            content = super().parse(stream, media_type, parser_context)
            refuse_unstorable(content)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        return content


class StrictFormParser(MultiPartParser):
    """Forms with files, as strict about their texts."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        content = super().parse(stream, media_type, parser_context)
        refuse_unstorable(dict(content.data.lists()))
        return content


def refuse_large_body(request: Request, max_upload_bytes: int) -> None:
    """Raise 413 by the announced length, and 411 for a body without one, which would be ignored.

    RFC 9110, section 15.5.12, lets a server insist on Content-Length.
    """
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        raise LengthMissing
    is_upload = (request.content_type or "").startswith("multipart/")
    limit = max(max_upload_bytes, MAX_JSON_BYTES) if is_upload else MAX_JSON_BYTES
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if announced.isdecimal() and int(announced) > limit:
        more = " Send it as a file (multipart/form-data)." if max_upload_bytes > limit else ""
        raise BodyTooLarge(f"The body has {announced} bytes; {limit} are allowed here.{more}")


@contextmanager
def uploaded_to_disk(upload: UploadedFile[Any], name: str) -> Iterator[Path]:
    """Write an upload under a name of ours for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="sam-upload-") as folder:
        path = Path(folder) / name
        with path.open("xb") as target:
            for part in upload.chunks():
                target.write(part)
        yield path
