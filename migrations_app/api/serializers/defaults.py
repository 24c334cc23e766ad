"""The engines of those who chose none, as the API writes and reads them."""

from __future__ import annotations

from rest_framework import serializers

from engines.models import EngineDefault
from migrations_app.api.base import ClosedSerializer


class DefaultSerializer(serializers.ModelSerializer[EngineDefault]):
    """A default; without a group it is the organisation's."""

    group = serializers.CharField(source="group.name", read_only=True, allow_null=True)
    engine = serializers.CharField(source="engine.model_id", read_only=True)

    class Meta:
        model = EngineDefault
        fields = ["group", "engine"]


class DefaultPutSerializer(ClosedSerializer):
    """The ``model_id`` of an engine that chats, is published and visible to all whose default it is."""

    engine = serializers.CharField()
