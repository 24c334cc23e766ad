"""Hosts, as the API writes and reads them."""

from __future__ import annotations

from rest_framework import serializers

from engines.models import HostEvent, HostInvitation
from engines.models.host_limits import MAX_LIMIT
from engines.services.hosts import DEFAULT_HOURS, MAX_HOURS
from migrations_app.api.base import ClosedSerializer


def _limit(what: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_LIMIT, help_text=what
    )


class InviteSerializer(ClosedSerializer):
    """How long the token can be used."""

    hours = serializers.IntegerField(min_value=1, max_value=MAX_HOURS, default=DEFAULT_HOURS)


class InvitationSerializer(serializers.ModelSerializer[HostInvitation]):
    """A new machine's token; it is shown only in this answer."""

    token = serializers.CharField(read_only=True)

    class Meta:
        model = HostInvitation
        fields = ["host_name", "token", "who", "created_at", "expires_at"]
        read_only_fields = fields


class DrainSerializer(ClosedSerializer):
    """Whether the host is drained although people need what it alone holds."""

    knowing = serializers.BooleanField(default=False)


class LimitsSerializer(ClosedSerializer):
    """What a host may do at once, and how much of it SAM may use; 0, or left out, is no limit."""

    plans = _limit("Steps of plans that run at once.")
    plans_per_person = _limit("Of them, those of one person.")
    downloads = _limit("Steps that bring model files.")
    downloads_per_person = _limit("Of them, those of one person.")
    embedding_threads = _limit("Ranges of texts that are embedded at once.")
    embedding_threads_per_person = _limit("Of them, those of one person.")
    memory_bytes = _limit("Of its memory, as if it had no more.")
    disk_bytes = _limit("Of all model files together.")


class DependentsSerializer(ClosedSerializer):
    """Who would be without engine or search if the host went."""

    people = serializers.IntegerField()
    engines = serializers.ListField(child=serializers.CharField())
    sentence = serializers.CharField(help_text="Empty when nobody depends on it alone.")


class HostEventSerializer(serializers.ModelSerializer[HostEvent]):
    class Meta:
        model = HostEvent
        fields = ["at", "from_status", "to_status", "who", "why"]
        read_only_fields = fields
