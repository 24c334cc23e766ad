"""What engines say as events: with their reasoning, or word for word from a plain engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User

from engines.models import TokenUsage
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.streaming import StreamingEngine
from engines.runtimes.text.generation import Generation, Piece
from engines.services.answers.events import Recipient, answer_events
from engines.services.answers.messages import EndEvent, ReasoningEvent, TextEvent
from engines.services.people.usage import RecentUse, add_usage, recent_use

MESSAGES: list[ChatMessage] = [{"role": "user", "content": "Hi"}]


class Thinker(StreamingEngine):
    """Thinks one word and says two."""

    def load_model(self) -> bool:
        return True

    def unload_model(self) -> bool:
        return True

    def embed(self, text: str) -> list[float]:
        return [float(len(text))]

    def stream_pieces(
        self, prompt: str | Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[Piece, None, Generation]:
        yield Piece("Hm.", is_reasoning=True)
        yield Piece("Good ")
        yield Piece("day.")
        return Generation("Good day.", (1, 2, 3), 7, "stop", "Hm.")


class Parrot(BaseModelEngine):
    """A plain engine that knows no more than the abstract methods."""

    def load_model(self) -> bool:
        return True

    def unload_model(self) -> bool:
        return True

    def embed(self, text: str) -> list[float]:
        return [float(len(text))]

    def generate(self, prompt: str, **kwargs: Any) -> str:
        return prompt.upper()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create(username="ada")


def counted() -> tuple[int, int]:
    usage = TokenUsage.objects.get()
    return usage.tokens_in, usage.tokens_out


def test_reasoning_and_answer_are_told_apart_and_counted_together(user: User) -> None:
    events = list(answer_events(Thinker("t", "t", "t"), MESSAGES, {}, Recipient(user.pk)))

    assert events == [
        ReasoningEvent("Hm."),
        TextEvent("Good "),
        TextEvent("day."),
        EndEvent(finish_reason="stop", prompt_tokens=7, completion_tokens=3, reused_tokens=0),
    ]
    assert counted() == (7, 3)


def test_an_answer_that_is_left_is_counted_as_far_as_it_came(user: User) -> None:
    events = answer_events(Thinker("t", "t", "t"), "Hi there", {}, Recipient(user.pk))
    next(events)
    next(events)
    events.close()

    engine = Thinker("t", "t", "t")
    assert counted() == (engine.count_tokens("Hi there"), engine.count_tokens("Hm.Good "))


def test_a_plain_engine_gets_the_messages_as_a_prompt(user: User) -> None:
    engine = Parrot("p", "p", "p")
    prompt = engine.format_prompt(MESSAGES)

    text, end = list(answer_events(engine, MESSAGES, {}, Recipient(user.pk)))

    assert text == TextEvent(prompt.upper())
    assert isinstance(end, EndEvent)
    assert end.prompt_tokens == engine.count_tokens(prompt)
    assert counted() == (end.prompt_tokens, end.completion_tokens)


def test_what_a_request_asked_for_is_counted_and_nothing_of_what_was_written(user: User) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    engine = Thinker("t", "t", "t")

    for options in ({}, {"tools": [tool]}, {"tools": [tool], "tool_choice": "none"}):
        list(answer_events(engine, MESSAGES, options, Recipient(user.pk)))
    list(answer_events(engine, MESSAGES, {"response_format": schema}, Recipient(user.pk)))
    add_usage(user.pk, 5000, 0)

    usage = TokenUsage.objects.get()
    assert (usage.requests, usage.with_tools, usage.with_schema) == (5, 1, 1)
    assert usage.longest_request == 10, "embedded texts fill no context"
    assert recent_use(user) == RecentUse(30, 1, 1, 10)
    assert recent_use(User(pk=user.pk + 1)) == RecentUse(30, 0, 0, 0)
