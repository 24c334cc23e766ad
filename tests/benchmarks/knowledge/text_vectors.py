"""Real text of this machine's Python packages, and vectors for it that no model had to compute.

A vector is the sum of its words' directions, rare words weighing more, reduced to the directions that matter
in these texts (latent semantic analysis): texts about one thing are near, as with an embedder, and 100,000
of them take a minute where a small model takes an hour on two cores.
"""

from __future__ import annotations

import re
import sysconfig
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.content import Cutting, cut_passages

DIMENSION = 384
MAX_DOCUMENT_CHARS = 20_000
LEAST_CHARS = 400
LATENT = 32
"""Directions that are kept of all: vectors of embedders do not fill theirs either."""
SAMPLE = 4_000
_WORD = re.compile(r"[a-z]+")


def documents(passages: int) -> Iterator[tuple[str, list[str]]]:
    """Yield texts and the passages that SAM cuts them into, together so many and no text twice."""
    seen: set[bytes] = set()
    left = passages
    for text in _texts():
        key = zlib.crc32(text.encode()).to_bytes(4)
        spans = [one.span for one in cut_passages(text, "text/plain", [], Cutting())]
        pieces = [text[span.start : span.end] for span in spans]
        if key in seen or not pieces:
            continue
        seen.add(key)
        yield text, pieces
        left -= len(pieces)
        if left <= 0:
            return
    raise RuntimeError(f"The packages of this machine have {passages - left} passages only.")


def _texts() -> Iterator[str]:
    folders = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            text = path.read_text("utf-8", "replace").replace("\0", "")
            for at in range(0, len(text), MAX_DOCUMENT_CHARS):
                part = text[at : at + MAX_DOCUMENT_CHARS]
                if len(part) >= LEAST_CHARS:
                    yield part


class WordVectors:
    """An embedder without a model; a word weighs less the more of ``texts`` have it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._known = Counter(word for text in texts for word in set(_words(text)))
        self._count = len(texts)
        self._directions: dict[str, NDArray[np.float32]] = {}
        self._made: dict[str, NDArray[np.float16]] = {}
        sample = np.stack([self._sum(text) for text in texts[:: len(texts) // SAMPLE + 1]])
        self._mean = sample.mean(axis=0)
        # Of a matrix as large as a vector is long: those of the whole sample take many times as long.
        _, axes = np.linalg.eigh((sample - self._mean).T @ (sample - self._mean))
        self._axes = axes.T[-LATENT:]

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        for text in texts:
            if text not in self._made:
                self._made[text] = self.embed_query(text).astype(np.float16)
        return EmbeddingBatch(np.stack([self._made[text] for text in texts]).astype(np.float32))

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a text."""
        reduced = (self._sum(text) - self._mean) @ self._axes.T @ self._axes
        unit: NDArray[np.float32] = reduced / np.linalg.norm(reduced)
        return unit

    def _sum(self, text: str) -> NDArray[np.float32]:
        words = sorted(set(_words(text)))
        rows = [self._direction(word) for word in words] or [self._direction("")]
        total = np.sum(rows, axis=0)
        unit: NDArray[np.float32] = total / np.linalg.norm(total)
        return unit

    def _direction(self, word: str) -> NDArray[np.float32]:
        if word not in self._directions:
            random = np.random.default_rng(zlib.crc32(word.encode()))
            rarity = np.log((1 + self._count) / (1 + self._known[word]))
            row = random.standard_normal(DIMENSION).astype(np.float32)
            self._directions[word] = row * np.float32(rarity)
        return self._directions[word]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
