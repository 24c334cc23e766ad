"""A real byte-level BPE vocabulary, learned on the spot from a page of prose."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

PROSE = """
An assistant answers questions, keeps the knowledge of its people and remembers how they like to be spoken to.
When a better engine appears, the old one goes on serving until the new one has proven itself. Every passage is
read again, every vector is written beside the old ones, and nobody waits. The switch takes one moment, and it
can be taken back. Adapters that were trained for one model cannot follow to another, so they stay in the backup
with a note that says why. A host that loses its power in the middle of the work starts again where it stopped.
Rain falls on the harbour while the ships come home, and the light in the window shows them the way. The baker
opens early; bread, coffee and the morning paper are ready before the first train leaves the station. Children
count the stars from the hill, and the river carries their paper boats under the bridge into the night. In the
library the reader turns a page, finds the sentence that was missing, and writes an answer in the margin. What
was learned in the winter is planted in spring: beans, apples, onions and a row of flowers along the wall. Music
comes from the open door, slow at first, then quick and bright, and even the cat listens. Tomorrow the market
will sell oranges, honey and blue cloth; the mountain will still be there, and the road will lead over it.
"""

BYTE_COUNT = 256
WORD_START = chr(BYTE_COUNT + ord(" "))
_WORDS = re.compile(r"\s?[A-Za-z]+|\s?[^\sA-Za-z]+|\s+")
NORMAL_TOKEN = 1
CONTROL_TOKEN = 3


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in id order (bytes, merged pieces, control tokens) and the merges in rank order."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    control: tuple[str, ...]

    @property
    def types(self) -> list[int]:
        """One llama.cpp token type per token."""
        plain = len(self.tokens) - len(self.control)
        return [NORMAL_TOKEN] * plain + [CONTROL_TOKEN] * len(self.control)

    def id_of(self, token: str) -> int:
        """The id of a token that is in the vocabulary."""
        return self.tokens.index(token)

    def speakable(self) -> list[int]:
        """Ids of the learned pieces that begin a word: what a demo engine may say aloud."""
        learned = self.tokens[BYTE_COUNT : len(self.tokens) - len(self.control)]
        return [BYTE_COUNT + rank for rank, token in enumerate(learned) if token[0] == WORD_START]


def learn_vocabulary(merge_count: int, control: tuple[str, ...]) -> Vocabulary:
    """Learn at most ``merge_count`` merges from the prose; the 256 byte tokens make every text fit."""
    alphabet = _byte_alphabet()
    words = _spelled_words(alphabet)
    tokens = dict.fromkeys(alphabet)
    merges: list[str] = []
    while len(merges) < merge_count and (pair := _commonest_pair(words)):
        merges.append(" ".join(pair))
        tokens["".join(pair)] = None
        words = Counter({_merge(word, pair): count for word, count in words.items()})
    return Vocabulary((*tokens, *control), tuple(merges), control)


def _byte_alphabet() -> tuple[str, ...]:
    """The character that stands for each byte, as GPT-2's byte-level BPE writes them."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(BYTE_COUNT) if byte not in printable]
    stand_ins = {byte: chr(BYTE_COUNT + rank) for rank, byte in enumerate(hidden)}
    return tuple(stand_ins.get(byte, chr(byte)) for byte in range(BYTE_COUNT))


def _spelled_words(alphabet: tuple[str, ...]) -> Counter[tuple[str, ...]]:
    text = " ".join(PROSE.split())
    spelled = (tuple(alphabet[byte] for byte in word.encode()) for word in _WORDS.findall(text))
    return Counter(spelled)


def _commonest_pair(words: Counter[tuple[str, ...]]) -> tuple[str, str] | None:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            pairs[pair] += count
    if not pairs:
        return None
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)
