"""One batch of tokens as llama.cpp takes it; imported in an engine's child only."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Part:
    """What one sequence adds to a batch."""

    tokens: Sequence[int]
    start: int
    """Position of the first of them in the sequence."""
    sequence: int
    wants_output: bool = True
    """Whether the last token's output is wanted."""


class Batch:
    """Arrays for one llama_decode call, filled without a Python step per token."""

    def __init__(self, room: int) -> None:
        self._token = np.zeros(room, np.int32)
        self._position = np.zeros(room, np.int32)
        self._sequence = np.zeros(room, np.int32)
        self._count = np.ones(room, np.int32)
        self._output = np.zeros(room, np.int8)
        address = self._sequence.ctypes.data
        # seq_id is an array of pointers: each points at its own entry of the sequence array.
        self._pointers = (address + 4 * np.arange(room)).astype(np.uintp)
        self._struct = api.llama_batch(
            token=pointer_to(self._token, ctypes.c_int32),
            embd=None,
            pos=pointer_to(self._position, ctypes.c_int32),
            n_seq_id=pointer_to(self._count, ctypes.c_int32),
            seq_id=pointer_to(self._pointers, ctypes.POINTER(ctypes.c_int32)),
            logits=pointer_to(self._output, ctypes.c_int8),
        )

    def fill(self, parts: Sequence[Part], *, all_outputs: bool) -> Any:
        at = 0
        for part in parts:
            end = at + len(part.tokens)
            self._token[at:end] = part.tokens
            self._position[at:end] = np.arange(part.start, part.start + len(part.tokens))
            self._sequence[at:end] = part.sequence
            self._output[at:end] = all_outputs
            self._output[end - 1] = all_outputs or part.wants_output
            at = end
        self._struct.n_tokens = at
        return self._struct


def pointer_to(array: NDArray[Any], kind: Any) -> Any:
    """Return the address of an array's first element, typed for llama.cpp."""
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
