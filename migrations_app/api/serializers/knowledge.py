"""Knowledge bases, documents, search and conversations."""

from __future__ import annotations

from django.contrib.auth.models import Group
from rest_framework import serializers

from engines.db.keys import MAX_ROW_ID
from engines.models import Conversation, Document, KnowledgeBase, Message
from engines.runtimes.text.generation import NUMBER_LIMITS, GenerationOptions
from engines.services.knowledge.search_filters import (
    MAX_BASES,
    MAX_DOCUMENTS,
    SearchFilter,
)
from migrations_app.api.base import ClosedSerializer, NamedField

MAX_TEXT_CHARS = 50_000_000
MAX_QUERY_CHARS = 4_000
MAX_HITS = 50
MAX_MESSAGE_CHARS = 100_000


class BaseSerializer(serializers.ModelSerializer[KnowledgeBase]):
    group = serializers.CharField(source="group.name", allow_null=True, default=None)
    searchable = serializers.BooleanField(
        help_text="Whether it has a live index; without one its first documents are embedded first."
    )
    document_count = serializers.IntegerField()

    class Meta:
        model = KnowledgeBase
        fields = ["id", "name", "group", "write_seq", "searchable", "document_count", "created_at"]
        read_only_fields = fields


class BaseCreateSerializer(ClosedSerializer):
    name = serializers.CharField(max_length=200)
    group = NamedField(
        slug_field="name",
        queryset=Group.objects.all(),
        required=False,
        help_text="A group whose base this is; curators only. Yours alone without it.",
    )


class ReEmbedSerializer(ClosedSerializer):
    """Which embedder a base shall have."""

    engine = serializers.CharField(
        max_length=128,
        required=False,
        help_text="The engine whose embedder it shall be; the one in use unless given.",
    )


class BaseRenameSerializer(ClosedSerializer):
    name = serializers.CharField(max_length=200)


class DocumentSerializer(serializers.ModelSerializer[Document]):
    base_id = serializers.IntegerField()

    class Meta:
        model = Document
        fields = ["id", "base_id", "title", "media_type", "sha256", "created_at", "updated_at"]
        read_only_fields = fields


class DocumentDetailSerializer(DocumentSerializer):
    class Meta(DocumentSerializer.Meta):
        fields = [*DocumentSerializer.Meta.fields, "text"]
        read_only_fields = fields


class DocumentWriteSerializer(ClosedSerializer):
    """A whole document."""

    title = serializers.CharField(max_length=300)
    text = serializers.CharField(max_length=MAX_TEXT_CHARS, trim_whitespace=False)
    media_type = serializers.ChoiceField(
        choices=Document.MediaType.choices, default=Document.MediaType.TEXT
    )


class DocumentPatchSerializer(ClosedSerializer):
    """What changes of a document."""

    title = serializers.CharField(max_length=300, required=False)
    text = serializers.CharField(max_length=MAX_TEXT_CHARS, trim_whitespace=False, required=False)
    media_type = serializers.ChoiceField(choices=Document.MediaType.choices, required=False)


class DocumentUploadSerializer(ClosedSerializer):
    """A text or Markdown file in UTF-8; its title is the file's name unless given."""

    file = serializers.FileField()
    title = serializers.CharField(max_length=300, required=False)


class SearchSerializer(ClosedSerializer):
    query = serializers.CharField(max_length=MAX_QUERY_CHARS)
    k = serializers.IntegerField(min_value=1, max_value=MAX_HITS, default=5)
    bases = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_ROW_ID),
        required=False,
        allow_empty=False,
        max_length=MAX_BASES,
        help_text="Only in these bases.",
    )
    documents = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_ROW_ID),
        required=False,
        allow_empty=False,
        max_length=MAX_DOCUMENTS,
        help_text="Only in these documents.",
    )
    updated_after = serializers.DateTimeField(
        required=False, help_text="Only in documents last written then or later."
    )
    updated_before = serializers.DateTimeField(
        required=False, help_text="Only in documents last written before."
    )
    min_score = serializers.FloatField(
        min_value=-1, max_value=1, required=False, help_text="The smallest cosine."
    )

    def narrowed(self) -> SearchFilter:
        """Return what the search is narrowed to."""
        names = SearchFilter.__struct_fields__
        return SearchFilter(**{name: self.validated_data.get(name) for name in names})


class HitSerializer(ClosedSerializer):
    chunk_id = serializers.IntegerField()
    document_id = serializers.IntegerField(allow_null=True)
    base_id = serializers.IntegerField()
    title = serializers.CharField()
    text = serializers.CharField()
    score = serializers.FloatField(help_text="Cosine.")


class SearchAnswerSerializer(ClosedSerializer):
    """Passages, and the one engine and the indexes (by base) that were asked."""

    hits = HitSerializer(many=True)
    engine_id = serializers.CharField(allow_null=True)
    indexes = serializers.DictField(child=serializers.IntegerField())


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    class Meta:
        model = Conversation
        fields = ["id", "title", "created_at"]
        read_only_fields = fields


class ConversationCreateSerializer(ClosedSerializer):
    title = serializers.CharField(max_length=200, allow_blank=True, default="")


class ConversationRenameSerializer(ClosedSerializer):
    title = serializers.CharField(max_length=200, allow_blank=True)


class MessageSerializer(serializers.ModelSerializer[Message]):
    engine = serializers.CharField(
        source="engine.model_id", allow_null=True, default=None, help_text="Who wrote it."
    )

    class Meta:
        model = Message
        fields = ["position", "role", "content", "engine", "created_at"]
        read_only_fields = fields


class MessageCreateSerializer(ClosedSerializer):
    content = serializers.CharField(max_length=MAX_MESSAGE_CHARS)
    # Fewer than an answer may have elsewhere: a person waits here until it is whole.
    max_tokens = serializers.IntegerField(min_value=1, max_value=4096, default=256)
    temperature = serializers.FloatField(
        min_value=NUMBER_LIMITS["temperature"].low,
        max_value=NUMBER_LIMITS["temperature"].high,
        default=GenerationOptions().temperature,
    )


class FallbackForSerializer(ClosedSerializer):
    """The active engine, which could not be made ready."""

    engine_id = serializers.CharField()
    reason = serializers.CharField()


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
