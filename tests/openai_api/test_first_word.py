"""How long a stream's headers wait for its first word, and what is told when that takes longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import ParamSpec

import pytest

from engines.exceptions import InvalidRequestError, SamError
from engines.services.answers.messages import BeginEvent, EndEvent, Event, StateEvent, TextEvent
from migrations_app.openai_api import first_word
from migrations_app.openai_api.first_word import FirstWord, paced
from migrations_app.openai_api.responses import Opening

Given = ParamSpec("Given")

LONG = 60.0
BEGIN = BeginEvent(engine_id="tiny", revision_id=3)
WORD = TextEvent("Once")
END = EndEvent(finish_reason="stop", prompt_tokens=1, completion_tokens=1)


def in_a_loop(test: Callable[Given, Awaitable[None]]) -> Callable[Given, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> None:
        async def awaited() -> None:
            await test(*args, **kwargs)

        asyncio.run(awaited())

    return run


class Answer:
    """An answer whose first word comes when it is let."""

    def __init__(self, error: SamError | None = None) -> None:
        self.may_begin = asyncio.Event()
        self.is_over = False
        self._error = error

    async def events(self) -> AsyncGenerator[Event]:
        try:
            yield StateEvent()
            yield BEGIN
            await self.may_begin.wait()
            if self._error is not None:
                raise self._error
            yield WORD
            yield END
        finally:
            self.is_over = True


@in_a_loop
async def test_a_word_that_comes_at_once_leaves_its_errors_a_status() -> None:
    answer, opening = Answer(InvalidRequestError("Too long.")), Opening()
    answer.may_begin.set()

    with pytest.raises(InvalidRequestError, match="Too long"):
        await FirstWord(answer.events(), opening).wait(LONG)

    assert opening.engine_id == "tiny"


@pytest.mark.parametrize("error", [None, InvalidRequestError("Too long.")])
@in_a_loop
async def test_a_word_that_comes_late_is_waited_for_in_the_stream(
    monkeypatch: pytest.MonkeyPatch, error: SamError | None
) -> None:
    monkeypatch.setattr(first_word, "STATE_SECONDS", 0.01)
    answer = Answer(error)
    first = FirstWord(answer.events(), Opening())
    await first.wait(0.01)
    told: list[Event] = []

    async def read() -> None:
        async for event in first.and_rest():
            told.append(event)
            if len(told) == 3:
                answer.may_begin.set()

    if error is None:
        await read()
        assert told[-2:] == [WORD, END]
    else:
        with pytest.raises(InvalidRequestError):
            await read()
    assert told[:3] == [StateEvent()] * 3
    assert answer.is_over


@in_a_loop
async def test_an_answer_whose_client_leaves_before_its_first_word_is_ended() -> None:
    answer = Answer()
    first = FirstWord(answer.events(), Opening())
    await first.wait(0.01)

    await asyncio.to_thread(first.give_up)

    while not answer.is_over:
        await asyncio.sleep(0.01)


@in_a_loop
async def test_a_request_that_is_cancelled_while_it_waits_ends_its_answer() -> None:
    answer = Answer()
    waiting = asyncio.create_task(FirstWord(answer.events(), Opening()).wait(LONG))
    await asyncio.sleep(0.01)

    waiting.cancel()

    while not answer.is_over:
        await asyncio.sleep(0.01)
    assert waiting.cancelled()


@in_a_loop
async def test_what_shows_that_a_stream_lives_is_told_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def played(pause: float) -> AsyncIterator[Event]:
        for _ in range(4):
            yield StateEvent()
            await asyncio.sleep(pause)
        yield WORD
        yield StateEvent()

    async def told(pause: float) -> list[Event]:
        return [event async for event in paced(played(pause))]

    assert await told(0) == [StateEvent(), WORD]
    monkeypatch.setattr(first_word, "BEAT_SECONDS", 0.01)
    assert (await told(0.03))[:5] == [*[StateEvent()] * 4, WORD]
