"""Backups and the rules that say how many there are."""

from __future__ import annotations

from rest_framework import serializers

from migrations_app.api.base import ClosedSerializer
from migrations_app.models import Backup, BackupRule

MAX_KEPT = 10_000
MAX_HOURS = 24 * 366
NAME_LENGTH = 150


class BackupSerializer(serializers.ModelSerializer[Backup]):
    """A sealed archive of one person: that it is there, never what is in it."""

    person = serializers.CharField(
        source="owner_name", help_text="Of one that was found: the name it was made under."
    )
    plan = serializers.UUIDField(source="plan_id", allow_null=True)

    class Meta:
        model = Backup
        fields = ["id", "person", "plan", "reason", "file_size", "created_at", "verified_at"]
        read_only_fields = fields


class BackupCreateSerializer(ClosedSerializer):
    person = serializers.CharField(
        max_length=NAME_LENGTH, required=False, help_text="Yourself unless you are an operator."
    )


class RestoreSerializer(ClosedSerializer):
    """Whom a backup is put back for: its person unless given."""

    person = serializers.CharField(
        max_length=NAME_LENGTH, required=False, help_text="Another person who is here."
    )
    into = serializers.CharField(
        max_length=NAME_LENGTH, required=False, help_text="A user name that a person is made with."
    )
    replace = serializers.BooleanField(
        default=False, help_text="Whether it takes the place of what the person has."
    )


class PruneSerializer(ClosedSerializer):
    person = serializers.CharField(
        max_length=NAME_LENGTH, required=False, help_text="Yourself unless you are an operator."
    )
    keep = serializers.IntegerField(
        min_value=1,
        max_value=MAX_KEPT,
        required=False,
        help_text="What the rule says unless given.",
    )


class PrunedSerializer(ClosedSerializer):
    """How many went, with how many bytes, and how many stayed only because a plan needs them."""

    removed = serializers.IntegerField()
    bytes = serializers.IntegerField()
    needed = serializers.IntegerField()


class FoundSerializer(ClosedSerializer):
    backups = BackupSerializer(many=True)
    unreadable = serializers.ListField(child=serializers.CharField())


class BackupRuleSerializer(serializers.ModelSerializer[BackupRule]):
    """The rule that holds, and whether it is one's own."""

    is_own = serializers.SerializerMethodField()

    class Meta:
        model = BackupRule
        fields = ["every_hours", "keep", "is_own"]
        read_only_fields = fields

    def get_is_own(self, rule: BackupRule) -> bool:
        return rule.user_id is not None


class BackupRulePutSerializer(ClosedSerializer):
    every_hours = serializers.IntegerField(min_value=0, max_value=MAX_HOURS, default=0)
    keep = serializers.IntegerField(min_value=1, max_value=MAX_KEPT)
