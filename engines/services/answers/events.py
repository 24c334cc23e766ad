"""An engine's answer as events, counted for the person whatever becomes of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.families import notation_of
from engines.runtimes.notation.tool_calls import ToolCallReader
from engines.runtimes.notation.tool_prompts import write_tools_as_text
from engines.runtimes.streaming import StreamingEngine, require_free_form
from engines.runtimes.text.characters import HalfJoiner, join_halves
from engines.runtimes.text.generation import FORM, Generation, GenerationOptions, Piece, ToolCall
from engines.services.answers.messages import (
    EndEvent,
    Event,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
)
from engines.services.people.usage import RequestKind, add_usage

Prompt = str | list[ChatMessage]
Pieces = Generator[Piece, None, Generation | None]

ID_DIGITS = 9
"""Mistral's templates take ids of this length only; nobody else minds."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whose answer it is; their tokens are counted."""

    user_id: int
    left: threading.Event = field(default_factory=threading.Event)
    """Set by whoever notices that nobody listens any more."""


def answer_events(
    engine: BaseModelEngine, prompt: Prompt, options: Mapping[str, Any], recipient: Recipient
) -> Generator[Event]:
    """Yield reasoning, text and calls as they come, then the end; also an answer that is left is counted."""
    asked = GenerationOptions.parse(options)
    kind = RequestKind(bool(asked.shown_tools), asked.schema is not None, fills_context=True)
    answer = AnswerSoFar(most_calls=1 if asked.parallel_tool_calls is False else None)
    try:
        with closing(_pieces(engine, prompt, options, asked, recipient)) as pieces:
            generation = yield from answer.events(pieces)
    except GeneratorExit:
        add_usage(recipient.user_id, *_estimate(engine, prompt, answer), kind)
        raise
    if generation is None or not generation.prompt_tokens:
        counts = _estimate(engine, prompt, answer)
    else:
        counts = (generation.prompt_tokens, generation.completion_tokens)
    reason = generation.finish_reason if generation else "stop"
    add_usage(recipient.user_id, *counts, kind)
    yield EndEvent(
        finish_reason="tool_calls" if answer.calls and reason == "stop" else reason,
        prompt_tokens=counts[0],
        completion_tokens=counts[1],
        reused_tokens=generation.reused_tokens if generation else 0,
    )


class AnswerSoFar:
    """What an answer consists of so far."""

    def __init__(self, most_calls: int | None) -> None:
        self.texts: list[str] = []
        self.calls = 0
        self._most_calls = most_calls

    def events(self, pieces: Pieces) -> Generator[Event, None, Generation | None]:
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                generation: Generation | None = end.value
                return generation
            if piece.tool_call is None:
                self.texts.append(piece.text)
                yield (ReasoningEvent if piece.is_reasoning else TextEvent)(piece.text)
            elif self._most_calls is None or self.calls < self._most_calls:
                yield self._call(piece.tool_call)

    def _call(self, call: ToolCall) -> ToolCallEvent:
        self.texts.append(call.name + call.arguments)
        self.calls += 1
        return ToolCallEvent(
            index=self.calls - 1,
            id=uuid.uuid4().hex[:ID_DIGITS],
            name=call.name,
            arguments=call.arguments,
        )


def _pieces(
    engine: BaseModelEngine,
    prompt: Prompt,
    options: Mapping[str, Any],
    asked: GenerationOptions,
    recipient: Recipient,
) -> Pieces:
    """Yield the engine's pieces; a runtime that tells how it ended has that as its value."""
    notation = notation_of(engine.get_engine_info())
    if isinstance(engine, StreamingEngine):
        owned = {**options, "owner": str(recipient.user_id)}
        pieces: Pieces = engine.stream_pieces(prompt, cancelled=recipient.left, **owned)
    else:
        require_free_form(asked, type(engine).__name__)
        text = _as_text(engine, prompt, asked, notation)
        others = {name: value for name, value in options.items() if name not in FORM}
        pieces = _plain(engine, text, others)
    pieces = _whole(pieces)
    if engine.reads_calls or not asked.shown_tools:
        return pieces
    functions = [tool["function"] for tool in asked.shown_tools]
    return _sorted(pieces, ToolCallReader(notation.readable, functions))


def _plain(engine: BaseModelEngine, text: str, options: Mapping[str, Any]) -> Pieces:
    for piece in engine.stream(text, **options):
        yield Piece(piece)
    return None


def _whole(pieces: Pieces) -> Pieces:
    """Yield pieces of whole characters: a server may cut one into two halves."""
    joiners = {True: HalfJoiner(), False: HalfJoiner()}
    with closing(pieces):
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                for is_reasoning, joiner in joiners.items():
                    if rest := joiner.finish():
                        yield Piece(rest, is_reasoning=is_reasoning)
                generation: Generation | None = end.value
                return generation
            call = piece.tool_call
            if call is not None:
                whole = ToolCall(join_halves(call.name), join_halves(call.arguments))
                yield replace(piece, tool_call=whole)
            elif text := joiners[piece.is_reasoning].add(piece.text):
                yield replace(piece, text=text)


def _sorted(pieces: Pieces, reader: ToolCallReader) -> Pieces:
    """Yield the pieces with the calls in the answer's text told apart."""
    with closing(pieces):
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                yield from reader.finish()
                generation: Generation | None = end.value
                return generation
            if piece.is_reasoning or piece.tool_call:
                yield piece
            else:
                yield from reader.add(piece.text)


def _estimate(engine: BaseModelEngine, prompt: Prompt, answer: AnswerSoFar) -> tuple[int, int]:
    """Count tokens where nobody told them: within one or two of what the engine computed."""
    return engine.count_prompt_tokens(prompt), engine.count_tokens("".join(answer.texts))


def _as_text(
    engine: BaseModelEngine, prompt: Prompt, asked: GenerationOptions, notation: Notation
) -> str:
    if isinstance(prompt, str):
        return prompt
    return engine.format_prompt(write_tools_as_text(prompt, asked.shown_tools, notation.calls))
