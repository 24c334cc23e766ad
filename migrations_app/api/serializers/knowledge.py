"""Knowledge bases, documents, passages and search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group
from rest_framework import serializers

from engines.db.keys import MAX_ROW_ID
from engines.models import Document, KnowledgeBase
from engines.services.answers.messages import FoundPassage
from engines.services.knowledge.folders import FileLine, Outcome
from engines.services.knowledge.passages import PlacedPassage
from engines.services.knowledge.search import FoundBy
from engines.services.knowledge.search_filters import (
    MAX_BASES,
    MAX_DOCUMENTS,
    SearchFilter,
    SearchMode,
)
from migrations_app.api.base import ClosedSerializer, NamedField

MAX_TEXT_CHARS = 50_000_000
MAX_QUERY_CHARS = 4_000
MAX_HITS = 50


class BaseSerializer(serializers.ModelSerializer[KnowledgeBase]):
    group = serializers.CharField(source="group.name", allow_null=True, read_only=True)
    searchable = serializers.BooleanField(
        help_text="Whether it is searched by meaning: it has a live index. By words every base is."
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
    accept_losses = serializers.BooleanField(
        default=False,
        help_text="Whether it goes on where the new embedder understands texts worse.",
    )


class BaseRenameSerializer(ClosedSerializer):
    name = serializers.CharField(max_length=200)


class DocumentSerializer(serializers.ModelSerializer[Document]):
    base_id = serializers.IntegerField()

    class Meta:
        model = Document
        fields = [
            *("id", "base_id", "title", "path", "media_type", "sha256", "source_sha256"),
            *("note", "created_at", "updated_at"),
        ]
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
    """A file of any kind that is read; its title is the file's name unless given."""

    # What is empty is refused by who reads it, in the words of every door.
    file = serializers.FileField(allow_empty_file=True)
    title = serializers.CharField(max_length=300, required=False)


class FileSerializer(ClosedSerializer):
    """A file for a path; a zip is a folder of files."""

    # What is empty is refused by who reads it, in the words of every door.
    file = serializers.FileField(allow_empty_file=True)
    moved_from = serializers.CharField(
        max_length=1024,
        required=False,
        help_text="The path that this very file had before, where it is moved.",
    )
    delete_missing = serializers.BooleanField(
        default=False,
        help_text="Of a zip: whether documents whose files it does not hold any more are deleted. Without it they stay "
        "and are told as missing. An empty zip deletes nothing.",
    )


class FileLineSerializer(serializers.Serializer[FileLine]):
    """What became of one file."""

    path = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[one.value for one in Outcome])
    document_id = serializers.IntegerField(allow_null=True)
    said = serializers.CharField(
        allow_blank=True,
        help_text="Why it was refused or is missing, or what was not as expected.",
    )


class FilesSerializer(ClosedSerializer):
    """A line for each file, in the order in which they were read."""

    files = FileLineSerializer(many=True)


class FilterSerializer(ClosedSerializer):
    """What a search is narrowed to."""

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
    mode = serializers.ChoiceField(
        choices=[one.value for one in SearchMode],
        required=False,
        help_text="By meaning and words (hybrid, unless it is said), by meaning alone, or by words alone.",
    )
    rerank = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Whether the rank model, where there is one (SAM_RERANKER), puts the first passages in order; "
        "a hybrid search does unless it is said.",
    )


def filter_of(asked: Mapping[str, Any]) -> SearchFilter:
    """Return what a checked request narrows its search to."""
    given = {name: asked.get(name) for name in SearchFilter.__struct_fields__}
    mode = given.pop("mode")
    return SearchFilter(**given, mode=SearchMode(mode) if mode else None)


class SearchSerializer(FilterSerializer):
    query = serializers.CharField(max_length=MAX_QUERY_CHARS)
    k = serializers.IntegerField(min_value=1, max_value=MAX_HITS, default=5)


class OtherPlaceSerializer(ClosedSerializer):
    """Another document that holds the same passage."""

    document_id = serializers.IntegerField()
    title = serializers.CharField()
    chunk_id = serializers.IntegerField()
    place = serializers.CharField(allow_blank=True)


class HitSerializer(ClosedSerializer):
    chunk_id = serializers.IntegerField()
    document_id = serializers.IntegerField(allow_null=True)
    base_id = serializers.IntegerField()
    title = serializers.CharField()
    text = serializers.CharField()
    score = serializers.FloatField(
        help_text="Cosine of question and passage, 0 where one of them has no vector. Hits are in order of "
        "both rankings, by meaning and by words, not of this number."
    )
    relevance = serializers.FloatField(
        allow_null=True,
        help_text="How well it answers the question, 0 to 1, where a rank model put the hits in order.",
    )
    found_by = serializers.ChoiceField(choices=[one.value for one in FoundBy])
    place = serializers.CharField(
        allow_blank=True, help_text="Its page, sheet or slide, and the headings above it."
    )
    also = OtherPlaceSerializer(
        many=True, help_text="The other documents that hold it, word for word."
    )
    path = serializers.CharField(allow_blank=True, help_text="Of its document's file.")
    media_type = serializers.SerializerMethodField(
        help_text="Of its document: text/markdown is shown without its marks."
    )
    heading = serializers.CharField(
        allow_blank=True, help_text="The headings above it, the outermost first."
    )
    start = serializers.IntegerField(
        allow_null=True,
        help_text="Where it begins in its document, in characters; null of the oldest passages.",
    )
    end = serializers.IntegerField(allow_null=True, help_text="Where it ends.")

    def get_media_type(self, hit: FoundPassage) -> str:
        """Return what was looked up for all hits at once."""
        known: dict[int, str] = self.context["media_types"]
        return known.get(hit.document_id, Document.MediaType.TEXT)


class SearchAnswerSerializer(ClosedSerializer):
    """Passages, and the one engine and the indexes (by base) that were asked."""

    hits = HitSerializer(many=True)
    engine_id = serializers.CharField(allow_null=True)
    indexes = serializers.DictField(child=serializers.IntegerField())
    words_only = serializers.CharField(
        allow_blank=True,
        help_text="Why only words were searched though meaning was asked for, and what to do; empty otherwise.",
    )


class PassageSerializer(serializers.Serializer[PlacedPassage]):
    """A passage with what stands around it in its document."""

    chunk_id = serializers.IntegerField()
    document_id = serializers.IntegerField(source="document.pk")
    base_id = serializers.IntegerField(source="document.base_id")
    title = serializers.CharField(source="document.title")
    media_type = serializers.CharField(source="document.media_type")
    path = serializers.CharField(source="document.path", allow_blank=True)
    place = serializers.CharField(
        allow_blank=True, help_text="Its page, sheet or slide, and the headings above it."
    )
    heading = serializers.CharField(
        allow_blank=True, help_text="The headings above it, the outermost first."
    )
    start = serializers.IntegerField(help_text="Where it begins, in characters of the document.")
    end = serializers.IntegerField(help_text="Where it ends.")
    before = serializers.CharField(allow_blank=True, help_text="What stands before it.")
    text = serializers.CharField(help_text="The passage, as it stands in the document.")
    after = serializers.CharField(allow_blank=True, help_text="What stands after it.")
