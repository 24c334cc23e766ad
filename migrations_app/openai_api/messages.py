"""The messages of a chat: whose they are, their text, and calls of tools with their results."""

from __future__ import annotations

from collections.abc import Sequence

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.text.response_format import parse_calls
from migrations_app.openai_api.errors import RefusedError, refuse
from migrations_app.openai_api.request_bodies import ChatTurn

ROLES = {"developer": "system"}
"""Roles that have another name here."""


def parse_messages(turns: Sequence[ChatTurn]) -> list[ChatMessage]:
    """Return the messages as the worker reads them; RefusedError names the one at fault."""
    messages = [_message(f"messages[{number}]", turn) for number, turn in enumerate(turns)]
    _check_results(messages)
    return messages


def _message(place: str, turn: ChatTurn) -> ChatMessage:
    if turn.function_call:
        refuse(f"{place}.function_call", "is not served here; send tool_calls")
    if turn.content is None and not turn.tool_calls:
        refuse(f"{place}.content", "must be a text or a list of parts of type text")
    message: ChatMessage = {
        "role": ROLES.get(turn.role, turn.role),
        "content": _content(turn),
    }
    if turn.tool_calls:
        message["tool_calls"] = _calls(f"{place}.tool_calls", turn)
    if turn.role == "tool":
        if not turn.tool_call_id:
            refuse(f"{place}.tool_call_id", "must name the call that this is the result of")
        message["tool_call_id"] = turn.tool_call_id
    return message


def _calls(place: str, turn: ChatTurn) -> list[MessageToolCall]:
    if turn.role != "assistant":
        refuse(place, "may only be in a message of the assistant")
    try:
        return parse_calls(place, turn.tool_calls)
    except InvalidRequestError as error:
        raise RefusedError(str(error), param=place) from None


def _content(turn: ChatTurn) -> str:
    if isinstance(turn.content, list):
        return "".join(part.text for part in turn.content)
    return turn.content or ""


def _check_results(messages: Sequence[ChatMessage]) -> None:
    """RefusedError for a result of a call that no message before it has made."""
    made: set[str] = set()
    for number, message in enumerate(messages):
        made |= {call["id"] for call in message.get("tool_calls", ())}
        if message["role"] == "tool" and message["tool_call_id"] not in made:
            refuse(
                f"messages[{number}].tool_call_id",
                "must be the id of a call in a message of the assistant before it",
            )
