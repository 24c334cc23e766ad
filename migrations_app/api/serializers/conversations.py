"""Conversations, their messages, and how somebody wants to be answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from engines.models import Conversation, Message
from engines.runtimes.text.generation import NUMBER_LIMITS, GenerationOptions
from engines.services.knowledge.passages import CitedPassage, cited_passages
from engines.services.knowledge.search_filters import EVERYTHING
from migrations_app.api.base import ClosedSerializer
from migrations_app.api.serializers.knowledge import FilterSerializer, filter_of
from migrations_app.conversations import Wish

MAX_MESSAGE_CHARS = 100_000
MAX_PASSAGES = 20
DEFAULT_PASSAGES = 4


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    class Meta:
        model = Conversation
        fields = ["id", "title", "created_at", "updated_at"]
        read_only_fields = fields


class ConversationCreateSerializer(ClosedSerializer):
    title = serializers.CharField(
        max_length=200,
        allow_blank=True,
        default="",
        help_text="Without one the first message names it.",
    )


class ConversationRenameSerializer(ClosedSerializer):
    title = serializers.CharField(max_length=200, allow_blank=True)


class CitationSerializer(serializers.Serializer[CitedPassage]):
    """A passage the engine was given, as it can be shown now."""

    number = serializers.IntegerField(help_text="How the answer names it, as [1].")
    chunk_id = serializers.IntegerField()
    document_id = serializers.IntegerField()
    base_id = serializers.IntegerField()
    score = serializers.FloatField(help_text="Cosine.")
    is_available = serializers.BooleanField(
        help_text="False when the passage was changed or deleted since, or is not yours any more."
    )
    title = serializers.CharField(allow_blank=True, help_text="Of the document.")
    text = serializers.CharField(allow_blank=True)
    place = serializers.CharField(
        allow_blank=True, help_text="Its page, sheet or slide, and the headings above it."
    )
    path = serializers.CharField(allow_blank=True, help_text="Of its document's file.")
    heading = serializers.CharField(
        allow_blank=True, help_text="The headings above it, the outermost first."
    )
    start = serializers.IntegerField(
        allow_null=True,
        help_text="Where it begins in its document, in characters; null of the oldest passages.",
    )
    end = serializers.IntegerField(allow_null=True, help_text="Where it ends.")


class FallbackForSerializer(ClosedSerializer):
    """The active engine, which could not be made ready."""

    engine_id = serializers.CharField()
    reason = serializers.CharField()


class MessageSerializer(serializers.ModelSerializer[Message]):
    engine = serializers.CharField(
        source="engine.model_id", allow_null=True, read_only=True, help_text="Who wrote it."
    )
    fallback_for = FallbackForSerializer(
        allow_null=True, help_text="For which engine another one answered; null as a rule."
    )
    citations = CitationSerializer(many=True, source="cited")
    left_out = serializers.IntegerField(
        help_text="How many of the oldest messages the engine's context had no room for."
    )

    class Meta:
        model = Message
        fields = [
            "id",
            "position",
            "role",
            "content",
            "status",
            "engine",
            "fallback_for",
            "citations",
            "left_out",
            "finish_reason",
            "prompt_tokens",
            "completion_tokens",
            "created_at",
        ]
        read_only_fields = fields


def show_messages(user: User, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages as they are sent, their citations as they can be shown to the person now."""
    cited = iter(cited_passages(user, [one for m in messages for one in m.citations]))
    for message in messages:
        message.cited = [next(cited) for _ in message.citations]  # type: ignore[attr-defined]
    return [dict(row) for row in MessageSerializer(messages, many=True).data]


class KnowledgeSerializer(FilterSerializer):
    """From which part of one's knowledge to answer."""

    k = serializers.IntegerField(
        min_value=1, max_value=MAX_PASSAGES, default=DEFAULT_PASSAGES, help_text="Passages."
    )


class WishSerializer(ClosedSerializer):
    """How to answer."""

    # Fewer than an answer may have elsewhere: a person waits here until it is whole.
    max_tokens = serializers.IntegerField(min_value=1, max_value=4096, default=256)
    temperature = serializers.FloatField(
        min_value=NUMBER_LIMITS["temperature"].low,
        max_value=NUMBER_LIMITS["temperature"].high,
        default=GenerationOptions().temperature,
    )
    knowledge = KnowledgeSerializer(
        required=False,
        allow_null=True,
        help_text="Answer from passages of one's knowledge, with citations; {} for all of it.",
    )
    stream = serializers.BooleanField(
        default=False,
        help_text="Answer as server-sent events; so does `Accept: text/event-stream`.",
    )

    def wish(self) -> Wish:
        """Return what was asked for, checked."""
        asked = self.validated_data
        knowledge = asked.get("knowledge")
        narrowed = EVERYTHING if knowledge is None else filter_of(knowledge)
        return Wish(
            max_tokens=asked["max_tokens"],
            temperature=asked["temperature"],
            knowledge=knowledge["k"] if knowledge is not None else None,
            knowledge_filter=None if narrowed == EVERYTHING else narrowed,
        )


class MessageCreateSerializer(WishSerializer):
    content = serializers.CharField(max_length=MAX_MESSAGE_CHARS)

    def validate_content(self, content: str) -> str:
        if not content.strip():
            raise ValidationError("A message needs some text.")
        return content


class ExchangeSerializer(ClosedSerializer):
    """What was said and what the engine answered, both kept."""

    message = MessageSerializer()
    answer = MessageSerializer()
    fallback_for = FallbackForSerializer(
        allow_null=True, help_text="For which engine another one answered; null as a rule."
    )
    left_out = serializers.IntegerField(
        help_text="How many of the oldest messages the engine's context had no room for."
    )
