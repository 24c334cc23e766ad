"""What makes rows of numbers usable vectors, the same for every runtime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EMPTY = "The text is empty; there is nothing to embed."
NO_TOKENS = "The model's tokenizer finds nothing in this text."
NO_NUMBERS = "The model gives no usable vector for this text (not a number, or all zeros)."


def usable_row(row: NDArray[np.float32], *, normalise: bool) -> NDArray[np.float32] | None:
    """The vector, of length 1 when ``normalise``; None when it has no direction."""
    length = float(np.linalg.norm(row))
    if not np.isfinite(length) or length == 0.0:
        return None
    return (row / length).astype(np.float32) if normalise else row
