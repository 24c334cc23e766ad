"""The engine indicator and the adapter warning as JSON."""

from __future__ import annotations

from rest_framework import serializers

from migrations_app.api.base import ClosedSerializer
from migrations_app.indicator import IndicatorStatus
from migrations_app.signs import Sign, Tone

# DRF takes the fields off the class, so that none of them hides an attribute of Field.


class LookSerializer(ClosedSerializer):
    label = serializers.CharField()  # type: ignore[assignment]
    tone = serializers.ChoiceField(choices=[tone.value for tone in Tone])
    sign = serializers.ChoiceField(
        choices=[sign.value for sign in Sign], help_text="The status sign, for faces of text."
    )


class IndicatedEngineSerializer(ClosedSerializer):
    model_id = serializers.CharField()
    display_name = serializers.CharField()
    family = serializers.CharField(allow_blank=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=["own", "default"], help_text="default: the group's or the organisation's."
    )
    since = serializers.DateTimeField(allow_null=True)
    plan_id = serializers.UUIDField(
        allow_null=True, help_text="The plan that brought the person here, if one did."
    )


class MovingSerializer(ClosedSerializer):
    plan_id = serializers.UUIDField()
    to = serializers.CharField()
    percentage = serializers.FloatField()
    needs_operator = serializers.BooleanField()


class LeftAdapterSerializer(ClosedSerializer):
    name = serializers.CharField()
    trained_for = serializers.CharField()
    migration_id = serializers.CharField(allow_blank=True)
    since = serializers.CharField(allow_blank=True, help_text="ISO 8601.")


class AdapterWarningSerializer(ClosedSerializer):
    look = LookSerializer()
    sentence = serializers.CharField()
    count = serializers.IntegerField()
    adapters = LeftAdapterSerializer(many=True)


class IndicatorSerializer(ClosedSerializer):
    status = serializers.ChoiceField(choices=[status.value for status in IndicatorStatus])
    look = LookSerializer()
    sentence = serializers.CharField()
    engine = IndicatedEngineSerializer(allow_null=True)
    moving = MovingSerializer(allow_null=True)
    adapter_warning = AdapterWarningSerializer(allow_null=True)
