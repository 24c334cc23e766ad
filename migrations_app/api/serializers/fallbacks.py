"""Fallback engines, as the API writes and reads them."""

from __future__ import annotations

from rest_framework import serializers

from engines.models import EngineFallback, FallbackIncident
from engines.services.people.fallbacks import ANY
from migrations_app.api.base import ClosedSerializer


class FallbackSerializer(serializers.ModelSerializer[EngineFallback]):
    """A rule; without ``answers`` it is the engine that each person used before."""

    engine = serializers.SerializerMethodField(
        help_text=f"{ANY}: each engine without its own rule."
    )
    answers = serializers.CharField(source="answers.model_id", allow_null=True, read_only=True)

    class Meta:
        model = EngineFallback
        fields = ["engine", "answers"]

    def get_engine(self, rule: EngineFallback) -> str:
        return rule.engine.model_id if rule.engine else ANY


class FallbackPutSerializer(ClosedSerializer):
    """What answers: a ``model_id``, or null for the engine that each person used before."""

    answers = serializers.CharField(allow_null=True)


class FallbackIncidentSerializer(serializers.ModelSerializer[FallbackIncident]):
    """From the first to the last request that another engine answered."""

    engine = serializers.CharField(source="revision.model.model_id", read_only=True)
    answered_by = serializers.CharField(source="answered_by.model.model_id", read_only=True)

    class Meta:
        model = FallbackIncident
        fields = ["id", "engine", "answered_by", "reason", "began_at", "last_at", "ended_at"]
        read_only_fields = fields
