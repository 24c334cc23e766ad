"""An embedder on whichever host has the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import TextNotEmbeddableError
from engines.runtimes.base import EmbeddingBatch
from migrations_app.serving.client import LiveClient
from migrations_app.serving.protocol import EMBED, EmbedRequest

TEXTS_PER_CALL = 64


class RemoteEmbedder:
    """An embedder on whichever host has the model; what the control worker and the web embed with."""

    def __init__(
        self,
        live: LiveClient,
        *,
        revision_id: int | None = None,
        fingerprint_id: int | None = None,
        timeout: float = 60.0,
    ) -> None:
        """One of the two names the space of the vectors."""
        self._live = live
        self._revision_id = revision_id
        self._fingerprint_id = fingerprint_id
        self._timeout = timeout

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Return vectors and errors in the order of the texts; raises HostUnavailableError."""
        parts: list[NDArray[np.float32]] = []
        errors: dict[int, str] = {}
        for batch in batched_texts(texts):
            answer = self._ask(batch, "document")
            errors |= {sum(map(len, parts)) + n: text for n, text in answer.errors.items()}
            parts.append(answer.vectors)
        vectors = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        return EmbeddingBatch(vectors, errors)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question; TextNotEmbeddableError when it has none."""
        answer = self._ask([text], "query")
        if answer.errors:
            raise TextNotEmbeddableError(answer.errors[0])
        vector: NDArray[np.float32] = answer.vectors[0]
        return vector

    def _ask(self, texts: Sequence[str], role: Literal["document", "query"]) -> EmbeddingBatch:
        request = EmbedRequest(
            texts=list(texts),
            role=role,
            revision_id=self._revision_id,
            fingerprint_id=self._fingerprint_id,
        )
        return self._live.call(EMBED, request, timeout=self._timeout).batch(len(texts))


def batched_texts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut texts into pieces that one message's reply can carry."""
    for start in range(0, len(texts), TEXTS_PER_CALL):
        yield texts[start : start + TEXTS_PER_CALL]
