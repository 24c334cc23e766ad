"""From a person's messages to the prompt of the engine in use, cut to its context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.services.preferences import Prompts

ROLES = frozenset({"system", "user", "assistant"})
MOST_MESSAGES = 2000
PLACEHOLDER = "{user_input}"
"""Where a chat format takes what the person says."""
ANSWER_ROOM = 256
"""Tokens kept for the answer when the request names no limit."""


def checked_messages(value: object) -> list[ChatMessage]:
    """Return the messages of a request; InvalidRequestError when they are not messages."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_MESSAGES:
        raise InvalidRequestError(f"Send 1 to {MOST_MESSAGES} messages.")
    return [_checked(item) for item in value]


def _checked(item: object) -> ChatMessage:
    role, content = (item.get("role"), item.get("content")) if isinstance(item, dict) else ("", "")
    if role not in ROLES or not isinstance(content, str):
        raise InvalidRequestError("A message has a role (system, user, assistant) and a content.")
    return {"role": str(role), "content": content}


def render(prompts: Prompts, messages: Sequence[ChatMessage]) -> str | list[ChatMessage]:
    """Return what the engine is given: its own template's messages, or the person's chat format."""
    instructions = "\n\n".join(
        text for text in (prompts.system_prompt, prompts.reasoning_prompt) if text
    )
    if not prompts.chat_format:
        opening: list[ChatMessage] = [{"role": "system", "content": instructions}]
        return (opening if instructions else []) + list(messages)
    turns = [_turn(prompts.chat_format, message) for message in messages]
    return "\n".join([*([instructions] if instructions else []), *turns])


def _turn(chat_format: str, message: ChatMessage) -> str:
    if message["role"] == "user" and PLACEHOLDER in chat_format:
        return chat_format.replace(PLACEHOLDER, message["content"])
    return message["content"]


def fitting(
    engine: BaseModelEngine, prompts: Prompts, messages: Sequence[ChatMessage], answer_tokens: int
) -> str | list[ChatMessage]:
    """Render as many of the newest messages as the engine's context has room for.

    The oldest are left out first; the last one always stays, and is the engine's to refuse.
    """
    room = _context_tokens(engine) - (answer_tokens or ANSWER_ROOM)
    kept = list(messages)

    def length() -> int:
        return _tokens(engine, render(prompts, kept))

    if room > 0 and length() > room:
        kept = _newest(kept, room, engine.count_tokens)
        while len(kept) > 1 and length() > room:
            del kept[0]
    return render(prompts, kept)


def _newest(
    messages: Sequence[ChatMessage], room: int, count: Callable[[str], int]
) -> list[ChatMessage]:
    """Return the newest messages whose own texts fit: a first guess without the template."""
    kept: list[ChatMessage] = []
    for message in reversed(messages):
        room -= count(message["content"])
        if room < 0 and kept:
            break
        kept.insert(0, message)
    return kept


def _tokens(engine: BaseModelEngine, prompt: str | list[ChatMessage]) -> int:
    text = prompt if isinstance(prompt, str) else engine.format_prompt(prompt)
    return engine.count_tokens(text)


def _context_tokens(engine: BaseModelEngine) -> int:
    """Return the engine's context, 0 when it does not say."""
    info: dict[str, Any] = engine.get_engine_info()
    return int(info.get("context_length") or 0)
