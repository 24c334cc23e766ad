"""Which long work of this process goes on at once: never so much that no thread is left for what is short.

A step of a plan with ten texts takes a second, once it has a thread. So one thread is kept free of work that
takes long, and what finds no place goes back untouched: its message is used up, so it is remembered here and
called by another when its turn comes, people one after the other. A place says when work begins, never whose
it is: that is the claim's, under its fence. What this process forgets with its end, the sweeper finds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engines.exceptions import SamError
from engines.fair_queue import FairQueue

logger = logging.getLogger(__name__)

PROMISE_SECONDS = 10.0
"""So long a place is kept for work that was called; its message takes milliseconds, or was lost."""
STEP = "step"
WAITS = "Waits its turn: other work that takes long goes on here."


@dataclass(frozen=True, slots=True)
class LongWork:
    """Work that takes long: what it is, whose, and how it is called again."""

    kind: str
    key: int | str
    person: int | None
    call: Callable[[], object] = field(compare=False)


class LongPlaces:
    """The places for long work; without ``limit`` as many as are asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._most: int | None = None
        self._held: list[LongWork] = []
        self._promised: dict[LongWork, float] = {}
        self._waiting: FairQueue[int | None, LongWork] = FairQueue()

    def limit(self, threads: int) -> None:
        """Keep one of the threads free from now on; who has a single one cannot."""
        with self._lock:
            self._most = max(threads - 1, 1)

    @contextmanager
    def hold(self, work: LongWork) -> Iterator[bool]:
        """Give work a place for the length of the block; False when it has to wait until it is called."""
        with self._lock:
            mine = self._take(work)
            called = self._hand_out()
        self._call(called)
        try:
            yield mine
        finally:
            if mine:
                self._leave(work)

    @property
    def is_waited_for(self) -> bool:
        """Whether long work waits for a place."""
        with self._lock:
            return bool(self._waiting)

    def known_steps(self) -> frozenset[int]:
        """Return the steps that wait here for a place, or are on their way to one."""
        with self._lock:
            waiting = [*self._waiting, *self._promised]
        return frozenset(int(work.key) for work in waiting if work.kind == STEP)

    def _take(self, work: LongWork) -> bool:
        kept_until = self._promised.pop(work, None)
        is_called = kept_until is not None and kept_until >= self._clock()
        if is_called or (self._has_room() and not self._waiting):
            self._held.append(work)
            return True
        # Also when it is being done now: who puts it back has called it before leaving its place.
        if work not in self._waiting:
            self._waiting.append(work.person, work)
        return False

    def _leave(self, work: LongWork) -> None:
        with self._lock:
            self._held.remove(work)
            called = self._hand_out()
        self._call(called)

    def _has_room(self) -> bool:
        now = self._clock()
        self._promised = {work: until for work, until in self._promised.items() if until >= now}
        return self._most is None or len(self._held) + len(self._promised) < self._most

    def _hand_out(self) -> list[LongWork]:
        called = []
        while self._has_room() and (work := self._waiting.first()) is not None:
            self._waiting.take(work.person, work)
            self._promised[work] = self._clock() + PROMISE_SECONDS
            called.append(work)
        return called

    def _call(self, works: list[LongWork]) -> None:
        # Without the lock: a call asks the database and Redis.
        for work in works:
            try:
                work.call()
            except SamError as error:
                logger.warning("%s %s is called by the sweeper: %s", work.kind, work.key, error)


long_places = LongPlaces()
"""Those of this process."""
