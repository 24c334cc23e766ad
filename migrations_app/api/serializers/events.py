"""What a plan's progress looks like to who polls; streams carry the same objects (``live.messages``)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class ProgressSerializer(serializers.Serializer[Any]):
    """How far the running step is; what is not known is left out."""

    step = serializers.CharField()
    progress = serializers.FloatField(help_text="Of the step, from 0 to 1.")
    percentage = serializers.FloatField(help_text="Of the plan.")
    detail = serializers.CharField(allow_blank=True)
    done = serializers.FloatField(required=False)
    total = serializers.FloatField(required=False)
    unit = serializers.ChoiceField(["bytes", "texts"], required=False)
    rate = serializers.FloatField(required=False, help_text="Units a second.")
    seconds_left = serializers.FloatField(
        required=False, help_text="Of the step; left out while it cannot be told."
    )
    pace = serializers.CharField(required=False, help_text="Rate and time left in words.")


class StepStateSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField()
    kind = serializers.CharField()
    status = serializers.CharField()
    progress = serializers.FloatField()
    detail = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)


class PlanStateSerializer(serializers.Serializer[Any]):
    """A plan as it is now."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    status = serializers.CharField()
    current_step = serializers.CharField(allow_blank=True)
    percentage = serializers.FloatField()
    error = serializers.CharField(allow_blank=True)
    warning = serializers.CharField(allow_blank=True)
    cancel_requested = serializers.BooleanField()
    steps = StepStateSerializer(many=True)
    now = ProgressSerializer(required=False)


class OpenPlansSerializer(serializers.Serializer[Any]):
    plans = PlanStateSerializer(many=True, help_text="The open ones, the newest first.")
