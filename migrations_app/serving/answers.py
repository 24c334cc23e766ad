"""Answers for waiting people: search and conversation through a host that has the person's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User

from engines.exceptions import SamError
from engines.models import CatalogModel, Conversation, Message
from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.search import readable_bases
from engines.services.knowledge.search_filters import SearchFilter
from engines.services.people.conversations import add_message
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import RemoteEmbedder
from migrations_app.serving.fallback import Ways

ANSWER_SECONDS = 120.0
MOST_MESSAGES = 2000
"""The latest of a conversation; the engine's context is cut from them."""


class Exchange(NamedTuple):
    """What was said and answered; ``fallback_for`` names the engine for which another one answered."""

    message: Message
    answer: Message
    fallback_for: dict[str, Any] | None
    left_out: int
    """How many of the oldest messages the engine's context had no room for."""


def search_for(
    user: User, query: str, k: int, narrowed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return ``hits``, best first, of what a person may read; and the engine and indexes used.

    ``narrowed`` is a SearchFilter as JSON. Raises InvalidRequestError when it names what is not the
    person's, HostUnavailableError when no host can embed the question now.
    """
    payload = {"user_id": user.pk, "query": query, "k": k}
    if narrowed:
        SearchFilter.parse(narrowed).refuse_strange(readable_bases(user))
        payload["filter"] = dict(narrowed)
    return _live().call("search", payload)


def answer_in(
    conversation: Conversation, content: str, *, max_tokens: int, temperature: float
) -> Exchange:
    """Keep what a person says, have the active engine answer, and keep the answer with its engine.

    Another engine answers when the active one cannot be made ready and a rule names one.

    The person's words stay when no engine can answer; HostUnavailableError or EngineError say so.
    """
    message = add_message(conversation, role=Message.Role.USER, content=content)
    payload = {
        "user_id": conversation.user_id,
        "messages": _history(conversation),
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    reply = _generated(payload)
    engine = CatalogModel.objects.filter(model_id=reply["engine_id"]).first()
    answer = add_message(
        conversation, role=Message.Role.ASSISTANT, content=reply["text"], engine=engine
    )
    older = max(0, message.position + 1 - MOST_MESSAGES)
    return Exchange(message, answer, reply.get("fallback_for"), older + reply.get("left_out", 0))


def embed_for_writer(fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
    """Embed what a writer is about to store, while a switch waits for its vectors."""
    return RemoteEmbedder(_live(), {"fingerprint_id": fingerprint_id}).embed_documents(texts)


def _generated(payload: dict[str, Any]) -> dict[str, Any]:
    ways = Ways("generate", payload)
    while True:
        try:
            return _live().call(
                "generate", ways.payload, without=ways.failed_hosts, timeout=ANSWER_SECONDS
            )
        except SamError as error:
            if not ways.turn(error):
                raise ways.told(error) from None


def _history(conversation: Conversation) -> list[dict[str, str]]:
    said = conversation.messages.order_by("-position")[:MOST_MESSAGES]
    return [{"role": m.role, "content": m.content} for m in reversed(said)]


def _live() -> LiveClient:
    return LiveClient(settings.REDIS_URL)
