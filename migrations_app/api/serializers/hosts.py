"""Hosts, as the API writes and reads them."""

from __future__ import annotations

from rest_framework import serializers

from engines.models import HostEvent, HostInvitation
from engines.services.hosts import DEFAULT_HOURS, MAX_HOURS
from migrations_app.api.base import ClosedSerializer


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
