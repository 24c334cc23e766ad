"""What curators and administrators write besides entries: catalog files, prompts of families, quotas."""

from __future__ import annotations

from rest_framework import serializers

from engines.models import PromptTemplate, TokenQuota, TokenUsage
from engines.services.people.usage import MAX_QUOTA
from engines.transfer.hub_place import MAX_PLACE_LENGTH
from migrations_app.api.base import ClosedSerializer
from migrations_app.api.serializers.catalog import InstructionsSerializer
from migrations_app.api.serializers.people import MAX_PROMPT_CHARS

EVERYBODY = "*"
"""In an address: whoever has no quota of their own; no user name has a star."""


class CatalogFileSerializer(ClosedSerializer):
    """A catalog in the seed's JSON; without ``models`` the starter catalog that SAM ships."""

    version = serializers.CharField(max_length=32, required=False)
    updated_at = serializers.CharField(max_length=64, required=False)
    models = serializers.JSONField(
        required=False, help_text="Entries by model_id, or a list of entries that name theirs."
    )
    overwrite = serializers.BooleanField(
        default=False, help_text="Take the file's values; without it curated entries stay."
    )
    confirm = serializers.BooleanField(
        default=False, help_text="Also write what moves the vectors of people who use an entry."
    )


class ImportReportSerializer(ClosedSerializer):
    """What became of each entry; the sentences say why one was left or refused."""

    created = serializers.ListField(child=serializers.CharField())
    updated = serializers.DictField(
        child=serializers.CharField(), help_text="Which fields changed, by model_id."
    )
    unchanged = serializers.ListField(child=serializers.CharField())
    left = serializers.DictField(child=serializers.CharField())
    refused = serializers.DictField(child=serializers.CharField())
    prompts = serializers.ListField(
        child=serializers.CharField(), help_text="Families whose prompts were written."
    )
    instructions = serializers.DictField(
        child=InstructionsSerializer(),
        help_text="What the publishers of embedders ask for, where an entry written has other "
        "instructions; nothing of it was applied.",
    )


class HubFilesQuerySerializer(ClosedSerializer):
    """Whose files."""

    repo = serializers.CharField(
        max_length=MAX_PLACE_LENGTH,
        help_text="organisation/repository at the Hub, also with a file, a revision or a quantisation: an "
        "address of its pages, hf.co/organisation/repository:Q4_K_M",
    )


class HubFileSerializer(ClosedSerializer):
    """A GGUF model of a repository; of one in parts the first part's name, and all of their bytes."""

    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    parts = serializers.IntegerField()
    fits = serializers.BooleanField(
        allow_null=True, help_text="On an active host; null while none has told its memory."
    )
    is_best = serializers.BooleanField(
        help_text="The largest that fits: it loses least of the model's quantisations."
    )


class SuggestedEntrySerializer(ClosedSerializer):
    """What an entry might be called; guessed from the repository's name."""

    model_id = serializers.CharField()
    model_family = serializers.CharField()
    role = serializers.CharField()


class HubFilesSerializer(ClosedSerializer):
    """The models of a repository by size."""

    repo = serializers.CharField()
    revision = serializers.CharField()
    suggested = SuggestedEntrySerializer()
    files = HubFileSerializer(many=True)
    chosen = serializers.CharField(
        help_text="The file that was named, else the best for our hosts; empty where there is none."
    )


class CatalogDocumentSerializer(ClosedSerializer):
    """The whole catalog in the seed's JSON."""

    version = serializers.CharField()
    updated_at = serializers.CharField()
    models = serializers.DictField(child=serializers.JSONField())


class PromptTemplateSerializer(serializers.ModelSerializer[PromptTemplate]):
    """A family's prompts, before anybody's edits."""

    class Meta:
        model = PromptTemplate
        fields = ["family", "system_prompt", "reasoning_prompt", "chat_format"]
        read_only_fields = ["family"]


class PromptTemplatePutSerializer(ClosedSerializer):
    system_prompt = serializers.CharField(
        allow_blank=True, default="", max_length=MAX_PROMPT_CHARS, trim_whitespace=False
    )
    reasoning_prompt = serializers.CharField(
        allow_blank=True, default="", max_length=MAX_PROMPT_CHARS, trim_whitespace=False
    )
    chat_format = serializers.CharField(
        allow_blank=True,
        default="",
        max_length=MAX_PROMPT_CHARS,
        trim_whitespace=False,
        help_text="Empty: the model's own template.",
    )


class UsageSerializer(serializers.ModelSerializer[TokenUsage]):
    """One day (UTC) of one person."""

    person = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = TokenUsage
        fields = ["id", "day", "person", "tokens_in", "tokens_out", "requests"]
        read_only_fields = fields


class QuotaSerializer(serializers.ModelSerializer[TokenQuota]):
    """Tokens a day, in and out together, of one person or of everybody without a quota."""

    person = serializers.SerializerMethodField(help_text=f"{EVERYBODY}: who has no quota.")

    class Meta:
        model = TokenQuota
        fields = ["person", "tokens_per_day"]

    def get_person(self, quota: TokenQuota) -> str:
        return quota.user.get_username() if quota.user else EVERYBODY


class QuotaPutSerializer(ClosedSerializer):
    tokens_per_day = serializers.IntegerField(min_value=0, max_value=MAX_QUOTA)
