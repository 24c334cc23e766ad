"""People as administrators see them, invitations, sessions and notices."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from rest_framework import serializers

from engines.models import Invitation, Notice, PastSearch
from engines.services.people.invitations import DEFAULT_DAYS, MAX_DAYS
from migrations_app.api.base import ClosedSerializer

MAX_GROUPS = 100


class PersonSerializer(serializers.ModelSerializer[User]):
    """Whoever may sign in, or might before."""

    email = serializers.CharField(read_only=True, help_text="Empty: none is known.")
    groups: serializers.SlugRelatedField[Group] = serializers.SlugRelatedField(
        slug_field="name", many=True, read_only=True
    )

    class Meta:
        model = User
        fields = ["id", "username", "email", "groups", "is_staff", "is_active", "last_login"]
        read_only_fields = fields


class UnlockedSerializer(ClosedSerializer):
    had_failures = serializers.BooleanField(help_text="False: the person was not locked out.")


class RemovedFactorsSerializer(ClosedSerializer):
    removed = serializers.IntegerField(help_text="How many; 0: there was no second factor.")


class InviteePersonSerializer(ClosedSerializer):
    """Whom to invite."""

    email = serializers.EmailField()
    groups = serializers.ListField(
        child=serializers.CharField(max_length=150),
        max_length=MAX_GROUPS,
        default=list,
        help_text="Names of groups and roles.",
    )
    days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, default=DEFAULT_DAYS)


class PersonInvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation as it can be shown later: without its key."""

    groups: serializers.SlugRelatedField[Group] = serializers.SlugRelatedField(
        slug_field="name", many=True, read_only=True
    )

    class Meta:
        model = Invitation
        fields = [
            "id",
            "email",
            "groups",
            "who",
            "created_at",
            "expires_at",
            "used_at",
            "revoked_at",
        ]
        read_only_fields = fields


class NewPersonInvitationSerializer(PersonInvitationSerializer):
    """An invitation just made."""

    link = serializers.URLField(
        read_only=True, help_text="Told this once; whoever opens it first becomes the person."
    )
    mailed = serializers.BooleanField(
        read_only=True,
        help_text="False: there is no mail server, or it refused it; hand the link over yourself.",
    )

    class Meta(PersonInvitationSerializer.Meta):
        fields = ["link", "mailed", *PersonInvitationSerializer.Meta.fields]
        read_only_fields = fields


class SessionSerializer(ClosedSerializer):
    """A browser that is signed in."""

    id = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    ip = serializers.CharField(help_text="Of an IPv6 client its network.")
    user_agent = serializers.CharField()


class NoticeSerializer(serializers.ModelSerializer[Notice]):
    class Meta:
        model = Notice
        fields = ["id", "kind", "title", "text", "link", "created_at", "read_at"]
        read_only_fields = fields


class ReadSerializer(ClosedSerializer):
    read = serializers.IntegerField(help_text="How many were not read before.")


class PastSearchSerializer(serializers.ModelSerializer[PastSearch]):
    class Meta:
        model = PastSearch
        fields = ["question", "asked_at"]
        read_only_fields = fields


class SearchHistorySerializer(serializers.Serializer[Any]):
    """Whether one's searches are kept, and which are, the latest first."""

    kept = serializers.BooleanField()
    searches = PastSearchSerializer(many=True)


class KeepSearchesSerializer(ClosedSerializer):
    kept = serializers.BooleanField(
        help_text="Whether searches are kept from now on; false erases what was kept."
    )


class ChannelsSerializer(ClosedSerializer):
    on_page = serializers.BooleanField()
    by_email = serializers.BooleanField()


class NoticeChoicesSerializer(ClosedSerializer):
    """By kind of notice: how the person is told of it."""

    choices = serializers.DictField(child=ChannelsSerializer())
