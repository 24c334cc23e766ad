"""Vectors for people's programs: an embedder under a name, asked part by part, admitted and counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from numpy.typing import NDArray

from engines.models import ModelRevision
from engines.runtimes.base import EmbeddingBatch
from engines.services.people.usage import add_usage
from migrations_app.limits.admission import Admission
from migrations_app.openai_api.access import embedder_for
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import AskedVectors
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import batched_texts
from migrations_app.serving.protocol import EMBED, EmbedRequest

EMBED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """Vectors (n, d) of texts, whose they are, how many tokens were read, and what was ignored."""

    model: str
    vectors: NDArray[np.float32]
    tokens: int
    ignored: tuple[str, ...]


def embed_texts(user: User, asked: AskedVectors) -> EmbeddedTexts:
    """Return the vectors that were asked for; RefusedError names a text or a field at fault.

    Raises QuotaExceededError when the texts have more tokens than the person's day has left. Parts that
    were read before an error are counted.
    """
    admission = Admission(user, sum(map(len, asked.texts)), 1)
    try:
        return _embedded_admitted(user, asked, admission.reservation_id)
    finally:
        admission.release()


def _embedded_admitted(
    user: User, asked: AskedVectors, reservation_id: int | None
) -> EmbeddedTexts:
    model, revision = embedder_for(user, asked.model)
    vectors, tokens = _vectors(user, revision, asked, reservation_id)
    if asked.dimensions is not None and asked.dimensions > vectors.shape[1]:
        raise RefusedError(
            f"{model.model_id} has {vectors.shape[1]} dimensions; ask for no more of them.",
            param="dimensions",
        )
    shortened = _shortened(vectors, asked.dimensions)
    return EmbeddedTexts(model.model_id, shortened, tokens, asked.ignored)


def _shortened(vectors: NDArray[np.float32], dimensions: int | None) -> NDArray[np.float32]:
    """Return the beginnings of vectors, of length one again as OpenAI's are."""
    if dimensions in (None, vectors.shape[1]):
        return vectors
    short = vectors[:, :dimensions]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    return (short / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _vectors(
    user: User, revision: ModelRevision, asked: AskedVectors, reservation_id: int | None
) -> tuple[NDArray[np.float32], int]:
    """Return vectors (n, d) and the texts' tokens; RefusedError names a text without a vector."""
    live = LiveClient(settings.REDIS_URL)
    parts: list[NDArray[np.float32]] = []
    tokens = 0
    try:
        for texts in batched_texts(asked.texts):
            request = EmbedRequest(
                revision_id=revision.pk,
                texts=list(texts),
                role=asked.role,
                count=True,
                user_id=user.pk,
                reservation_id=reservation_id,
                tokens_before=tokens,
            )
            reply = live.call(EMBED, request, timeout=EMBED_SECONDS)
            tokens += reply.tokens
            parts.append(_checked(reply.batch(len(texts)), sum(map(len, parts))))
    finally:
        if tokens:
            add_usage(user.pk, tokens, 0)
    return np.concatenate(parts), tokens


def _checked(batch: EmbeddingBatch, before: int) -> NDArray[np.float32]:
    if batch.errors:
        number, sentence = min(batch.errors.items())
        place = before + number
        raise RefusedError(f"Text {place}: {sentence}", param=f"input[{place}]")
    return batch.vectors
