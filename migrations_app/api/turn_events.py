"""An answer in a conversation as server-sent events.

===========  ===================================================================================
event        data
===========  ===================================================================================
message      ``{"message": …}``: what was said is kept (for a regeneration: what is answered again)
waiting      ``Waiting``: the engine is not ready yet; every few seconds
engine       ``Answering``: who answers, for whom, and whom it follows when that was another one
left_out     ``LeftOut``: the engine's context has no room for the oldest messages
citations    ``{"citations": […], "words_only": "…"}``: the passages the engine was given, with their text, and why
             they were found by words alone, if they were
reasoning    ``Text``: a part of what the model thinks before it answers
delta        ``Text``: a part of the answer
usage        ``Usage``: counted tokens
done         ``Done``: the answer is kept; nothing follows
error        ``Failed``: it broke off, with what of it is kept; nothing follows
===========  ===================================================================================

While nothing is told a comment comes every second or so. Who closes the connection stops the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from engines.exceptions import SamError
from engines.services.answers.messages import (
    BeginEvent,
    Citation,
    CitationsEvent,
    EndEvent,
    Event,
    FallbackCause,
    FittedEvent,
    ReasoningEvent,
    StateEvent,
    TextEvent,
)
from migrations_app.conversations import Turn
from migrations_app.serving.streams.sse import BEAT, named_event

Shown = dict[str, Any]
"""A message as ``MessageSerializer`` shows it."""

WAITING_SECONDS = 3.0
"""Between two events that say that the engine is waited for."""
LOADING = "The engine is being loaded; your question is answered as soon as it is ready."


class MessageKept(Struct, frozen=True):
    """What was said."""

    message: Shown


class Waiting(Struct, frozen=True):
    """Why nothing comes yet, and for how many seconds."""

    reason: str
    seconds: int


class Answering(Struct, frozen=True, kw_only=True):
    """Who answers; ``switched_from`` wrote the answer before, when that was another engine."""

    engine: str
    fallback_for: FallbackCause | None
    switched_from: str | None


class LeftOut(Struct, frozen=True):
    """How many of the oldest messages are not read."""

    messages: int


class Citations(Struct, frozen=True):
    """The passages the engine was given, and why they were found by words alone; mostly empty."""

    citations: list[Citation]
    words_only: str


class Text(Struct, frozen=True):
    """A part of a text."""

    text: str


class Usage(Struct, frozen=True, kw_only=True):
    """Counted tokens; ``cached_tokens`` of the prompt were computed for an earlier answer."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Done(Struct, frozen=True, kw_only=True):
    """The answer as it is kept."""

    message: Shown
    finish_reason: str


class Failed(Struct, frozen=True, kw_only=True):
    """What went wrong, in a sentence; ``message`` is the part that is kept, if any was written."""

    code: str
    detail: str
    transient: bool
    """Whether asking again (regenerate) may help."""
    message: Shown | None


class TurnWriter:
    """Writes one turn's events; ``clock`` tells seconds."""

    def __init__(self, turn: Turn, clock: Callable[[], float]) -> None:
        self._turn = turn
        self._clock = clock
        self._begun_at = clock()
        self._waiting_at = 0.0
        self._is_ready = False

    def write(self, event: Event) -> Iterator[bytes]:
        """Yield what an event is written as."""
        if isinstance(event, StateEvent):
            yield self._waiting()
        elif isinstance(event, BeginEvent):
            self._is_ready = True
            yield named_event("engine", self._answering(event))
        elif isinstance(event, FittedEvent):
            yield named_event("left_out", LeftOut(event.left_out))
        elif isinstance(event, CitationsEvent):
            yield named_event("citations", Citations(event.citations, event.words_only))
        elif isinstance(event, ReasoningEvent):
            yield named_event("reasoning", Text(event.text))
        elif isinstance(event, TextEvent):
            yield named_event("delta", Text(event.text))
        elif isinstance(event, EndEvent):
            yield named_event("usage", _usage(event))

    def _waiting(self) -> bytes:
        now = self._clock()
        if self._is_ready or now - self._waiting_at < WAITING_SECONDS:
            return BEAT
        self._waiting_at = now
        return named_event("waiting", Waiting(LOADING, int(now - self._begun_at)))

    def _answering(self, event: BeginEvent) -> Answering:
        return Answering(
            engine=event.engine_id,
            fallback_for=event.fallback_for,
            switched_from=self._turn.switched_from,
        )


def write_message(message: Shown) -> bytes:
    """Return the event that opens a turn."""
    return named_event("message", MessageKept(message))


def write_done(message: Shown) -> bytes:
    """Return the event that ends a turn whose answer is kept."""
    return named_event("done", Done(message=message, finish_reason=message["finish_reason"]))


def write_failed(error: SamError, message: Shown | None) -> bytes:
    """Return the event that ends a turn that broke off."""
    failed = Failed(code=error.code, detail=str(error), transient=error.transient, message=message)
    return named_event("error", failed)


def _usage(event: EndEvent) -> Usage:
    return Usage(
        prompt_tokens=event.prompt_tokens,
        completion_tokens=event.completion_tokens,
        cached_tokens=event.reused_tokens,
    )
