"""What ``batch_invariant`` rests on for models with a window: a fresh reading has its bits, a checkpoint has not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from llama_cpp import llama_cpp as api
from numpy import ctypeslib
from numpy.typing import NDArray

from engines.runtimes.llama_cpp.batch import Part
from engines.runtimes.llama_cpp.native import ContextShape, NativeContext, load_model
from engines.runtimes.offload import Offload
from tests.runtimes.llama_cpp.forgetful_model import WINDOW, write_windowed

PIECE = 128
CHECKPOINT = 4 * PIECE
ASKED = 600
ANSWER = 10


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> NativeContext:
    """As that of a ``batch_invariant`` engine."""
    path = write_windowed(tmp_path_factory.mktemp("models") / "w.gguf")
    shape = ContextShape(context=2048, batch=PIECE, sequences=2, apart=True)
    return NativeContext(load_model(str(path), Offload()), shape)


def _text(context: NativeContext, seed: int, length: int) -> list[int]:
    size = int(api.llama_vocab_n_tokens(context.model.vocab))
    tokens: list[int] = np.random.default_rng(seed).integers(10, size, length).tolist()
    return tokens


def _read(context: NativeContext, tokens: Sequence[int], start: int, end: int, place: int) -> None:
    for at in range(start, end, PIECE):
        piece = tokens[at : min(at + PIECE, end)]
        part = Part(piece, at, place, wants_output=at + len(piece) == len(tokens))
        assert context.decode([part]) == 0


def _answer(
    context: NativeContext, tokens: Sequence[int], start: int = 0, place: int = 0
) -> NDArray[np.float32]:
    """The logits of each word of a greedy answer."""
    size = int(api.llama_vocab_n_tokens(context.model.vocab))
    _read(context, tokens, start, len(tokens), place)
    rows = []
    for number in range(ANSWER):
        pointer = api.llama_get_logits_ith(context.handle, -1)
        rows.append(ctypeslib.as_array(pointer, shape=(size,)).copy())
        part = Part([int(rows[-1].argmax())], len(tokens) + number, place, wants_output=True)
        assert context.decode([part]) == 0
    return np.stack(rows)


def test_a_window_read_from_the_start_has_the_same_bits_whatever_was_read_before(
    context: NativeContext,
) -> None:
    asked = _text(context, 1, ASKED)
    first = _answer(context, asked)
    assert context.forget(0)
    for seed, (length, place) in enumerate([(333, 0), (WINDOW - 7, 0), (911, 1), (PIECE, 0)]):
        # Left where they end, in the middle of the window's ring of cells.
        _answer(context, _text(context, seed, length), place=place)
        assert context.forget(place)

        again = _answer(context, asked)

        assert context.forget(0)
        assert np.array_equal(again, first)
    assert np.array_equal(_answer(context, asked, place=1), first)
    assert context.forget(1)


def test_a_window_from_a_checkpoint_says_the_same_but_not_to_the_bit(
    context: NativeContext,
) -> None:
    """So that such an engine reads all again, and others may go on from there."""
    asked = _text(context, 1, ASKED)
    _read(context, asked, 0, CHECKPOINT, 0)
    size = context.state_size(0)
    state = context.state(0, size)
    fresh = _answer(context, asked, CHECKPOINT)
    assert state is not None
    assert context.set_state(0, state)
    assert context.forget(0, CHECKPOINT)

    restored = _answer(context, asked, CHECKPOINT)

    assert context.forget(0)
    # Of random weights at half precision the first words are compared: they nearly tie.
    assert np.abs(restored[0] - fresh[0]).max() < 0.01 * np.abs(fresh[0]).max()
    assert not np.array_equal(restored, fresh)
