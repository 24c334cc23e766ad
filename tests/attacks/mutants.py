"""Files changed at random in ways that break readers; one seed makes one mutant, always the same."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Change = Callable[[random.Random, bytearray], bytearray]

EXTREMES = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
MOST_CHANGES = 6
WORDS = (
    b"general.architecture",
    b"llama",
    b"tokenizer",
    b".weight",
    b".lora_a",
    b"adapter",
    b"lora",
)
"""What a reader looks for, so that changes hit more than numbers."""


def flip_bits(chance: random.Random, data: bytearray) -> bytearray:
    for _ in range(chance.randint(1, MOST_CHANGES)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def write_numbers(chance: random.Random, data: bytearray) -> bytearray:
    for _ in range(chance.randint(1, MOST_CHANGES)):
        size = chance.choice("IQ")
        number = chance.choice(EXTREMES) % (2 ** (8 * struct.calcsize(size)))
        place = chance.randrange(max(1, len(data) - 8))
        data[place : place + struct.calcsize(size)] = struct.pack(f"<{size}", number)
    return data


def count_up(chance: random.Random, data: bytearray) -> bytearray:
    """Change a byte by a little: lengths and counts that almost fit."""
    for _ in range(chance.randint(1, MOST_CHANGES)):
        place = chance.randrange(len(data))
        data[place] = (data[place] + chance.choice((-2, -1, 1, 2))) % 256
    return data


def cut(chance: random.Random, data: bytearray) -> bytearray:
    return data[: chance.randrange(len(data))]


def append(chance: random.Random, data: bytearray) -> bytearray:
    return data + chance.randbytes(chance.randint(1, 4096))


def move_a_block(chance: random.Random, data: bytearray) -> bytearray:
    size = chance.choice((1, 4, 8, 32, 256))
    one, other = (chance.randrange(max(1, len(data) - size)) for _ in range(2))
    data[one : one + size] = data[other : other + size]
    return data


def leave_out(chance: random.Random, data: bytearray) -> bytearray:
    place, size = chance.randrange(len(data)), chance.choice((1, 4, 8, 32))
    del data[place : place + size]
    return data


def replace_words(chance: random.Random, data: bytearray) -> bytearray:
    word, other = chance.choice(WORDS), chance.choice(WORDS)
    place = data.find(word)
    if place >= 0:
        data[place : place + len(word)] = other
    return flip_bits(chance, data)


CHANGES: tuple[Change, ...] = (
    flip_bits,
    write_numbers,
    count_up,
    cut,
    append,
    move_a_block,
    leave_out,
    replace_words,
)


def mutant(whole: bytes, seed: int, *, head: int = 0) -> bytes:
    """The file changed as ``seed`` says; three of four only within its first ``head`` bytes."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    change = CHANGES[seed % len(CHANGES)]
    if head and chance.random() < 0.75:
        return bytes(change(chance, bytearray(whole[:head])) + whole[head:])
    return bytes(change(chance, bytearray(whole)))
