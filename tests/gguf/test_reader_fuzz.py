from __future__ import annotations

import io
import struct
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.exceptions import UnsafeModelFileError
from engines.gguf.reader import read_header
from tests.gguf.raw import EIGHT_FLOATS, MODEL, array, counted, gguf, tensor, text

pytestmark = pytest.mark.attack

EXTREMES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]


@cache
def honest_file() -> bytes:
    tokens = b"".join(counted(token) for token in (b"a", b"b", b"ab"))
    entries = [
        *MODEL,
        text(b"tokenizer.chat_template", b"{{ messages }}"),
        array(b"tokenizer.ggml.tokens", 8, 3, tokens),
        array(b"numbers", 5, 3, struct.pack("<3i", 1, 2, 3)),
    ]
    tensors = [tensor(b"a", (4, 2)), tensor(b"b", (8,), offset=32)]
    return gguf(entries, tensors, data=EIGHT_FLOATS * 2)


def only_the_typed_refusal(data: bytes) -> None:
    with suppress(UnsafeModelFileError):
        header = read_header(io.BytesIO(data))
        assert all(
            header.data_offset + info.offset + info.byte_count <= len(data)
            for info in header.tensors
        )


def test_the_honest_file_is_read() -> None:
    header = read_header(io.BytesIO(honest_file()))

    assert [info.shape for info in header.tensors] == [(4, 2), (8,)]


@given(st.binary(max_size=512))
@example(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + counted(b"a") + struct.pack("<IIQ", 9, 8, 2**63))
def test_arbitrary_bytes_are_refused_in_words(tail: bytes) -> None:
    only_the_typed_refusal(tail)
    only_the_typed_refusal(b"GGUF\x03\x00\x00\x00" + tail)


@given(st.data())
def test_a_changed_byte_never_escapes_the_reader(data: st.DataObject) -> None:
    changed = bytearray(honest_file())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))

    only_the_typed_refusal(bytes(changed))


@given(st.integers(0, len(honest_file()) - 8), st.sampled_from(EXTREMES))
def test_an_extreme_number_anywhere_never_escapes_the_reader(place: int, number: int) -> None:
    changed = bytearray(honest_file())
    changed[place : place + 8] = struct.pack("<Q", number)

    only_the_typed_refusal(bytes(changed))


@given(st.integers(0, len(honest_file()) - 1))
def test_a_cut_is_always_refused(length: int) -> None:
    with pytest.raises(UnsafeModelFileError):
        read_header(io.BytesIO(honest_file()[:length]))


def test_a_swapped_pair_of_blocks_never_escapes_the_reader() -> None:
    order = np.random.default_rng(0)
    whole = np.frombuffer(honest_file(), np.uint8).reshape(-1, 8)
    for _ in range(200):
        only_the_typed_refusal(order.permutation(whole).tobytes())
