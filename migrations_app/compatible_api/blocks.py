"""An answer in blocks: runs of reasoning and of text, and calls, as newer protocols show it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import (
    AnswerPart,
    EndEvent,
    Event,
    ReasoningEvent,
    StateEvent,
    ToolCallEvent,
)
from migrations_app.serving.streams.gathered import GatheredAnswer

BlockKind = Literal["reasoning", "text", "call"]


@dataclass(slots=True)
class Block:
    """One block, and what it holds so far: a text, or a call with its arguments as text."""

    number: int
    kind: BlockKind
    text: str = ""
    call_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class BlockOpened:
    """A block begins; it is still empty."""

    block: Block


@dataclass(frozen=True, slots=True)
class BlockGrew:
    """A piece was added to a block."""

    block: Block
    piece: str


@dataclass(frozen=True, slots=True)
class BlockClosed:
    """A block is complete."""

    block: Block


BlockEvent = BlockOpened | BlockGrew | BlockClosed


async def in_blocks(
    events: AsyncIterator[Event],
) -> AsyncIterator[BlockEvent | StateEvent | EndEvent]:
    """Yield how blocks open, grow and close, one after the other, and then the end.

    What only says that the answer lives passes as it is.
    """
    current: Block | None = None
    count = 0
    async for event in events:
        if isinstance(event, AnswerPart):
            kind = _kind(event)
            if current is None or kind == "call" or current.kind != kind:
                if current is not None:
                    yield BlockClosed(current)
                current = _opened(count, event)
                count += 1
                yield BlockOpened(current)
            piece = event.arguments if isinstance(event, ToolCallEvent) else event.text
            current.text += piece
            yield BlockGrew(current, piece)
        elif isinstance(event, StateEvent):
            yield event
        elif isinstance(event, EndEvent):
            if current is not None:
                yield BlockClosed(current)
            yield event


def blocks_of(answer: GatheredAnswer) -> Iterator[Block]:
    """Yield the blocks of an answer that was gathered."""
    found: list[Block] = []
    if answer.reasoning:
        found.append(Block(0, "reasoning", answer.reasoning))
    if answer.text:
        found.append(Block(len(found), "text", answer.text))
    yield from found
    for number, call in enumerate(answer.calls, len(found)):
        yield Block(number, "call", call.arguments, call.id, call.name)


def arguments_of(text: str) -> Json:
    """Return a call's arguments as an object; what is none is kept as the text that the model wrote."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = text
    return given if isinstance(given, dict) else {"arguments": text}


def _opened(number: int, event: AnswerPart) -> Block:
    if isinstance(event, ToolCallEvent):
        return Block(number, "call", call_id=event.id, name=event.name)
    return Block(number, _kind(event))


def _kind(event: AnswerPart) -> BlockKind:
    if isinstance(event, ToolCallEvent):
        return "call"
    return "reasoning" if isinstance(event, ReasoningEvent) else "text"
