"""Whether models fit hosts, as the API is asked and answers."""

from __future__ import annotations

from rest_framework import serializers

from engines.fit.memory import CACHE_TYPES, MAX_CONTEXT, MAX_PARALLEL
from engines.models.hosts import HOST_NAME
from migrations_app.api.base import ClosedSerializer


class FitQuerySerializer(ClosedSerializer):
    """What is asked of an engine; without a context length 8192 tokens, or the model's own limit."""

    context_length = serializers.IntegerField(
        min_value=1, max_value=MAX_CONTEXT, required=False, help_text="Tokens of each request."
    )
    parallel = serializers.IntegerField(
        min_value=1, max_value=MAX_PARALLEL, default=1, help_text="Requests at the same time."
    )
    cache_type = serializers.ChoiceField(
        choices=CACHE_TYPES, default="f16", help_text="Type of the key/value cache."
    )
    host = serializers.CharField(
        max_length=63,
        required=False,
        validators=[HOST_NAME],
        help_text="For curators and operators; without it the host with the most memory.",
    )


class LoadSerializer(ClosedSerializer):
    context_length = serializers.IntegerField(help_text="Tokens of each request.")
    parallel = serializers.IntegerField()
    cache_type = serializers.CharField()


class NeedsSerializer(ClosedSerializer):
    """Bytes, and what they are for."""

    weights = serializers.IntegerField()
    kv_cache = serializers.IntegerField()
    states = serializers.IntegerField(help_text="Of recurrent layers.")
    compute = serializers.IntegerField()
    process = serializers.IntegerField()
    checkpoints = serializers.IntegerField(
        help_text="Of prompts that models with a window or a state have read; 0 for other models."
    )
    total = serializers.IntegerField()


class PlacementSerializer(ClosedSerializer):
    """Where an engine's layers would go."""

    fits = serializers.BooleanField()
    where = serializers.CharField(help_text="gpu, gpu_and_memory, memory or nowhere.")
    gpu_layers = serializers.IntegerField()
    gpu_bytes = serializers.IntegerField()
    memory_bytes = serializers.IntegerField()
    reason = serializers.CharField()
    needs = NeedsSerializer()
    is_exact = serializers.BooleanField(
        help_text="False where the cache of this architecture is only known from above."
    )


class FitSerializer(ClosedSerializer):
    """One model judged for one host."""

    model_id = serializers.CharField()
    host = serializers.CharField()
    load = LoadSerializer()
    longest_context = serializers.IntegerField(
        help_text="Tokens each request could have on this host; 0 when the model does not fit."
    )
    fit = PlacementSerializer()


class RecommendationSerializer(ClosedSerializer):
    model_id = serializers.CharField()
    recommended = serializers.BooleanField()
    reason = serializers.CharField()
    longest_context = serializers.IntegerField()
    fit = PlacementSerializer()


class RecommendationsSerializer(ClosedSerializer):
    """Models for one host, the best first; ``unread`` ones are judged once their fit was asked for."""

    host = serializers.CharField()
    load = LoadSerializer()
    models = RecommendationSerializer(many=True)
    unread = serializers.ListField(child=serializers.CharField())
