"""What this process lends to an answer: engines, embedders, the store and opened indexes."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager

from django.conf import settings

from engines.exceptions import NotFoundError
from engines.models import CatalogModel, ModelRevision, ModelRole
from engines.runtimes.base import BaseModelEngine
from engines.services.answers.compose import compose_answer
from engines.services.answers.messages import AnswerRequest, Event
from engines.services.answers.resources import AnswerResources
from engines.services.knowledge.embeddings import Embedder
from engines.services.knowledge.fingerprints import ranking_spec_of
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.serving.protocol import RANK, RankRequest
from worker.host.engine_pool import engine_pool
from worker.host.resources import (
    artifact_store,
    index_cache,
    lend_embedder,
    live_client,
    scratch_folder,
    this_host,
)

RANK_SECONDS = 30.0
"""Longest wait for another host's rank model; a search then goes on without it."""


def stream(request: AnswerRequest, abandoned: threading.Event) -> Generator[Event]:
    """Yield the events of an answer by this process's engines; see ``compose_answer``."""
    return compose_answer(request, answer_resources(), abandoned)


def answer_resources() -> AnswerResources:
    """Return what this process makes answers with."""
    return AnswerResources(
        host_name=settings.SAM_HOST_NAME,
        store=artifact_store(),
        adapter_folder=scratch_folder() / "adapters",
        index_cache=index_cache(),
        lend_engine=_lend_engine,
        lend_embedder=lend_embedder_of,
        rank=_rank if settings.SAM_RERANKER else None,
        max_answer_tokens=settings.SAM_MAX_ANSWER_TOKENS,
    )


def _lend_engine(spec: EngineSpec) -> AbstractContextManager[BaseModelEngine]:
    return engine_pool().acquire(spec)


def _rank(question: str, texts: Sequence[str]) -> Sequence[float]:
    """Rank by the model that the settings name, on this host or on another that has it."""
    name = settings.SAM_RERANKER
    models = CatalogModel.objects.select_related("current_revision")
    model = models.filter(model_id=name, role=ModelRole.RANK).first()
    if model is None or model.current_revision is None:
        raise NotFoundError(f"SAM_RERANKER names {name!r}, which is no rank model of the catalog.")
    revision = model.current_revision
    revision.model = model
    with lend_embedder_of(revision, ranking_spec_of(model, revision)) as engine:
        if isinstance(engine, BaseModelEngine):
            ranked: list[float] = engine.rank(question, texts).scores.tolist()
            return ranked
    request = RankRequest(revision_id=revision.pk, question=question, texts=list(texts))
    return live_client().call(RANK, request, timeout=RANK_SECONDS).scores


def lend_embedder_of(
    revision: ModelRevision, spec: EmbeddingSpec
) -> AbstractContextManager[Embedder]:
    """Lend what embeds with a revision, this host's or another's."""
    return lend_embedder(this_host(), revision, spec)
