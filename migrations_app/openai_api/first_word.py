"""How an answer's stream begins: its headers wait a moment for its first word, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from engines.services.answers.messages import AnswerPart, EndEvent, Event, StateEvent
from migrations_app.openai_api.errors import INTERNAL, RefusedError
from migrations_app.openai_api.responses import Opening
from migrations_app.serving.streams.sse import BEAT_SECONDS

STATE_SECONDS = 1.0
"""Between two events that say that the first word is waited for, as hosts send them later."""


class FirstWord:
    """The first word of an answer, waited for beside whatever else its stream tells.

    What is wrong at once has a status of its own. An answer that takes longer to begin has its headers sent
    before, or proxies and clients give it up: an error is then told in the stream.
    """

    def __init__(self, events: AsyncGenerator[Event], opening: Opening) -> None:
        self._events = events
        self._opening = opening
        self._loop = asyncio.get_running_loop()
        self._waiting = asyncio.ensure_future(self._find())
        self._waiting.add_done_callback(_note_error)

    async def wait(self, seconds: float) -> None:
        """Wait for the word, no longer than so many seconds; raises what went wrong until then."""
        try:
            done, _ = await asyncio.wait({self._waiting}, timeout=seconds)
        except asyncio.CancelledError:
            self._waiting.cancel()
            raise
        if done:
            self._waiting.result()

    async def and_rest(self) -> AsyncGenerator[Event]:
        """Yield the answer from its first word on; ``state`` while it does not come."""
        while not self._waiting.done():
            yield StateEvent()
            await asyncio.wait({self._waiting}, timeout=STATE_SECONDS)
        yield self._waiting.result()
        async for event in self._events:
            yield event

    def give_up(self) -> None:
        """Stop waiting, because the client has left; for any thread."""
        # A loop that is closed has ended it with everything else.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._waiting.cancel)

    async def _find(self) -> Event:
        async for event in self._events:
            if isinstance(event, AnswerPart | EndEvent):
                return event
            self._opening.learn(event)
        raise RefusedError("The engine said nothing.", status=INTERNAL, code="internal_error")


def _note_error(waiting: asyncio.Future[Event]) -> None:
    """Take an error that nobody asks for any more, of an answer whose client has left."""
    if not waiting.cancelled():
        waiting.exception()


async def paced(events: AsyncIterator[Event]) -> AsyncGenerator[Event]:
    """Yield events, and no more of those that only say that an answer lives than it takes to show that."""
    clock = asyncio.get_running_loop().time
    told_at = float("-inf")
    async for event in events:
        now = clock()
        if not isinstance(event, StateEvent) or now - told_at >= BEAT_SECONDS:
            told_at = now
            yield event
