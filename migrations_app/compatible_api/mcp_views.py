"""MCP over HTTP: one request, one answer, nothing kept between them.

The official kit reads and writes the protocol; who asks is settled before, by the token, and each request has
a server of its own whose tools act for that person.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from msgspec import Struct

from engines.exceptions import SamError
from engines.models import TokenScope
from engines.runtimes.text.response_format import Json
from migrations_app.audit.actor import Actor, acting_as
from migrations_app.audit.rows import AuditDoor
from migrations_app.compatible_api.errors import reshaped, sentence_of, status_of
from migrations_app.compatible_api.mcp_tools import McpTool, call_tool, tools_for
from migrations_app.openai_api.access import caller
from migrations_app.openai_api.endpoint import endpoint
from migrations_app.openai_api.errors import FORBIDDEN, INTERNAL, RefusedError, too_large

NAME = "sam"
INSTRUCTIONS = (
    "SAM changes the AI engine behind a person's assistant without losing anything. Search the person's "
    "knowledge here, see the state of their engine, and plan a migration: create a plan, preview it, show "
    "the person what it would do, and execute it only when they agree."
)


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
    try:
        exchange = _Exchange(request.body)
    except RequestDataTooBig:
        raise too_large() from None
    manager = StreamableHTTPSessionManager(_server_of(user), json_response=True, stateless=True)
    async with manager.run():
        scope: Any = cast("ASGIRequest", request).scope
        await manager.handle_request(scope, exchange.receive, exchange.send)
    return exchange.response


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


class _Exchange:
    """A body that was read, handed to an ASGI application, and the answer that it gives."""

    def __init__(self, body: bytes) -> None:
        self.response = HttpResponse()
        self._body: bytes | None = body

    async def receive(self) -> Any:
        body, self._body = self._body, None
        if body is None:
            # Django notices a client that leaves, and cancels all of this.
            await asyncio.Event().wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.response.status_code = message["status"]
            del self.response["Content-Type"]
            for name, value in message.get("headers", ()):
                self.response[name.decode("latin-1")] = value.decode("latin-1")
        elif message["type"] == "http.response.body":
            self.response.write(message.get("body", b""))


def _server_of(user: User) -> Server[Any]:
    """Return a server whose tools act for a person."""

    async def list_tools(_context: object, _asked: object) -> ListToolsResult:
        return ListToolsResult(tools=[_described(tool) for tool in tools_for(user)])

    async def use_tool(_context: object, asked: CallToolRequestParams) -> CallToolResult:
        return await sync_to_async(_used)(user, asked.name, asked.arguments or {})

    return Server(NAME, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=use_tool)


def _used(user: User, name: str, given: Json) -> CallToolResult:
    """Use a tool; what goes wrong is told to the model, which may do better."""
    actor = Actor(user.get_username(), user.pk, AuditDoor.REST)
    try:
        with acting_as(lambda: actor):
            found = call_tool(user, name, given)
    except SamError as error:
        return CallToolResult(content=[_text(sentence_of(error))], is_error=True)
    finally:
        close_old_connections()
    told = _text(msgspec.json.encode(found).decode())
    return CallToolResult(content=[told], structured_content=found)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _described(tool: McpTool[Any]) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema(),
        annotations=ToolAnnotations(read_only_hint=not tool.changes, open_world_hint=False),
    )
