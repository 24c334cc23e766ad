"""An error's status and headers are the same in every protocol; only its body is each one's own."""

from __future__ import annotations

from django.http import HttpResponse
from msgspec import Struct, json

from engines.exceptions import SamError
from migrations_app.openai_api import errors


def reshaped(error: SamError, body: Struct) -> HttpResponse:
    """Return an error as an answer, with a protocol's own body."""
    response = errors.error_response(error)
    response.content = json.encode(body)
    return response


def status_of(error: SamError) -> int:
    """Return the status that an error is answered with."""
    return errors.status_of(error)


def sentence_of(error: SamError) -> str:
    """Return what is told of an error."""
    return errors.error_body(error).error.message
