"""Answers for waiting people: search and whole answers through a host that has the person's engine."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.models import User

from engines.exceptions import SamError
from engines.runtimes.base import EmbeddingBatch
from engines.services.answers.messages import (
    AnswerRequest,
    WholeAnswer,
)
from engines.services.knowledge.access import readable_bases
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter
from engines.services.people.search_history import remember_search
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import RemoteEmbedder
from migrations_app.serving.fallback import FallbackPlan
from migrations_app.serving.protocol import COUNT, GENERATE, SEARCH, SearchReply, SearchRequest

GENERATE_SECONDS = 120.0
"""How long a person waits for a whole answer, the engine's loading included."""


def search_for(user: User, query: str, k: int, narrowed: SearchFilter = EVERYTHING) -> SearchReply:
    """Return the passages nearest to a question in what a person may read, best first.

    Raises InvalidRequestError when the filter names what is not the person's, HostUnavailableError
    when no host can embed the question now.
    """
    narrowed.require_readable(readable_bases(user))
    wanted = narrowed if narrowed != EVERYTHING else None
    return _live().call(SEARCH, SearchRequest(user_id=user.pk, query=query, k=k, filter=wanted))


def answer_search(
    user: User, query: str, k: int, narrowed: SearchFilter = EVERYTHING
) -> SearchReply:
    """Search for a person who asked by themselves: as ``search_for``, and kept where they allow that."""
    found = search_for(user, query, k, narrowed)
    remember_search(user, query)
    return found


def embed_for_writer(fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
    """Embed what a writer is about to store, while a switch waits for its vectors."""
    return RemoteEmbedder(_live(), fingerprint_id=fingerprint_id).embed_documents(texts)


def generate_answer(request: AnswerRequest) -> WholeAnswer:
    """Return a whole answer of the active engine, or of another where a rule names one.

    Raises HostUnavailableError when no host can answer in time, and what the host answers with.
    """
    plan = FallbackPlan(GENERATE, request)
    while True:
        try:
            return _live().call(
                GENERATE, plan.request, without=plan.failed_hosts, timeout=GENERATE_SECONDS
            )
        except SamError as error:
            if not plan.advance(error):
                raise plan.error_for_client(error) from None


def count_tokens(request: AnswerRequest) -> int:
    """Return how many tokens an engine would read for a request; raises what a host answers with."""
    return _live().call(COUNT, request, timeout=GENERATE_SECONDS).tokens


def _live() -> LiveClient:
    return LiveClient(settings.REDIS_URL)
