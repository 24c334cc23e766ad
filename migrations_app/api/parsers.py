"""Bodies from outside: bounded before they are read, and strict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from migrations_app.api.problems import BodyTooLarge, LengthMissing

KIBI = 1024
MAX_JSON_BYTES = 2 * KIBI * KIBI
"""Below Django's own limit for a body in memory; what is larger is sent as a file."""
MAX_DOCUMENT_UPLOAD_BYTES = 51 * KIBI * KIBI
MAX_ADAPTER_UPLOAD_BYTES = KIBI**3


class StrictJSONParser(JSONParser):
    """JSON whose depth cannot exhaust the interpreter; NaN and broken UTF-8 are refused."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error


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
