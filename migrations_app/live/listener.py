"""One open stream: what it was told, what waits to be told, and its bytes in order."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress

from migrations_app.live.access import Permit
from migrations_app.live.beginning import Beginning
from migrations_app.live.cursor import MAX_TOLD, Cursor
from migrations_app.live.messages import Change, End, LiveEvent, Mode, ProgressOf
from migrations_app.serving.streams.sse import BEAT, named_event, retry_after

BEAT_SECONDS = 10.0
PROGRESS_SECONDS = 0.5
MAX_WAITING = 1000
"""Events for a client that takes none; then it is let go, and comes back with its place."""
RETRY_MILLISECONDS = 2000
"""When a client connects again; after ``End`` up to twice as late, so that not all come at once."""
TOO_SLOW = End(reason="You read slower than there is to tell; connect again.", again=True)


class Listener:
    """Belongs to one event loop; the hub pushes, the answer's generator takes."""

    def __init__(self, permit: Permit, cursor: Cursor | None) -> None:
        self.permit = permit
        self.came_with = cursor
        self.sent: set[int] = set(cursor.told) if cursor else set()
        """Changes that were told, above what is settled."""
        self._waiting: deque[LiveEvent] = deque()
        self._states: dict[str, LiveEvent] = {}
        self._progress: dict[str, ProgressOf] = {}
        self._progress_at = 0.0
        self._wake = asyncio.Event()
        self.is_ended = False
        self._settled = cursor.settled if cursor else 0

    def settle(self, number: int) -> None:
        """Know that every change up to a number was pushed to whom it concerns."""
        # A process that has just begun looks far back; what the client was told before stays told.
        self._settled = max(self._settled, number)

    def begin(self, beginning: Beginning, mode: Mode) -> None:
        """Tell what was missed and what is now before anything that was pushed meanwhile."""
        pushed, self._waiting = list(self._waiting), deque()
        self.sent |= beginning.known
        self.push_state(mode)
        reset = [beginning.reset] if beginning.reset else []
        for event in (*beginning.missed, *reset, *beginning.plans):
            self.push(event)
        self._waiting.extend(pushed)

    def push(self, event: LiveEvent) -> None:
        """Tell an event in its turn; a change that was told already is left out."""
        if self.is_ended or (isinstance(event, Change) and event.id in self.sent):
            return
        if len(self._waiting) >= MAX_WAITING:
            event = TOO_SLOW
        if isinstance(event, Change):
            self.sent.add(event.id)
        self.is_ended = isinstance(event, End)
        self._waiting.append(event)
        self._wake.set()

    def push_state(self, event: LiveEvent) -> None:
        """Tell a state unless it is the one that was told last."""
        if self._states.get(event.event) != event:
            self._states[event.event] = event
            self.push(event)

    def push_progress(self, event: ProgressOf) -> None:
        """Tell how far a plan is; only the newest is told of what comes too fast."""
        if not self.is_ended:
            self._progress[event.plan] = event
            self._wake.set()

    async def stream(self) -> AsyncGenerator[bytes]:
        """Yield the events as they come, and a comment while there are none, until ``End``."""
        yield retry_after(RETRY_MILLISECONDS)
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                if isinstance(event, End):
                    yield _ending(event)
                    return
                yield named_event(event.event, event, str(self.cursor()))
            for progress in self._take_due_progress():
                yield named_event(progress.event, progress)
            if not await self._wait():
                yield BEAT

    def cursor(self) -> Cursor:
        """Return the place after what was taken last: what still waits comes after it."""
        waiting = {event.id for event in self._waiting if isinstance(event, Change)}
        settled = min([self._settled, *(number - 1 for number in waiting)])
        self.sent = {number for number in self.sent if number > settled}
        told = sorted(self.sent - waiting)
        return Cursor(settled, frozenset(told[:MAX_TOLD]))

    def _take_due_progress(self) -> list[ProgressOf]:
        now = asyncio.get_running_loop().time()
        if not self._progress or now < self._progress_at:
            return []
        due, self._progress = list(self._progress.values()), {}
        self._progress_at = now + PROGRESS_SECONDS
        return due

    async def _wait(self) -> bool:
        """Wait until there is something to tell; False when a comment is due instead."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + BEAT_SECONDS
        while not self._waiting:
            left = (self._progress_at if self._progress else beat_at) - loop.time()
            if left <= 0:
                return bool(self._progress)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()
        return True


def _ending(end: End) -> bytes:
    spread = random.randrange(RETRY_MILLISECONDS)  # noqa: S311 - of clients, not of secrets
    retry = retry_after(RETRY_MILLISECONDS + spread) if end.again else b""
    return retry + named_event(end.event, end)
