"""What the official kit of MCP does for SAM: it reads a message, uses a person's tools, writes the answer.

Importing the kit takes as long as all of the rest of SAM's addresses, so only who is asked in MCP does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import close_old_connections
from django.http import HttpResponse
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)

from engines.exceptions import SamError
from engines.runtimes.text.response_format import Json
from migrations_app.audit.actor import Actor, acting_as
from migrations_app.audit.rows import AuditDoor
from migrations_app.compatible_api.errors import sentence_of
from migrations_app.compatible_api.mcp_tools import McpTool, call_tool, tools_for

logger = logging.getLogger(__name__)

NAME = "sam"
FAILED = "Something went wrong on our side; it is logged."
INSTRUCTIONS = (
    "SAM changes the AI engine behind a person's assistant without losing anything. Search the person's "
    "knowledge here, see the state of their engine, and plan a migration: create a plan, preview it, show "
    "the person what it would do, and execute it only when they agree."
)


async def answer_message(user: User, body: bytes, scope: Any) -> HttpResponse:
    """Return the answer to one message of a client that acts for a person."""
    exchange = _Exchange(body)
    # What was read as JSON needs no right header, here as at every other door.
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    scope = {**scope, "headers": [*others, (b"content-type", b"application/json")]}
    manager = StreamableHTTPSessionManager(_server_of(user), json_response=True, stateless=True)
    async with manager.run():
        await manager.handle_request(scope, exchange.receive, exchange.send)
    return exchange.response


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

    return Server(
        NAME,
        version=settings.VERSION,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=use_tool,
    )


def _used(user: User, name: str, given: Json) -> CallToolResult:
    """Use a tool; what goes wrong is told to the model, which may do better."""
    actor = Actor(user.get_username(), user.pk, AuditDoor.REST)
    try:
        with acting_as(lambda: actor):
            found = call_tool(user, name, given)
    except SamError as error:
        return CallToolResult(content=[_text(sentence_of(error))], is_error=True)
    except Exception:
        # The kit would send the error's own words, which may be a statement with its values.
        logger.exception("a tool failed")
        return CallToolResult(content=[_text(FAILED)], is_error=True)
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
