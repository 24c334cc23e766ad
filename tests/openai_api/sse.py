"""Server-sent events read as OpenAI's clients read them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

Chunk = dict[str, Any]

PREFIX = "data: "
COMMENT = ":"
DONE = "[DONE]"


class InterruptedStreamError(AssertionError):
    """A stream that broke off or carried an error."""


def chunks_of(lines: Iterable[str]) -> Iterator[Chunk]:
    """The chunks of a whole stream; InterruptedStreamError when it does not end with ``[DONE]``."""
    ended = False
    for line in lines:
        content = "" if line.startswith(COMMENT) else line.removeprefix(PREFIX)
        if content == DONE:
            ended = True
        elif content:
            yield _chunk(content)
    if not ended:
        raise InterruptedStreamError("The stream broke off.")


async def chunks_of_async(lines: AsyncIterator[str]) -> AsyncIterator[Chunk]:
    """The same for an event loop."""
    ended = False
    async for line in lines:
        content = "" if line.startswith(COMMENT) else line.removeprefix(PREFIX)
        if content == DONE:
            ended = True
        elif content:
            yield _chunk(content)
    if not ended:
        raise InterruptedStreamError("The stream broke off.")


def text_of(chunks: Iterable[Chunk]) -> str:
    """The text of a chat's or a completion's chunks."""
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(
        choice["text"] if "text" in choice else choice["delta"].get("content", "")
        for choice in choices
    )


def _chunk(content: str) -> Chunk:
    chunk: Chunk = json.loads(content)
    if "error" in chunk:
        raise InterruptedStreamError(chunk["error"]["message"])
    return chunk
