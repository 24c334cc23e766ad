"""Who embeds next in an engine's process: one at a time, and few texts between the packs of many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

FEW_TEXTS = 16
"""So many texts at most wait for no more than the packs that are being computed."""

Work = Callable[[], object]


class Turns:
    """One thread that embeds; a request of many texts gives way to those of few while it goes on.

    Nobody waits for a whole range of somebody else's texts because of a question, or of ten passages.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._few: deque[Work] = deque()
        self._many: deque[Work] = deque()
        self._gives_way = False
        threading.Thread(target=self._run, name="embed", daemon=True).start()

    def submit(self, work: Work, texts: int) -> None:
        """Do ``work``, which embeds so many texts and raises nothing, when its turn comes."""
        with self._changed:
            (self._few if texts <= FEW_TEXTS else self._many).append(work)
            self._changed.notify()

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody with few texts waits; who goes first gives way to nobody."""
        return bool(self._few) and not self._gives_way

    def give_way(self) -> None:
        """Do now what waits with few texts; called by the embedding thread, with nothing being computed.

        Who comes meanwhile waits for the next time, so that the many go on as well.
        """
        self._gives_way = True
        try:
            for _ in range(len(self._few)):
                self._few.popleft()()
        finally:
            self._gives_way = False

    def _run(self) -> None:
        while True:
            self._next()()

    def _next(self) -> Work:
        with self._changed:
            self._changed.wait_for(lambda: self._few or self._many)
            return (self._few or self._many).popleft()
