"""What a live worker answers: vectors, words, passages; and keeping engines warm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.db import close_old_connections
from msgspec import Struct
from numpy.typing import NDArray

from engines.exceptions import (
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    TextNotEmbeddableError,
)
from engines.models import Fingerprint, ModelCopy, ModelRevision, ModelRole
from engines.runtimes.base import BaseModelEngine, EmbeddingBatch
from engines.services.answers.compose import compose_whole_answer, count_prompt
from engines.services.answers.lookup import require_person, require_revision
from engines.services.answers.messages import AnswerRequest, FoundPassage, WholeAnswer
from engines.services.answers.passages import PassageQuery, find_passages
from engines.services.knowledge.embeddings import Embedder
from engines.services.knowledge.fingerprints import (
    embedder_of,
    embedding_spec_of,
    ranking_spec_of,
    spec_of,
)
from engines.services.people.adapters import adapters_for
from engines.services.people.bindings import request_binding
from engines.services.people.usage import QuotaExceededError, fit_reservation
from engines.specs import EmbeddingSpec
from migrations_app.serving.protocol import (
    COUNT,
    EMBED,
    GENERATE,
    INFO,
    RANK,
    SEARCH,
    UNLOAD,
    WARM,
    CountReply,
    EmbedReply,
    EmbedRequest,
    InfoReply,
    InfoRequest,
    LiveKind,
    RankReply,
    RankRequest,
    Reply,
    Request,
    SearchReply,
    SearchRequest,
    UnloadReply,
    UnloadRequest,
    WarmReply,
    WarmRequest,
)
from worker.host.engine_pool import engine_pool
from worker.host.resources import this_host
from worker.live.answer import answer_resources, lend_embedder_of


def embed(request: EmbedRequest) -> EmbedReply:
    """Return the vectors of texts.

    To count their tokens the embedder must be on this host, which the caller sees to by naming the
    revision. Raises QuotaExceededError, and has read none, when the person's day has fewer left.
    """
    texts = request.texts
    with lend_embedder_of(*_space(request)) as engine:
        tokens = _count_tokens(engine, texts) if request.count else 0
        _require_tokens(request, tokens)
        is_query = request.role == "query"
        batch = _as_queries(engine, texts) if is_query else engine.embed_documents(texts)
    return EmbedReply.of(batch, tokens)


def rank(request: RankRequest) -> RankReply:
    """Return how well texts answer a question; QuotaExceededError as for vectors."""
    revision = require_revision(request.revision_id)
    spec = ranking_spec_of(revision.model, revision)
    with lend_embedder_of(revision, spec) as engine:
        if not isinstance(engine, BaseModelEngine):
            raise HostUnavailableError("This host lost the rank model's file; ask another.")
        if request.reservation_id is not None:
            asked = engine.count_tokens(request.question) * len(request.texts)
            _require_tokens(request, asked + sum(map(engine.count_tokens, request.texts)))
        found = engine.rank(request.question, request.texts)
    return RankReply(scores=found.scores.tolist(), tokens=found.tokens, cut=sorted(found.cut))


def _require_tokens(request: EmbedRequest | RankRequest, tokens: int) -> None:
    if request.reservation_id is None or request.user_id is None:
        return
    wanted = request.tokens_before + tokens
    left = fit_reservation(request.user_id, request.reservation_id, wanted)
    if left < wanted:
        raise QuotaExceededError(
            f"These texts have {wanted} tokens or more, and {left} of those allowed a day are left; send "
            "fewer, or go on tomorrow (UTC)."
        )


def _space(request: EmbedRequest) -> tuple[ModelRevision, EmbeddingSpec]:
    if request.fingerprint_id is not None:
        rows = Fingerprint.objects.select_related("revision__model")
        fingerprint = rows.filter(pk=request.fingerprint_id).first()
        if fingerprint is None:
            raise NotFoundError("There is no such vector space.")
        return fingerprint.revision, spec_of(fingerprint)
    if request.revision_id is None:
        raise InvalidRequestError("Name the revision or the fingerprint of the vectors.")
    revision = require_revision(request.revision_id)
    return revision, embedding_spec_of(revision.model, revision)


def _count_tokens(engine: Embedder, texts: list[str]) -> int:
    if not isinstance(engine, BaseModelEngine):
        raise HostUnavailableError("This host lost the embedder's file; ask another.")
    return sum(map(engine.count_tokens, texts))


def _as_queries(engine: Embedder, texts: list[str]) -> EmbeddingBatch:
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


def generate(request: AnswerRequest) -> WholeAnswer:
    """Return the whole answer, and which engine gave it."""
    return compose_whole_answer(request, answer_resources())


def count(request: AnswerRequest) -> CountReply:
    """Return how many tokens an engine would read for a request."""
    return CountReply(count_prompt(request, answer_resources()))


def search(request: SearchRequest) -> SearchReply:
    """Return the passages nearest to a question in what a person may read."""
    user = require_person(request.user_id)
    binding = request_binding(user.pk)
    wanted = PassageQuery(request.query, request.k, request.filter)
    found = find_passages(user, binding, wanted, answer_resources())
    return SearchReply(
        hits=[FoundPassage.of(hit) for hit in found.hits],
        words_only=found.words_only,
        engine_id=binding.engine.model_id if binding.engine else None,
        indexes={str(base_id): index.pk for base_id, index in binding.indexes},
    )


def warm(request: WarmRequest) -> WarmReply:
    """Load a revision as a person will use it, and what embeds for it."""
    revision, losses = require_revision(request.revision_id), []
    if revision.model.role == ModelRole.CHAT:
        resources, user_id = answer_resources(), request.user_id
        own = adapters_for(user_id, revision.pk) if user_id is not None else []
        with resources.lend_chat_engine(revision, resources.adapter_specs(own)) as engine:
            close_old_connections()
            losses = engine.find_losses() if request.find_losses else []
    if revision.model.role == ModelRole.RANK:
        with lend_embedder_of(revision, ranking_spec_of(revision.model, revision)):
            close_old_connections()
        return WarmReply(len(engine_pool().describe()))
    _, embedding = embedder_of(revision.model, revision)
    if embedding is not None and embedding.facts:
        with lend_embedder_of(embedding, embedding_spec_of(embedding.model, embedding)):
            close_old_connections()
    return WarmReply(len(engine_pool().describe()), losses)


def unload(request: UnloadRequest) -> UnloadReply:
    """End a revision's engines here; those in use end after their last request."""
    host = this_host()
    revision = require_revision(request.revision_id)
    copy = ModelCopy.objects.filter(revision=revision, host=host).first()
    return UnloadReply(engine_pool().unload(copy.path) if copy and copy.path else 0)


def info(_request: InfoRequest) -> InfoReply:
    """Return this host's name and what is loaded on it."""
    host = this_host()
    return InfoReply(host=host.name if host else None, engines=engine_pool().describe())


Handler = Callable[[bytes], Struct]


def _handler(
    kind: LiveKind[Request, Reply], handle: Callable[[Request], Reply]
) -> tuple[str, Handler]:
    return kind.name, lambda body: handle(kind.parse_request(body))


LIVE_HANDLERS: dict[str, Handler] = dict(
    (
        _handler(EMBED, embed),
        _handler(RANK, rank),
        _handler(GENERATE, generate),
        _handler(COUNT, count),
        _handler(SEARCH, search),
        _handler(WARM, warm),
        _handler(UNLOAD, unload),
        _handler(INFO, info),
    )
)
"""By kind: what reads a request's bytes and answers it."""
