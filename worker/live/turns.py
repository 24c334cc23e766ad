"""Whose request a live worker answers next: people take turns, and neither a person nor an engine takes
all places (docs/decisions/people-are-served-in-turn.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from engines.fair_queue import FairQueue
from worker.process.shutdown import is_draining

PLACES = 32
"""Requests at work together, whoever asks."""
FOR_NEWCOMERS = 8
"""Places beyond those, for people who have none here."""
FOR_IDLE_ENGINES = 8
"""Places beyond those, for requests to an engine that works for nobody."""
MOST_WAITING = 32
"""Requests of one person that wait here; the callers of more than that call again later."""
LOOK_SECONDS = 1.0

HOUSE = 0
"""Who asks when no person does, as a plan that warms an engine."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose a request is, and the engine it is for as hosts are chosen by it; empty when not known."""

    person: int = HOUSE
    engine: str = ""


@dataclass(eq=False, slots=True)
class _Turn:
    request_id: str
    asker: Asker
    has_come: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Hands out the places of one process; each thread waits for its own request's turn."""

    def __init__(self, engines_in_use: Callable[[], Collection[str]]) -> None:
        self._engines_in_use = engines_in_use
        self._lock = threading.Lock()
        self._held: dict[str, Asker] = {}
        self._waiting: FairQueue[int, _Turn] = FairQueue()

    def wait(self, request_id: str, read: Callable[[], Asker]) -> bool:
        """Wait for a place, which ``leave`` gives back; False when the request must not be taken.

        That is when this process has it already, its person has too many waiting or the process ends.
        ``read`` tells whose it is, and is only called when that matters; what it raises ends the wait.
        """
        with self._lock:
            if self._knows(request_id):
                return False
            if not self._waiting and len(self._held) < PLACES:
                self._held[request_id] = Asker()
                return True
        turn = _Turn(request_id, read())
        with self._lock:
            is_full = self._waiting.count(turn.asker.person) >= MOST_WAITING
            if is_full or self._knows(request_id):
                return False
            self._waiting.append(turn.asker.person, turn)
            self._hand_out()
        while not turn.has_come.wait(LOOK_SECONDS):
            if is_draining() and self._gave_up(turn):
                return False
        return True

    def tell(self, request_id: str, person: int) -> None:
        """Say whose a request is that has a place."""
        with self._lock:
            self._held[request_id] = Asker(person, self._held[request_id].engine)

    def leave(self, request_id: str) -> None:
        """Give a place back."""
        with self._lock:
            del self._held[request_id]
            self._hand_out()

    def _knows(self, request_id: str) -> bool:
        # A caller that hears nothing wakes this process again.
        return request_id in self._held or any(
            turn.request_id == request_id for turn in self._waiting
        )

    def _gave_up(self, turn: _Turn) -> bool:
        with self._lock:
            if turn.has_come.is_set():
                return False
            self._waiting.remove(turn.asker.person, turn)
            return True

    def _hand_out(self) -> None:
        while (turn := self._waiting.first(self._may_go)) is not None:
            self._waiting.take(turn.asker.person, turn)
            self._held[turn.request_id] = turn.asker
            turn.has_come.set()

    def _may_go(self, turn: _Turn) -> bool:
        used = len(self._held)
        if used < PLACES:
            return True
        if used < PLACES + FOR_NEWCOMERS:
            return all(asker.person != turn.asker.person for asker in self._held.values())
        if used < PLACES + FOR_NEWCOMERS + FOR_IDLE_ENGINES and turn.asker.engine:
            busy = {asker.engine for asker in self._held.values()} | {*self._engines_in_use()}
            return turn.asker.engine not in busy
        return False
