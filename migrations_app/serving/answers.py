"""Answers for waiting people: search and conversation through a host that has the person's engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User

from engines.exceptions import SamError
from engines.models import CatalogModel, Conversation, Message
from engines.runtimes.base import ChatMessage, EmbeddingBatch
from engines.services.answers.messages import (
    MAX_MESSAGES,
    AnswerRequest,
    FallbackCause,
    WholeAnswer,
)
from engines.services.knowledge.search import readable_bases
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter
from engines.services.people.conversations import add_message
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import RemoteEmbedder
from migrations_app.serving.fallback import FallbackPlan
from migrations_app.serving.protocol import GENERATE, SEARCH, SearchReply, SearchRequest

GENERATE_SECONDS = 120.0
"""How long a person waits for a whole answer, the engine's loading included."""


class Exchange(NamedTuple):
    """What was said and answered; ``fallback_for`` names the engine for which another one answered."""

    message: Message
    answer: Message
    fallback_for: FallbackCause | None
    left_out: int
    """How many of the oldest messages the engine's context had no room for."""


def search_for(user: User, query: str, k: int, narrowed: SearchFilter = EVERYTHING) -> SearchReply:
    """Return the passages nearest to a question in what a person may read, best first.

    Raises InvalidRequestError when the filter names what is not the person's, HostUnavailableError
    when no host can embed the question now.
    """
    narrowed.require_readable(readable_bases(user))
    wanted = narrowed if narrowed != EVERYTHING else None
    return _live().call(SEARCH, SearchRequest(user_id=user.pk, query=query, k=k, filter=wanted))


def answer_in(
    conversation: Conversation, content: str, *, max_tokens: int, temperature: float
) -> Exchange:
    """Keep what a person says, have the active engine answer, and keep the answer with its engine.

    Another engine answers when the active one cannot be made ready and a rule names one.

    The person's words stay when no engine can answer; HostUnavailableError or EngineError say so.
    """
    message = add_message(conversation, role=Message.Role.USER, content=content)
    request = AnswerRequest(
        user_id=conversation.user_id,
        messages=_history(conversation),
        max_tokens=max_tokens,
        temperature=temperature,
    )
    reply = _generate(request)
    engine = CatalogModel.objects.filter(model_id=reply.engine_id).first()
    answer = add_message(
        conversation, role=Message.Role.ASSISTANT, content=reply.text, engine=engine
    )
    older = max(0, message.position + 1 - MAX_MESSAGES)
    return Exchange(message, answer, reply.fallback_for, older + reply.left_out)


def embed_for_writer(fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
    """Embed what a writer is about to store, while a switch waits for its vectors."""
    return RemoteEmbedder(_live(), fingerprint_id=fingerprint_id).embed_documents(texts)


def _generate(request: AnswerRequest) -> WholeAnswer:
    plan = FallbackPlan(GENERATE, request)
    while True:
        try:
            return _live().call(
                GENERATE, plan.request, without=plan.failed_hosts, timeout=GENERATE_SECONDS
            )
        except SamError as error:
            if not plan.advance(error):
                raise plan.error_for_client(error) from None


def _history(conversation: Conversation) -> list[ChatMessage]:
    """Return the latest messages; the engine's context is cut from them."""
    latest = conversation.messages.order_by("-position")[:MAX_MESSAGES]
    return [{"role": m.role, "content": m.content} for m in reversed(latest)]


def _live() -> LiveClient:
    return LiveClient(settings.REDIS_URL)
