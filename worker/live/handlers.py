"""What a live worker answers: vectors, words, passages; and keeping engines warm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from django.db import close_old_connections
from numpy.typing import NDArray

from engines.exceptions import InvalidRequestError, NotFoundError, TextNotEmbeddableError
from engines.models import Fingerprint, ModelCopy, ModelRevision, ModelRole
from engines.runtimes.base import BaseModelEngine, EmbeddingBatch
from engines.services.knowledge.fingerprints import embedder_of, embedding_spec_of, spec_of
from engines.services.people.bindings import request_binding
from engines.specs import EmbeddingSpec
from migrations_app.serving.wire import pack_vectors
from worker.host.engine_pool import engine_pool
from worker.host.resources import this_host
from worker.live.answer import adapters_of, chat_engine, generate
from worker.live.lookup import revision_of, user_of
from worker.live.passages import as_json, embedder, find
from worker.process.errors import parse_id

Payload = Mapping[str, Any]

MOST_TEXTS = 512


def embed(payload: Payload) -> dict[str, Any]:
    """Return vectors of ``texts`` as ``document`` (the default) or ``query``.

    With ``count`` also the number of their ``tokens``; the embedder must then be on this host, which
    the caller sees to by naming the revision.
    """
    texts = payload.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequestError("Send the texts to embed as a list of texts.")
    if len(texts) > MOST_TEXTS:
        raise InvalidRequestError(f"Send at most {MOST_TEXTS} texts at once.")
    with embedder(*_space(payload)) as engine:
        role = payload.get("as", "document")
        batch = _as_queries(engine, texts) if role == "query" else engine.embed_documents(texts)
        tokens = sum(map(engine.count_tokens, texts)) if payload.get("count") else 0
    errors = {str(number): sentence for number, sentence in batch.errors.items()}
    return {**pack_vectors(batch.vectors), "errors": errors, "tokens": tokens}


def _space(payload: Payload) -> tuple[ModelRevision, EmbeddingSpec]:
    if "fingerprint_id" in payload:
        rows = Fingerprint.objects.select_related("revision__model")
        fingerprint = rows.filter(pk=parse_id(payload["fingerprint_id"])).first()
        if fingerprint is None:
            raise NotFoundError("There is no such vector space.")
        return fingerprint.revision, spec_of(fingerprint)
    revision = revision_of(payload.get("revision_id"))
    return revision, embedding_spec_of(revision.model, revision)


def _as_queries(engine: BaseModelEngine, texts: list[str]) -> EmbeddingBatch:
    rows: list[NDArray[np.float32]] = []
    errors: dict[int, str] = {}
    for number, text in enumerate(texts):
        try:
            rows.append(np.asarray(engine.embed_query(text), dtype=np.float32))
        except TextNotEmbeddableError as error:
            rows.append(np.empty(0, np.float32))
            errors[number] = str(error)
    width = max((len(row) for row in rows), default=0)
    filled = [row if len(row) else np.full(width, np.nan, np.float32) for row in rows]
    return EmbeddingBatch(np.array(filled, np.float32).reshape(len(texts), width), errors)


def search(payload: Payload) -> dict[str, Any]:
    """Return the ``k`` passages nearest to ``query`` in what a person may read, narrowed by ``filter``."""
    user = user_of(payload)
    binding = request_binding(user.pk)
    hits = find(user, binding, payload.get("query"), payload.get("k", 5), payload.get("filter"))
    engine = binding.engine.model_id if binding.engine else None
    return {
        "hits": [as_json(hit) for hit in hits],
        "engine_id": engine,
        "indexes": {str(base_id): index.pk for base_id, index in binding.indexes},
    }


def warm(payload: Payload) -> dict[str, Any]:
    """Load a revision as a person (``user_id``, optional) will use it, and what embeds for it."""
    revision = revision_of(payload.get("revision_id"))
    user_id = payload.get("user_id")
    if revision.model.role == ModelRole.CHAT:
        adapters = adapters_of(user_id, revision.pk) if user_id else ()
        with chat_engine(revision, adapters):
            close_old_connections()
    _, embedding = embedder_of(revision.model, revision)
    if embedding is not None and embedding.facts:
        with embedder(embedding, embedding_spec_of(embedding.model, embedding)):
            close_old_connections()
    return {"engines": len(engine_pool().describe())}


def unload(payload: Payload) -> dict[str, Any]:
    """End a revision's engines here; those in use end after their last request."""
    host = this_host()
    revision = revision_of(payload.get("revision_id"))
    copy = ModelCopy.objects.filter(revision=revision, host=host).first()
    return {"unloaded": engine_pool().unload(copy.path) if copy and copy.path else 0}


def info(_payload: Payload) -> dict[str, Any]:
    """Return this host's name and what is loaded on it."""
    host = this_host()
    return {"host": host.name if host else None, "engines": engine_pool().describe()}


LIVE_HANDLERS: dict[str, Callable[[Payload], dict[str, Any]]] = {
    "embed": embed,
    "generate": generate,
    "search": search,
    "warm": warm,
    "unload": unload,
    "info": info,
}
