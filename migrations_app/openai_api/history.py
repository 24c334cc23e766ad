"""The messages of a chat as programs keep them, brought into the one form that is checked afterwards.

Programs that came from another API send parts of its types, and calls and results without an id, as Ollama
and Gemini have none: results then answer calls in their order, or by the function's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.runtimes.text.response_format import Json
from migrations_app.openai_api.errors import RefusedError, refuse

TEXTS = {"input_text": "text", "output_text": "text"}
"""The parts of ``/v1/responses``, under their names here."""
THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
"""Parts in which others keep what a model thought."""
KNOWN = ("text", "refusal")


def tidy_messages(given: object) -> object:
    """Return messages in the form that is checked; RefusedError for a part that nothing here reads."""
    if not isinstance(given, list):
        return given
    calls = _OpenCalls()
    return [
        _tidy(f"messages[{number}]", message, calls) if isinstance(message, Mapping) else message
        for number, message in enumerate(given)
    ]


def _tidy(place: str, message: Mapping[str, Any], calls: _OpenCalls) -> Mapping[str, Any]:
    if isinstance(message.get("content"), list):
        message = _with_texts(place, message)
    if isinstance(message.get("tool_calls"), list):
        return {**message, "tool_calls": calls.named(message["tool_calls"])}
    if message.get("role") == "tool":
        return {**message, "tool_call_id": calls.answered(place, message)}
    return message


def _with_texts(place: str, message: Mapping[str, Any]) -> Json:
    """Return a message whose parts are texts; what was thought stands beside them."""
    texts, thoughts = [], []
    for number, part in enumerate(message["content"]):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(kind, str):
            texts.append(part)
        elif kind in THOUGHTS and message.get("role") == "assistant":
            thoughts.append(_thought(part))
        elif kind in TEXTS or kind in KNOWN:
            texts.append({**part, "type": TEXTS.get(kind, kind)})
        else:
            refuse(
                f"{place}.content",
                f"has a part of type {kind!r:.60} at {number}, and the engines here read text only; send text",
            )
    thought = "\n".join(filter(None, thoughts))
    return {**message, "content": texts, **({"reasoning_content": thought} if thought else {})}


def _thought(part: Mapping[str, Any]) -> str:
    """Return what a part says that was thought: a text, or as Mistral writes it a list of parts."""
    thought = part.get("thinking") or part.get("text") or ""
    if isinstance(thought, list):
        texts = [one.get("text") for one in thought if isinstance(one, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return thought if isinstance(thought, str) else ""


class _OpenCalls:
    """Calls that have no result yet, the oldest first: ids and names of functions."""

    def __init__(self) -> None:
        self._open: list[tuple[object, object]] = []
        self._count = 0

    def named(self, calls: list[Any]) -> list[Any]:
        """Return calls of which each has an id."""
        named = []
        for call in calls:
            if isinstance(call, Mapping):
                call = {**call, "id": call.get("id") or f"call{self._count:05}"}
                function = call.get("function")
                name = function.get("name") if isinstance(function, Mapping) else None
                self._open.append((call["id"], name))
                self._count += 1
            named.append(call)
        return named

    def answered(self, place: str, result: Mapping[str, Any]) -> object:
        """Return the id of the call that a result answers: the one it names, else the oldest open one."""
        given, name = result.get("tool_call_id"), result.get("name")
        for call in self._open:
            if call[0] == given or (not given and name in (None, "", call[1])):
                self._open.remove(call)
                return call[0]
        if given:
            # Whether a call had that id is looked at when all messages are read.
            return given
        raise RefusedError(
            f"{place} must be the result of a call in a message of the assistant before it; "
            "name the call with tool_call_id.",
            param=f"{place}.tool_call_id",
        )
