"""What this process lends to an answer: engines, embedders, the store and opened indexes."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import AbstractContextManager

from django.conf import settings

from engines.models import ModelRevision
from engines.runtimes.base import BaseModelEngine
from engines.services.answers.compose import compose_answer
from engines.services.answers.messages import AnswerRequest, Event
from engines.services.answers.resources import AnswerResources
from engines.services.knowledge.embeddings import Embedder
from engines.specs import EmbeddingSpec, EngineSpec
from worker.host.engine_pool import engine_pool
from worker.host.resources import (
    artifact_store,
    index_cache,
    lend_embedder,
    scratch_folder,
    this_host,
)


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
        max_answer_tokens=settings.SAM_MAX_ANSWER_TOKENS,
    )


def _lend_engine(spec: EngineSpec) -> AbstractContextManager[BaseModelEngine]:
    return engine_pool().acquire(spec)


def lend_embedder_of(
    revision: ModelRevision, spec: EmbeddingSpec
) -> AbstractContextManager[Embedder]:
    """Lend what embeds with a revision, this host's or another's."""
    return lend_embedder(this_host(), revision, spec)
