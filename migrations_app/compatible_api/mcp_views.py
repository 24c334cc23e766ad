"""MCP over HTTP: one request, one answer, nothing kept between them.

The official kit reads and writes the protocol; who asks is settled before, by the token, and each request has
a server of its own whose tools act for that person.
"""

from __future__ import annotations

import importlib
import json
from typing import cast

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from msgspec import Struct

from engines.exceptions import SamError
from engines.models import TokenScope
from migrations_app.compatible_api.errors import reshaped, sentence_of, status_of
from migrations_app.openai_api.access import caller
from migrations_app.openai_api.endpoint import endpoint
from migrations_app.openai_api.errors import FORBIDDEN, INTERNAL, RefusedError, nothing_at
from migrations_app.openai_api.requests import read_body

INTERNAL_ERROR, INVALID_REQUEST = -32603, -32600
"""Of JSON-RPC 2.0, section 5.1."""
_KIT = "migrations_app.compatible_api.mcp_server"


class ProtocolError(Struct, frozen=True):
    """What is wrong with a request, in JSON-RPC's words."""

    code: int
    message: str


class ErrorBody(Struct, frozen=True):
    """The answer to a request that reached no tool."""

    error: ProtocolError
    jsonrpc: str = "2.0"
    id: None = None


def show_error(error: SamError) -> HttpResponse:
    """Return an error as clients of MCP read it."""
    code = INTERNAL_ERROR if status_of(error) >= INTERNAL else INVALID_REQUEST
    return reshaped(error, ErrorBody(ProtocolError(code, sentence_of(error))))


@endpoint("POST", show_error)
async def mcp(request: HttpRequest) -> HttpResponseBase:
    """Answer one message of a client of MCP."""
    user = await sync_to_async(_reader)(request)
    # What is no message, and half a character, is what it is at every other door.
    body = json.dumps(read_body(request)).encode()
    # Imported by the first who asks, in a thread: the loop goes on with everybody's streams meanwhile.
    kit = await sync_to_async(importlib.import_module)(_KIT)
    scope = cast("ASGIRequest", request).scope
    response: HttpResponse = await kit.answer_message(user, body, scope)
    return response


@csrf_exempt
async def unknown(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown address below MCP's as its clients read it."""
    return show_error(nothing_at(request.path))


def _reader(request: HttpRequest) -> User:
    """Return who asks; RefusedError (403) for a token that opens only answers."""
    user = caller(request)
    if getattr(user, "token_scope", None) == TokenScope.ANSWERS:
        raise RefusedError(
            "This token's scope does not reach here; use another token.",
            status=FORBIDDEN,
            code="insufficient_scope",
        )
    return user
