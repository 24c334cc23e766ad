"""Entries of the audit, as the API reads them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from migrations_app.audit.entries import describe_actor, describe_person
from migrations_app.models import AuditEntry


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """One change: ``changes`` has old and new value by field; secrets say only that they changed."""

    who = serializers.SerializerMethodField(help_text="In words: the actor, or who typed for them.")
    person = serializers.SerializerMethodField(help_text="Whom it is about; empty for nobody.")
    changes = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields = [
            *("id", "at", "who", "actor", "machine_user", "door", "kind", "key", "name"),
            *("person", "action", "changes"),
        ]
        read_only_fields = fields

    def get_who(self, entry: AuditEntry) -> str:
        return describe_actor(entry)

    def get_person(self, entry: AuditEntry) -> str:
        return describe_person(entry)

    @extend_schema_field(
        {"type": "object", "additionalProperties": {"type": "array", "items": {}, "maxItems": 2}}
    )
    def get_changes(self, entry: AuditEntry) -> dict[str, list[object]]:
        changes: dict[str, list[object]] = entry.changes
        return changes


class AuditQuerySerializer(serializers.Serializer[AuditEntry]):
    """What the list may be narrowed by."""

    actor = serializers.CharField(required=False, help_text="A person's name, or `system`.")
    person = serializers.CharField(required=False, help_text="Whom it is about, by name.")
    kind = serializers.ChoiceField(AuditEntry._meta.get_field("kind").choices or (), required=False)
    door = serializers.ChoiceField(AuditEntry._meta.get_field("door").choices or (), required=False)
    action = serializers.ChoiceField(
        AuditEntry._meta.get_field("action").choices or (), required=False
    )
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False, help_text="Not included.")
