"""From a person's messages to the prompt of the engine in use, cut to its context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.notation.description import HERMES_CALLS, CallNotation
from engines.runtimes.notation.families import notation_of
from engines.runtimes.notation.tool_prompts import instructions, write_tools_as_text
from engines.runtimes.text.control_marks import make_literal, strip_enclosures
from engines.runtimes.text.response_format import Json, parse_calls
from engines.services.answers.messages import MAX_MESSAGES
from engines.services.people.preferences import Prompts

ROLES = frozenset({"system", "user", "assistant", "tool"})
PLACEHOLDER = "{user_input}"
"""Where a chat format takes what the person says."""
TEMPLATE_ROOM = 64
"""Tokens that a template may write around each text."""
ANSWER_ROOM = 256
"""Tokens kept for the answer when the request names no limit."""


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """A prompt that the engine's context has room for."""

    prompt: str | list[ChatMessage]
    left_out: int = 0
    """How many of the oldest messages it lacks."""


def validate_messages(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Return the messages of a request; InvalidRequestError when they are no conversation."""
    if not messages:
        raise InvalidRequestError(f"Send 1 to {MAX_MESSAGES} messages.")
    for message in messages:
        if message["role"] not in ROLES:
            raise InvalidRequestError(
                "A message has a role (system, user, assistant, tool) and a content."
            )
        if message.get("tool_calls"):
            message["tool_calls"] = parse_calls("tool_calls", message["tool_calls"])
    return messages


def render(
    prompts: Prompts,
    messages: Sequence[ChatMessage],
    tools: Sequence[Json] = (),
    calls: CallNotation = HERMES_CALLS,
) -> str | list[ChatMessage]:
    """Return what the engine is given: its own template's messages, or the person's chat format.

    A chat format knows nothing of tools: they are written out in it, as the model writes ``calls``. Its own text alone makes control
    tokens; ``make_literal`` encloses what is put into it.
    """
    instructions = "\n\n".join(
        text for text in (prompts.system_prompt, prompts.reasoning_prompt) if text
    )
    if not prompts.chat_format:
        opening: list[ChatMessage] = [{"role": "system", "content": instructions}]
        return (opening if instructions else []) + list(messages)
    plain = write_tools_as_text(messages, tools, calls)
    turns = [_turn(prompts.chat_format, message) for message in plain]
    return "\n".join([*([instructions] if instructions else []), *turns])


def _turn(chat_format: str, message: ChatMessage) -> str:
    content = make_literal(message["content"])
    if message["role"] == "user" and PLACEHOLDER in chat_format:
        return chat_format.replace(PLACEHOLDER, content)
    return content


def fit_prompt(
    engine: BaseModelEngine,
    prompts: Prompts,
    messages: Sequence[ChatMessage],
    answer_tokens: int,
    tools: Sequence[Json] = (),
) -> FittedPrompt:
    """Render as many of the newest messages as the engine's context has room for.

    The oldest are left out first, a tool's result together with its call; the last one always stays,
    and is the engine's to refuse.
    """
    calls = notation_of({"family": prompts.family, **engine.get_engine_info()}).calls
    room = _context_tokens(engine) - (answer_tokens or ANSWER_ROOM)
    if tools and not prompts.chat_format:
        room -= engine.count_tokens(instructions(tools, calls))
    kept = list(messages)

    def rendered() -> str | list[ChatMessage]:
        prompt = render(prompts, kept, tools, calls)
        if isinstance(prompt, str) and not engine.reads_literals:
            return strip_enclosures(prompt)
        return prompt

    def length() -> int:
        return engine.count_prompt_tokens(rendered())

    if room > 0 and not _is_surely_short(prompts, kept, tools, room) and length() > room:
        kept = _newest(kept, room, engine.count_tokens)
        while len(kept) > 1 and (length() > room or kept[0]["role"] == "tool"):
            del kept[0]
    return FittedPrompt(rendered(), len(messages) - len(kept))


def count_answer_room(engine: BaseModelEngine, prompt: str | list[ChatMessage], most: int) -> int:
    """Return how many tokens an answer may have: ``most``, or what the context has room for.

    A server refuses a request for more than it has room for; it is counted only when it may be short.
    """
    context = _context_tokens(engine)
    texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
    size = sum(len(text.encode("utf-8", "replace")) + TEMPLATE_ROOM for text in texts)
    if not context or size + most <= context:
        return most
    return max(min(most, context - engine.count_prompt_tokens(prompt)), 1)


def count_read_tokens(
    engine: BaseModelEngine, prompt: str | list[ChatMessage], tools: Sequence[Json] = ()
) -> int:
    """Return how many tokens an engine reads for an answer: the prompt, and what describes the tools."""
    count = engine.count_prompt_tokens(prompt)
    if tools and not isinstance(prompt, str):
        calls = notation_of(engine.get_engine_info()).calls
        count += engine.count_tokens(instructions(tools, calls))
    return count


def _is_surely_short(
    prompts: Prompts, messages: Sequence[ChatMessage], tools: Sequence[Json], room: int
) -> bool:
    """Whether the texts fit however they are cut into tokens: none has fewer bytes than one."""
    texts = [prompts.system_prompt, prompts.reasoning_prompt]
    texts += [message["content"] + prompts.chat_format for message in messages]
    size = sum(len(text.encode("utf-8", "replace")) + TEMPLATE_ROOM for text in texts)
    return not tools and size <= room


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


def _context_tokens(engine: BaseModelEngine) -> int:
    """Return the engine's context, 0 when it does not say."""
    return int(engine.get_engine_info().get("context_length") or 0)
