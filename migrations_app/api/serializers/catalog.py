"""The catalog and the hosts, as the API writes and reads them."""

from __future__ import annotations

from copy import copy
from typing import Any, cast

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError as ModelValidationError
from drf_spectacular.utils import extend_schema_field
from msgspec import to_builtins
from rest_framework import serializers

from engines.models import CatalogModel, Host, ModelCopy, ModelRole
from engines.models.catalog import MAX_PREFIX_LENGTH
from engines.models.hosts import HOST_NAME
from engines.models.validators import (
    validate_model_filename,
    validate_repository,
    validate_tensor_split,
)
from engines.services.catalog.fields import list_curated_fields
from engines.services.catalog.instructions import propose_instructions
from engines.services.catalog.validation import CONFIRM, validate_entry
from engines.specs import MAX_GPUS
from migrations_app.api.base import ClosedSerializer, NamedField, refuse_unknown_fields
from migrations_app.trials import MAX_QUESTION

MAX_TAGS = 50


class InstructionsSerializer(ClosedSerializer):
    """What an embedder's publisher asks to put before texts, and the card that says so."""

    query_prefix = serializers.CharField()
    document_prefix = serializers.CharField()
    card = serializers.CharField()


class CatalogModelSerializer(serializers.ModelSerializer[CatalogModel]):
    """One catalog entry; ``model_id`` is chosen once."""

    tags = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=MAX_TAGS, required=False
    )
    filename = serializers.CharField(
        max_length=255, validators=[validate_model_filename], allow_blank=True, required=False
    )
    huggingface_repo = serializers.CharField(
        max_length=193, validators=[validate_repository], allow_blank=True, required=False
    )
    tensor_split = serializers.ListField(
        child=serializers.FloatField(),
        max_length=MAX_GPUS,
        validators=[validate_tensor_split],
        required=False,
    )
    # A prefix often ends in a blank or a line break, and each one is part of the vector space.
    query_prefix = serializers.CharField(
        max_length=MAX_PREFIX_LENGTH, trim_whitespace=False, allow_blank=True, required=False
    )
    document_prefix = serializers.CharField(
        max_length=MAX_PREFIX_LENGTH, trim_whitespace=False, allow_blank=True, required=False
    )
    embedding_model = NamedField(
        slug_field="model_id",
        queryset=CatalogModel.objects.filter(role=ModelRole.EMBEDDING),
        allow_null=True,
        required=False,
    )
    allowed_groups = NamedField(
        slug_field="name", queryset=Group.objects.all(), many=True, required=False
    )
    current_commit = serializers.CharField(
        source="current_revision.commit", read_only=True, allow_null=True
    )

    proposed_instructions = serializers.SerializerMethodField(
        help_text="Of an embedder that SAM knows; null for others. It is never applied by itself."
    )
    confirm = serializers.BooleanField(
        write_only=True,
        default=False,
        help_text="Also write what moves the vectors of people who use the entry; without it such a "
        "change is refused with the numbers.",
    )

    class Meta:
        model = CatalogModel
        fields = [
            *list_curated_fields(),
            *("current_commit", "proposed_instructions", "created_at", "updated_at", CONFIRM),
        ]

    @extend_schema_field(InstructionsSerializer(allow_null=True))
    def get_proposed_instructions(self, entry: CatalogModel) -> dict[str, str] | None:
        proposed = propose_instructions(entry)
        return to_builtins(proposed) if proposed is not None else None

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown_fields(self, data)
        return super().to_internal_value(data)

    def validate_model_id(self, value: str) -> str:
        if self.instance is not None and value != self.instance.model_id:
            raise serializers.ValidationError("A model's id never changes; add another entry.")
        return value

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        """Refuse what may not be written, as the admin and an import do."""
        confirmed = bool(attrs.pop(CONFIRM, False))
        groups = cast("list[Group] | None", attrs.get("allowed_groups"))
        entry = copy(self.instance) if self.instance is not None else CatalogModel()
        for name in attrs.keys() - {"allowed_groups"}:
            setattr(entry, name, attrs[name])
        try:
            validate_entry(entry, allowed_groups=groups, confirmed=confirmed)
        except ModelValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return attrs

    def validate_file_size(self, value: int) -> int:
        if value < 0:
            raise serializers.ValidationError("A size is 0 (not known yet) or more bytes.")
        return value


class CopySerializer(serializers.ModelSerializer[ModelCopy]):
    host = serializers.CharField(source="host.name")

    class Meta:
        model = ModelCopy
        fields = ["host", "status", "file_size", "downloaded_at", "verified_at", "error"]
        read_only_fields = fields


class ModelStatusSerializer(ClosedSerializer):
    """The seed's one status of a model, what each host holds and how far a download is."""

    model_id = serializers.CharField()
    status = serializers.CharField()
    progress = serializers.DictField(allow_null=True)
    copies = CopySerializer(many=True)


class ClearUnsafeSerializer(ClosedSerializer):
    """On which host; every host unless named."""

    host = serializers.CharField(max_length=63, required=False)


class TrialCreateSerializer(ClosedSerializer):
    """What a model is asked, and where; without a host the first that has its file."""

    question = serializers.CharField(max_length=MAX_QUESTION)
    host = serializers.CharField(max_length=63, required=False, validators=[HOST_NAME])


class TrialSerializer(ClosedSerializer):
    """What it answered, and how fast."""

    engine_id = serializers.CharField()
    runtime = serializers.CharField()
    host = serializers.CharField()
    text = serializers.CharField()
    finish_reason = serializers.CharField(help_text="length: it would have gone on.")
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    load_seconds = serializers.FloatField(help_text="Until it was in memory.")
    answer_seconds = serializers.FloatField(help_text="From the question to the last word.")
    tokens_per_second = serializers.FloatField()
    losses = serializers.ListField(
        child=serializers.CharField(),
        help_text="What of a conversation its chat template loses in every form; a move to it is refused then.",
    )


class HostSerializer(serializers.ModelSerializer[Host]):
    class Meta:
        model = Host
        fields = [
            "name",
            "status",
            "last_seen",
            "cores",
            "memory_bytes",
            "gpus",
            "vram_bytes",
            "disk_total_bytes",
            "disk_free_bytes",
            "limits",
            "folder_roots",
            "announces",
        ]
        read_only_fields = fields
