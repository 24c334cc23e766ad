"""An answer put together from its events, for whoever shows or keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

from engines.services.answers.messages import (
    BeginEvent,
    Citation,
    CitationsEvent,
    EndEvent,
    Event,
    FallbackCause,
    FittedEvent,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
)


@dataclass(slots=True)
class AnswerFacts:
    """What is known of an answer at its first word."""

    engine_id: str = ""
    revision_id: int = 0
    citations: list[Citation] | None = None
    words_only: str = ""
    fallback_for: FallbackCause | None = None
    left_out: int | None = None
    has_no_switch: bool = False
    has_no_effort: bool = False

    def learn(self, event: Event) -> None:
        """Take what an event before the first word says."""
        if isinstance(event, BeginEvent):
            self.engine_id, self.revision_id = event.engine_id, event.revision_id
            self.fallback_for, self.has_no_switch = event.fallback_for, event.has_no_switch
            self.has_no_effort = event.has_no_effort
        elif isinstance(event, CitationsEvent):
            self.citations, self.words_only = event.citations, event.words_only
        elif isinstance(event, FittedEvent):
            self.left_out = event.left_out


@dataclass(slots=True)
class GatheredAnswer:
    """What was said so far."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCallEvent] = field(default_factory=list)
    end: EndEvent | None = None

    @property
    def ended(self) -> EndEvent:
        """How it ended; as if of itself where nobody said."""
        return self.end or EndEvent(finish_reason="stop", prompt_tokens=0, completion_tokens=0)

    def take(self, event: Event) -> None:
        """Add what an event says."""
        if isinstance(event, TextEvent):
            self.text += event.text
        elif isinstance(event, ReasoningEvent):
            self.reasoning += event.text
        elif isinstance(event, ToolCallEvent):
            self.calls.append(event)
        elif isinstance(event, EndEvent):
            self.end = event
