"""What layers with a window or a state remember of a sequence, kept aside to go on from there.

Such a layer forgets while it reads, so its memory cannot be cut back as a cache that holds every token can. A
copy of it, taken on the way, brings it back to where it was; caches of whole contexts beside it are cut
(docs/decisions/models-that-forget-go-on-from-checkpoints.md).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.fit.memory import CHECKPOINT_BYTES, CHECKPOINTS
from engines.runtimes.llama_cpp.native import NativeContext


class Place(NamedTuple):
    """Where a checkpoint was taken."""

    sequence: int
    length: int
    """Tokens of the sequence that had been read."""


class Checkpoints:
    """Of all sequences of one context; the least recently used goes first, so that neither their number
    nor their bytes exceed what is counted for them.
    """

    def __init__(
        self, context: NativeContext, most: int = CHECKPOINTS, most_bytes: int = CHECKPOINT_BYTES
    ) -> None:
        self._context = context
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Place, NDArray[np.uint8]] = OrderedDict()
        """Least recently used first."""

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(state.nbytes for state in self._kept.values())

    def save(self, sequence: int, length: int) -> None:
        """Keep what is remembered of a sequence of which ``length`` tokens are read."""
        size = self._context.state_size(sequence)
        if not 0 < size <= self._most_bytes:
            return
        # Before the copy is made, so that there is never more than was counted.
        while self._kept and (len(self._kept) >= self._most or self.size + size > self._most_bytes):
            self._kept.popitem(last=False)
        state = self._context.state(sequence, size)
        if state is not None:
            self._kept[Place(sequence, length)] = state

    def longest(self, sequence: int, most: int) -> int:
        """Tokens at the last checkpoint of a sequence that is not behind ``most``; 0 without one."""
        lengths = (place.length for place in self._kept if place.sequence == sequence)
        return max((length for length in lengths if length <= most), default=0)

    def restore(self, sequence: int, length: int) -> bool:
        """Bring a sequence back to its checkpoint of this length; False where that failed.

        The checkpoints behind it are dropped: what follows is another text.
        """
        place = Place(sequence, length)
        state = self._kept[place]
        self._kept.move_to_end(place)
        for other in [each for each in self._kept if each.sequence == sequence]:
            if other.length > length:
                del self._kept[other]
        # The state first: a sequence that is further on than a state cannot be cut there.
        return self._context.set_state(sequence, state) and self._context.forget(sequence, length)

    def drop(self, sequence: int) -> None:
        """Forget the checkpoints of one sequence."""
        for place in [each for each in self._kept if each.sequence == sequence]:
            del self._kept[place]
