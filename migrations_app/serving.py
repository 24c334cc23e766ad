"""Answers for waiting people: search and conversation through a host that has the person's engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from engines.models import CatalogModel, Conversation, Message
from engines.runtimes.base import EmbeddingBatch
from engines.services.conversations import message_add
from migrations_app.live import LiveClient, RemoteEmbedder

ANSWER_SECONDS = 120.0
MOST_MESSAGES = 2000
"""The latest of a conversation; the engine's context is cut from them."""


def search_for(user: User, query: str, k: int) -> dict[str, Any]:
    """Return ``hits``, best first, of all that a person may read; and the engine and indexes used.

    Raises HostUnavailableError when no host can embed the question now.
    """
    payload = {"user_id": user.pk, "query": query, "k": k}
    return _live().call("search", payload)


def answer_in(
    conversation: Conversation, content: str, *, max_tokens: int, temperature: float
) -> tuple[Message, Message]:
    """Keep what a person says, have the active engine answer, and keep the answer with its engine.

    The person's words stay when no engine can answer; HostUnavailableError or EngineError say so.
    """
    message = message_add(conversation, role=Message.Role.USER, content=content)
    payload = {
        "user_id": conversation.user_id,
        "messages": _history(conversation),
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    reply = _live().call("generate", payload, timeout=ANSWER_SECONDS)
    engine = CatalogModel.objects.filter(model_id=reply["engine_id"]).first()
    answer = message_add(
        conversation, role=Message.Role.ASSISTANT, content=reply["text"], engine=engine
    )
    return message, answer


def embed_for_writer(fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
    """Embed what a writer is about to store, while a switch waits for its vectors."""
    return RemoteEmbedder(_live(), {"fingerprint_id": fingerprint_id}).embed_documents(texts)


def _history(conversation: Conversation) -> list[dict[str, str]]:
    said = conversation.messages.order_by("-position")[:MOST_MESSAGES]
    return [{"role": m.role, "content": m.content} for m in reversed(said)]


def _live() -> LiveClient:
    return LiveClient(settings.REDIS_URL)
