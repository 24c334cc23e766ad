"""Which of llama-server's slots, and how much of the context that they share, each answer has."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engines.exceptions import EngineError

POLL_SECONDS = 0.1


@dataclass(slots=True)
class Slot:
    """One of the server's places; what it computed last stays in it."""

    number: int
    owner: str = ""
    """Whose prompt is in it; nobody else's request may find out by how fast it is answered."""
    is_free: bool = True
    released: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A slot for one answer."""

    number: int
    may_reuse: bool
    """Whether what is in it was computed for the same owner."""


class Slots:
    """Gives answers their places, in the order in which they ask; thread-safe.

    llama-server fails all answers at once when its context is full, so no more is given out than there is.
    """

    def __init__(self, count: int, tokens: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._tokens = tokens
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def take(
        self, owner: str, tokens: int, seconds: float, cancelled: threading.Event | None = None
    ) -> Iterator[Place | None]:
        """Lend a place with room for so many tokens; None when ``cancelled`` is set first.

        EngineError when none is free after ``seconds``.
        """
        slot = self._wait(owner, tokens, seconds, cancelled)
        if slot is None:
            yield None
            return
        place = Place(slot.number, may_reuse=bool(owner) and slot.owner == owner)
        slot.owner = owner
        try:
            yield place
        finally:
            with self._changed:
                slot.is_free, slot.released = True, time.monotonic()
                self._tokens += tokens
                self._changed.notify_all()

    def wait_idle(self, seconds: float) -> None:
        """Return when no place is taken, or after ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: all(slot.is_free for slot in self._slots), seconds)

    def forget_owners(self) -> None:
        """Reuse nothing that is in the slots now."""
        with self._changed:
            for slot in self._slots:
                slot.owner = ""

    def _wait(
        self, owner: str, tokens: int, seconds: float, cancelled: threading.Event | None
    ) -> Slot | None:
        deadline, turn = time.monotonic() + seconds, object()
        with self._changed:
            self._waiting.append(turn)
            try:
                while cancelled is None or not cancelled.is_set():
                    slot = self._best(owner)
                    if self._waiting[0] is turn and slot and tokens <= self._tokens:
                        slot.is_free = False
                        self._tokens -= tokens
                        return slot
                    if time.monotonic() > deadline:
                        raise EngineError(
                            f"The engine has been busy with other requests for {seconds:.0f} s; try again "
                            "later."
                        )
                    self._changed.wait(POLL_SECONDS if cancelled else deadline - time.monotonic())
                return None
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()

    def _best(self, owner: str) -> Slot | None:
        """The free slot with this owner's prompt, else the one that was used longest ago."""
        free = [slot for slot in self._slots if slot.is_free]
        own = [slot for slot in free if owner and slot.owner == owner]
        return min(own or free, key=lambda slot: slot.released, default=None)
