"""An embedder without a model: equal text, equal vector; different text, nearly orthogonal ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import EngineCrashed
from engines.runtimes.base import EmbeddingBatch

DIMENSION = 32


@dataclass
class HashEmbedder:
    """Crashes at texts that hold ``poison``, refuses those that hold ``unreadable``."""

    dimension: int = DIMENSION
    salt: str = ""
    poison: str | None = None
    unreadable: str | None = None
    before: Callable[[], object] = lambda: None
    texts: list[str] = field(default_factory=list)
    crashes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def vector(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(f"{self.salt}{text}".encode()).digest()[:8])
        row = np.random.default_rng(seed).standard_normal(self.dimension)
        return np.asarray(row / np.linalg.norm(row), dtype=np.float32)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self.vector(text)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        self.before()
        if self.poison is not None and any(self.poison in text for text in texts):
            self.crashes += 1
            raise EngineCrashed("The engine's process ended with signal 6.")
        with self.lock:
            self.texts += texts
        errors = {
            number: "The text holds what no tokenizer reads."
            for number, text in enumerate(texts)
            if self.unreadable is not None and self.unreadable in text
        }
        rows = [self.vector(text) for text in texts]
        for number in errors:
            rows[number] = np.full(self.dimension, np.nan, dtype=np.float32)
        return EmbeddingBatch(np.stack(rows), errors)
