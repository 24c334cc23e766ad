"""The messages of a chat: whose they are, their text, and calls of tools with their results."""

from __future__ import annotations

from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.text.response_format import parse_calls
from migrations_app.openai_api.errors import RefusedError, refuse

Message = dict[str, Any]

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
MOST_MESSAGES = 2000


def checked_messages(given: object) -> list[Message]:
    """Return the messages as the worker reads them; RefusedError names the one at fault."""
    if not isinstance(given, list) or not 0 < len(given) <= MOST_MESSAGES:
        refuse("messages", f"must be a list of 1 to {MOST_MESSAGES} messages")
    messages = [_message(f"messages[{number}]", item) for number, item in enumerate(given)]
    _check_results(messages)
    return messages


def _message(place: str, item: object) -> Message:
    if not isinstance(item, dict):
        refuse(place, "must be an object with role and content")
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        refuse(f"{place}.role", f"must be one of {', '.join(ROLES)}")
    if item.get("function_call"):
        refuse(f"{place}.function_call", "is not served here; send tool_calls")
    calls = _calls(f"{place}.tool_calls", role, item.get("tool_calls"))
    may_be_silent = bool(calls) and item.get("content") is None
    content = "" if may_be_silent else _content(f"{place}.content", item.get("content"))
    answered = _answered(f"{place}.tool_call_id", role, item.get("tool_call_id"))
    return {"role": ROLES[role], "content": content, **calls, **answered}


def _calls(place: str, role: str, given: object) -> Message:
    if not given:
        return {}
    if role != "assistant":
        refuse(place, "may only be in a message of the assistant")
    try:
        return {"tool_calls": parse_calls(place, given)}
    except InvalidRequestError as error:
        raise RefusedError(str(error), param=place) from None


def _answered(place: str, role: str, given: object) -> Message:
    if role != "tool":
        return {}
    if not isinstance(given, str) or not given:
        refuse(place, "must name the call that this is the result of")
    return {"tool_call_id": given}


def _check_results(messages: list[Message]) -> None:
    """RefusedError for a result of a call that no message before it has made."""
    made: set[str] = set()
    for number, message in enumerate(messages):
        made |= {call["id"] for call in message.get("tool_calls", ())}
        if message["role"] == "tool" and message["tool_call_id"] not in made:
            refuse(
                f"messages[{number}].tool_call_id",
                "must be the id of a call in a message of the assistant before it",
            )


def _content(place: str, given: object) -> str:
    if isinstance(given, str):
        return given
    parts = given if isinstance(given, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    if kinds - {"text"} or not all(isinstance(text, str) for text in texts):
        refuse(place, "must be a text or a list of parts of type text")
    return "".join(map(str, texts))
