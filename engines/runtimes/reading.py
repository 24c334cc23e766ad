"""What an embedder reads of a text: its tokens, which of them it does not know, and texts longer than it reads.

A text that is longer is read in windows, each with the tokens that open and close a text, and its vector is the
mean of theirs: nothing of it is left out, and nothing about shorter texts changes.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engines.runtimes.vector_rules import to_usable_vector

MAX_WINDOWS = 64
"""Of one text; what is behind them is cut. A text that long is no passage, and must not hold up the others."""


class TokenReading(Struct, frozen=True, array_like=True):
    """What a tokenizer makes of one text as a document."""

    tokens: int
    """All that are computed in one go, the prefix and those that open and close a text included."""
    unknown: int
    """Of them, those that stand for something that is not in the vocabulary."""
    beyond: int
    """How many more there are than the model reads at once."""
    framing: int
    """Of them, those that open and close a text, and its prefix."""
    digest: str
    """Of all tokens: texts with the same one have the same vector, whatever they say."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The tokens around each text: those that open it with its prefix, and those that close it."""

    opening: Sequence[int]
    closing: Sequence[int]

    def read(self, tokens: Sequence[int], unknown: Collection[int], limit: int) -> TokenReading:
        """Return what there is to say of a framed text's tokens."""
        digest = hashlib.blake2b(np.array(tokens, np.int64).tobytes(), digest_size=8)
        return TokenReading(
            tokens=len(tokens),
            unknown=sum(token in unknown for token in tokens),
            beyond=max(len(tokens) - limit, 0),
            framing=len(self.opening) + len(self.closing),
            digest=digest.hexdigest(),
        )

    def split(self, tokens: Sequence[int], limit: int) -> list[list[int]]:
        """Return a framed text's tokens in windows of at most ``limit``, all about as long as each other.

        Where the frame leaves no room, the beginning alone.
        """
        if len(tokens) <= limit:
            return [list(tokens)]
        opening, closing = self._around(tokens)
        body = tokens[len(opening) : len(tokens) - len(closing)]
        room = limit - len(opening) - len(closing)
        if room < 1:
            return [list(tokens[:limit])]
        body = body[: room * MAX_WINDOWS]
        count = -(-len(body) // room)
        edges = [len(body) * number // count for number in range(count + 1)]
        return [
            [*opening, *body[first:last], *closing] for first, last in itertools.pairwise(edges)
        ]

    def _around(self, tokens: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Return the frame where the text has it: a prefix may have grown into the first word."""
        opening, closing = list(self.opening), list(self.closing)
        while opening and list(tokens[: len(opening)]) != opening:
            opening.pop()
        if closing and list(tokens[-len(closing) :]) != closing:
            closing = []
        return opening, closing


def frame_of(empty: Sequence[int], prefix: Sequence[int], ending: Collection[int]) -> Frame:
    """Return the frame of a tokenizer, from what it makes of nothing and of the prefix alone."""
    closing = [token for token in empty if token in ending][-1:]
    opening = list(prefix or empty)
    return Frame(opening[: len(opening) - len(closing)], closing)


def join_windows(
    parts: Sequence[tuple[NDArray[np.float32] | None, int]], *, normalise: bool
) -> NDArray[np.float32] | None:
    """Return the vector of a text from those of its windows and how many tokens each has.

    None where one of them has none.
    """
    rows = [row for row, _ in parts if row is not None]
    if len(rows) < len(parts):
        return None
    if len(rows) == 1:
        return rows[0]
    mean = np.average(np.stack(rows), axis=0, weights=[size for _, size in parts])
    return to_usable_vector(mean.astype(np.float32), normalise=normalise)
