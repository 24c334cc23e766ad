"""Folders of hosts that bases are kept in step with."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engines.db.keys import MAX_ROW_ID
from engines.models import WatchedFolder
from engines.models.watched import LEAST_SECONDS, MOST_SECONDS
from engines.services.knowledge.watched.attaching import MAX_PATH_CHARS, may_direct
from migrations_app.api.base import ClosedSerializer

EVERY_SECONDS = 300


class AttachSerializer(ClosedSerializer):
    """Which folder, and of which base."""

    base_id = serializers.IntegerField(min_value=1, max_value=MAX_ROW_ID)
    host = serializers.CharField(max_length=63, help_text="The host that sees the folder.")
    path = serializers.CharField(
        max_length=MAX_PATH_CHARS,
        trim_whitespace=False,
        help_text="Its whole path there, below a folder that the host lets be watched.",
    )
    every_seconds = serializers.IntegerField(
        min_value=LEAST_SECONDS, max_value=MOST_SECONDS, default=EVERY_SECONDS
    )
    keep_deleted = serializers.BooleanField(
        default=False, help_text="Whether documents stay whose files are gone."
    )


class WatchedFolderSerializer(serializers.ModelSerializer[WatchedFolder]):
    """A folder and how the last look went; where it lies is told to who may direct it."""

    base_id = serializers.IntegerField()
    base = serializers.CharField(source="base.name")
    host = serializers.CharField(source="host.name")
    problem = serializers.CharField(source="present_problem")

    class Meta:
        model = WatchedFolder
        fields = [
            *("id", "base_id", "base", "host", "name", "path", "every_seconds", "keep_deleted"),
            *("next_look_at", "looked_at", "is_under_way"),
            *("unchanged", "updated", "added", "moved", "deleted", "refused"),
            *("problem", "created_at"),
        ]
        read_only_fields = fields

    def to_representation(self, instance: WatchedFolder) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        if not may_direct(self.context["request"].user, instance):
            shown["path"] = shown["problem"] = ""
        return shown
