"""Preferences, prompts, adapters and tokens of one person."""

from __future__ import annotations

from dataclasses import asdict

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engines.models import ApiToken, LoraAdapter, TokenScope
from engines.services.people.adapters import retraining_of
from engines.services.people.tokens import MAX_NAME_CHARS
from migrations_app.api.base import ClosedSerializer

MAX_PROMPT_CHARS = 20_000
MAX_TOKEN_DAYS = 36_500


class EngineUpgradeSerializer(ClosedSerializer):
    """The seed's ``engine_upgrade`` dictionary."""

    active_engine_id = serializers.CharField(allow_null=True)
    engine_model_name = serializers.CharField(allow_null=True)
    engine_family = serializers.CharField(allow_null=True)
    last_upgrade = serializers.DateTimeField(allow_null=True)
    local_model_path = serializers.CharField(allow_null=True)


class PreferenceSerializer(ClosedSerializer):
    version = serializers.IntegerField()
    engine_upgrade = EngineUpgradeSerializer()
    effective_engine_id = serializers.CharField(
        allow_null=True,
        help_text="The engine that answers: one's own, the group's, or the default.",
    )
    prompt_family = serializers.CharField(allow_blank=True)
    is_offered = serializers.BooleanField(
        help_text="False: the engine was withdrawn or reserved since; it goes on answering, but who "
        "moves away comes back by a rollback only."
    )


class PreferencePatchSerializer(ClosedSerializer):
    active_engine_id = serializers.CharField(
        max_length=128, help_text="At once, when nothing has to move along; else create a plan."
    )


class PromptsSerializer(ClosedSerializer):
    family = serializers.CharField()
    system_prompt = serializers.CharField(allow_blank=True)
    reasoning_prompt = serializers.CharField(allow_blank=True)
    chat_format = serializers.CharField(
        allow_blank=True, help_text="Empty: the model's own template."
    )


def _edited_text() -> serializers.CharField:
    return serializers.CharField(
        allow_null=True,
        allow_blank=True,
        max_length=MAX_PROMPT_CHARS,
        required=False,
        trim_whitespace=False,
    )


class PromptsPatchSerializer(ClosedSerializer):
    """A null takes an edit back, so that the family's text holds again."""

    system_prompt = _edited_text()
    reasoning_prompt = _edited_text()
    chat_format = _edited_text()


class RetrainingSerializer(ClosedSerializer):
    migration_id = serializers.CharField()
    since = serializers.CharField(help_text="ISO 8601.")
    from_engine = serializers.CharField()
    to_engine = serializers.CharField()


class AdapterSerializer(serializers.ModelSerializer[LoraAdapter]):
    base_model = serializers.CharField(source="base_revision.model.model_id")
    base_commit = serializers.CharField(source="base_revision.commit")
    training_stats = serializers.DictField(
        help_text="With migration_notes: what each switch did to the adapter."
    )
    retraining = serializers.SerializerMethodField(
        help_text="The migration since which it needs retraining; null while it is valid."
    )

    class Meta:
        model = LoraAdapter
        fields = [
            "id",
            "name",
            "base_model",
            "base_commit",
            "status",
            "scale",
            "sha256",
            "file_size",
            "training_stats",
            "retraining",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(RetrainingSerializer(allow_null=True))
    def get_retraining(self, adapter: LoraAdapter) -> dict[str, str] | None:
        needed = retraining_of(adapter)
        return None if needed is None else asdict(needed)


class AdapterUploadSerializer(ClosedSerializer):
    name = serializers.CharField(max_length=127)
    base_model = serializers.CharField(max_length=128)
    base_commit = serializers.CharField(
        max_length=40,
        required=False,
        validators=[RegexValidator(r"^[0-9a-f]{1,40}$", "A commit is hexadecimal.")],
        help_text="The model's revision in force unless given.",
    )
    file = serializers.FileField(
        help_text="A LoRA adapter in GGUF, or PEFT's adapter_model.safetensors."
    )
    config = serializers.FileField(
        required=False,
        help_text="PEFT's adapter_config.json: says that file is what PEFT saved.",
    )


class AdapterPatchSerializer(ClosedSerializer):
    enabled = serializers.BooleanField(help_text="Whether it is loaded with its engine.")


class NamedTokenSerializer(ClosedSerializer):
    """What a token is for, what it reaches and how long."""

    name = serializers.CharField(
        max_length=MAX_NAME_CHARS, default="sign-in", help_text="What the token is for."
    )
    scope = serializers.ChoiceField(choices=TokenScope.choices, default=TokenScope.ALL)
    expires_in_days = serializers.IntegerField(
        min_value=0,
        max_value=MAX_TOKEN_DAYS,
        required=False,
        help_text="0: never; the installation's own number (SAM_TOKEN_DAYS) unless given.",
    )


class TokenRequestSerializer(NamedTokenSerializer):
    """The same, asked for with a password."""

    username = serializers.CharField(
        max_length=254, help_text="The user name, or the e-mail address."
    )
    password = serializers.CharField(
        max_length=4096, trim_whitespace=False, style={"input_type": "password"}
    )
    code = serializers.CharField(
        max_length=32,
        required=False,
        help_text="Of the second factor, or a recovery code; only for who has one.",
    )


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as it can be shown later: without its key."""

    class Meta:
        model = ApiToken
        fields = ["id", "name", "scope", "created_at", "expires_at", "last_used_at"]
        read_only_fields = fields


class NewTokenSerializer(TokenSerializer):
    """A token just made."""

    token = serializers.CharField(
        read_only=True, help_text="Told this once; send it as: Authorization: Bearer <token>."
    )

    class Meta(TokenSerializer.Meta):
        fields = ["token", *TokenSerializer.Meta.fields]
        read_only_fields = fields


class MeSerializer(ClosedSerializer):
    id = serializers.IntegerField()
    username = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    groups = serializers.ListField(child=serializers.CharField())
    active_engine_id = serializers.CharField(allow_null=True)
