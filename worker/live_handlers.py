"""What a live worker answers: vectors, words, passages; and keeping engines warm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import close_old_connections
from numpy.typing import NDArray

from engines.exceptions import (
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    TextNotEmbeddableError,
)
from engines.models import Fingerprint, ModelCopy, ModelRevision, ModelRole, VectorIndex
from engines.runtimes.base import BaseModelEngine, ChatMessage, EmbeddingBatch
from engines.services.adapters import adapters_for
from engines.services.bindings import Binding, request_binding
from engines.services.copies import copy_of, engine_spec, is_present
from engines.services.fingerprints import embedder_of, embedding_spec_of, spec_of
from engines.services.search import Hit, search_bases
from engines.services.snapshot import one_moment
from engines.specs import AdapterSpec, EmbeddingSpec
from migrations_app.live import LiveKind, pack_vectors
from worker.conversation import checked_messages, fitting
from worker.engine_pool import engine_pool
from worker.guard import checked_id
from worker.tools import artifact_store, index_cache, lend_embedder, scratch_folder, this_host

Payload = Mapping[str, Any]

MOST_TEXTS = 512
MOST_HITS = 100
OPTIONS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
)


def embed(payload: Payload) -> dict[str, Any]:
    """Return vectors of ``texts`` as ``document`` (the default) or ``query``."""
    texts = payload.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequestError("Send the texts to embed as a list of texts.")
    if len(texts) > MOST_TEXTS:
        raise InvalidRequestError(f"Send at most {MOST_TEXTS} texts at once.")
    with _embedder(*_space(payload)) as engine:
        role = payload.get("as", "document")
        batch = _as_queries(engine, texts) if role == "query" else engine.embed_documents(texts)
    errors = {str(number): sentence for number, sentence in batch.errors.items()}
    return {**pack_vectors(batch.vectors), "errors": errors}


def _space(payload: Payload) -> tuple[ModelRevision, EmbeddingSpec]:
    if "fingerprint_id" in payload:
        rows = Fingerprint.objects.select_related("revision__model")
        fingerprint = rows.filter(pk=checked_id(payload["fingerprint_id"])).first()
        if fingerprint is None:
            raise NotFoundError("There is no such vector space.")
        return fingerprint.revision, spec_of(fingerprint)
    revision = _revision(payload)
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


def generate(payload: Payload) -> dict[str, Any]:
    """Answer a person's ``messages`` with the engine, prompts and adapters that are theirs now."""
    messages = checked_messages(payload.get("messages"))
    binding, adapters = _binding(payload)
    if binding.engine is None or binding.revision is None:
        raise InvalidRequestError("No engine is chosen yet; choose one in the preferences.")
    with _chat_engine(binding.revision, adapters) as engine:
        text = _answer(engine, binding, messages, payload)
    return {
        "text": text,
        "engine_id": binding.engine.model_id,
        "revision_id": binding.revision.pk,
        "adapters": len(adapters),
    }


def _answer(
    engine: BaseModelEngine, binding: Binding, messages: list[ChatMessage], payload: Payload
) -> str:
    options = {name: payload[name] for name in OPTIONS if payload.get(name) is not None}
    prompt = fitting(engine, binding.prompts, messages, int(payload.get("max_tokens") or 0))
    if not isinstance(prompt, str):
        prompt = engine.format_prompt(prompt)
    return engine.generate(prompt, **options)


def _binding(payload: Payload) -> tuple[Binding, tuple[AdapterSpec, ...]]:
    """Read what a person uses and the adapters that belong to it, all of one moment."""
    user = _user(payload)
    with one_moment():
        binding = request_binding(user)
        revision_id = binding.revision.pk if binding.revision else None
        adapters = _adapters(user.pk, revision_id)
    return binding, adapters


def _adapters(user_id: int, revision_id: int | None) -> tuple[AdapterSpec, ...]:
    store, folder = artifact_store(), scratch_folder() / "adapters"
    return tuple(
        AdapterSpec(str(store.local_path(adapter.artifact_key, folder)), adapter.scale)
        for adapter in adapters_for(user_id, revision_id)
    )


def search(payload: Payload) -> dict[str, Any]:
    """Return the ``k`` passages nearest to ``query`` in all that a person may read."""
    query, k = payload.get("query"), payload.get("k", 5)
    if not isinstance(query, str) or not query.strip():
        raise InvalidRequestError("Ask with some text.")
    if not isinstance(k, int) or not 0 < k <= MOST_HITS:
        raise InvalidRequestError(f"Ask for 1 to {MOST_HITS} passages.")
    binding = request_binding(_user(payload))

    def embed_query(index: VectorIndex) -> Any:
        with _embedder(index.fingerprint.revision, spec_of(index.fingerprint)) as embedder:
            return embedder.embed_query(query)

    hits = search_bases(binding.indexes, embed_query, k, artifact_store(), index_cache())
    engine = binding.engine.model_id if binding.engine else None
    return {
        "hits": [_hit(hit) for hit in hits],
        "engine_id": engine,
        "indexes": {str(base_id): index.pk for base_id, index in binding.indexes},
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "content_hash": hit.content_hash.hex()}


def warm(payload: Payload) -> dict[str, Any]:
    """Load a revision as a person (``user_id``, optional) will use it, and what embeds for it."""
    revision = _revision(payload)
    user_id = payload.get("user_id")
    if revision.model.role == ModelRole.CHAT:
        adapters = _adapters(user_id, revision.pk) if user_id else ()
        with _chat_engine(revision, adapters):
            close_old_connections()
    _, embedding = embedder_of(revision.model, revision)
    if embedding is not None and embedding.facts:
        with _embedder(embedding, embedding_spec_of(embedding.model, embedding)):
            close_old_connections()
    return {"engines": len(engine_pool().describe())}


def unload(payload: Payload) -> dict[str, Any]:
    """End a revision's engines here; those in use end after their last request."""
    host = this_host()
    copy = ModelCopy.objects.filter(revision=_revision(payload), host=host).first()
    return {"unloaded": engine_pool().unload(copy.path) if copy and copy.path else 0}


def info(_payload: Payload) -> dict[str, Any]:
    """Return this host's name and what is loaded on it."""
    host = this_host()
    return {"host": host.name if host else None, "engines": engine_pool().describe()}


def _embedder(revision: ModelRevision, spec: EmbeddingSpec) -> AbstractContextManager[Any]:
    return lend_embedder(this_host(), revision, spec)


def _chat_engine(
    revision: ModelRevision, adapters: tuple[AdapterSpec, ...]
) -> AbstractContextManager[BaseModelEngine]:
    host = this_host()
    copy = copy_of(revision, host) if host is not None else None
    if copy is None or not is_present(copy):
        raise HostUnavailableError(f"This host does not have {revision}; ask another.")
    close_old_connections()
    return engine_pool().acquire(engine_spec(revision, copy.path, adapters=adapters))


def _revision(payload: Payload) -> ModelRevision:
    rows = ModelRevision.objects.select_related("model")
    revision = rows.filter(pk=checked_id(payload.get("revision_id"))).first()
    if revision is None:
        raise NotFoundError("There is no such model revision.")
    return revision


def _user(payload: Payload) -> User:
    user = User.objects.filter(pk=checked_id(payload.get("user_id")), is_active=True).first()
    if user is None:
        raise NotFoundError("There is no such person.")
    return user


LIVE_HANDLERS: dict[LiveKind, Callable[[Payload], dict[str, Any]]] = {
    "embed": embed,
    "generate": generate,
    "search": search,
    "warm": warm,
    "unload": unload,
    "info": info,
}
