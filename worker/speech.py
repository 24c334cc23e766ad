"""An engine's answer as events, counted for the person whatever becomes of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.generation import Generation, Piece
from engines.runtimes.streaming import StreamingEngine
from engines.services.usage import usage_add
from migrations_app.token_stream import Event

Prompt = str | list[ChatMessage]
Pieces = Generator[Piece, None, Generation | None]


def speak(
    engine: BaseModelEngine, prompt: Prompt, options: dict[str, Any], user_id: int
) -> Generator[Event]:
    """Yield reasoning and text as they come, then the end; also an answer that is left is counted."""
    said: list[str] = []
    try:
        with closing(_pieces(engine, prompt, options)) as pieces:
            generation = yield from _as_events(pieces, said)
    except GeneratorExit:
        usage_add(user_id, *_estimate(engine, prompt, said))
        raise
    if generation is None:
        counts, reason = _estimate(engine, prompt, said), "stop"
    else:
        counts = (generation.prompt_tokens, generation.completion_tokens)
        reason = generation.finish_reason
    usage_add(user_id, *counts)
    yield {
        "type": "end",
        "finish_reason": reason,
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
    }


def _pieces(engine: BaseModelEngine, prompt: Prompt, options: dict[str, Any]) -> Pieces:
    """Yield the engine's pieces; a runtime that tells how it ended has that as its value."""
    if isinstance(engine, StreamingEngine):
        return (yield from engine.stream_pieces(prompt, **options))
    for text in engine.stream(_as_text(engine, prompt), **options):
        yield Piece(text)
    return None


def _as_events(pieces: Pieces, said: list[str]) -> Generator[Event, None, Generation | None]:
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            generation: Generation | None = end.value
            return generation
        said.append(piece.text)
        yield {"type": "reasoning" if piece.is_reasoning else "text", "text": piece.text}


def _estimate(engine: BaseModelEngine, prompt: Prompt, said: list[str]) -> tuple[int, int]:
    """Count tokens where nobody told them: within one or two of what the engine computed."""
    return engine.count_tokens(_as_text(engine, prompt)), engine.count_tokens("".join(said))


def _as_text(engine: BaseModelEngine, prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else engine.format_prompt(prompt)
