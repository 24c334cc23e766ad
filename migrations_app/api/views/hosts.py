"""Hosts: read by those who run or feed them; invited, limited, drained, taken back and retired by operators.

And the folders of theirs that bases are kept in step with: attached by administrators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import Host, WatchedFolder
from engines.services.hosts import invite_host
from engines.services.knowledge.watched.attaching import (
    ADMINISTRATORS_ONLY,
    WRITERS_ONLY,
    attach_folder,
    detach_folder,
    folders_visible_to,
    look_now,
    may_direct,
)
from engines.services.people.roles import is_administrator
from migrations_app.api.base import Rows, refuse_content, validated
from migrations_app.api.permissions import HostReader, OperatorOnly
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.catalog import HostSerializer
from migrations_app.api.serializers.folders import AttachSerializer, WatchedFolderSerializer
from migrations_app.api.serializers.hosts import (
    DependentsSerializer,
    DrainSerializer,
    HostEventSerializer,
    InvitationSerializer,
    InviteSerializer,
    LimitsSerializer,
)
from migrations_app.hosts import (
    drain_host,
    limit_host,
    resume_host,
    retire_host,
    sole_holder_impact,
)

OPERATORS = (IsAuthenticated, OperatorOnly)


class HostViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Host]):
    """The machines that keep model files and run engines."""

    serializer_class = HostSerializer
    permission_classes = (IsAuthenticated, HostReader)
    lookup_field = "name"
    lookup_value_regex = "[a-z0-9][a-z0-9-]{0,62}"
    page_ordering = ("name",)
    queryset = Host.objects.none()

    def get_queryset(self) -> QuerySet[Host]:
        return Host.objects.all()

    @extend_schema(request=InviteSerializer, responses={201: InvitationSerializer})
    @action(detail=True, methods=["post"], permission_classes=OPERATORS)
    def invite(self, request: Request, name: str) -> Response:
        """Make a token with which one machine may join once under this name."""
        asked = validated(InviteSerializer(data=request.data))
        token, invitation = invite_host(
            name, who=self.request.user.get_username(), hours=asked["hours"]
        )
        invitation.token = token  # type: ignore[attr-defined]
        return Response(InvitationSerializer(invitation).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=DependentsSerializer)
    @action(detail=True, methods=["get"])
    def dependents(self, request: Request, **lookup: Any) -> Response:
        """Tell who needs what only this host holds, before it is drained."""
        return Response(DependentsSerializer(sole_holder_impact(self.get_object())).data)

    @extend_schema(responses=HostEventSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def events(self, request: Request, **lookup: Any) -> Response:
        """Tell every change of its status: when, who and why."""
        events = self.get_object().events.order_by("id")
        return Response(HostEventSerializer(events, many=True).data)

    @extend_schema(request=DrainSerializer, responses=HostSerializer)
    @action(detail=True, methods=["post"], permission_classes=OPERATORS)
    def drain(self, request: Request, **lookup: Any) -> Response:
        """Let it finish what it does and take nothing new; 409 names who needs it alone."""
        asked = validated(DrainSerializer(data=request.data))
        host = drain_host(
            self.get_object(), who=self.request.user.get_username(), force=asked["knowing"]
        )
        return Response(HostSerializer(host).data)

    @extend_schema(request=LimitsSerializer, responses=HostSerializer)
    @action(detail=True, methods=["put"], permission_classes=OPERATORS)
    def limits(self, request: Request, **lookup: Any) -> Response:
        """Set what it may do at once; what is left out has no limit."""
        wanted = validated(LimitsSerializer(data=request.data))
        host = limit_host(self.get_object(), wanted, who=self.request.user.get_username())
        return Response(HostSerializer(host).data)

    @extend_schema(request=None, responses=HostSerializer)
    @action(detail=True, methods=["post"], permission_classes=OPERATORS)
    def resume(self, request: Request, **lookup: Any) -> Response:
        """Take a draining host back into service."""
        return self._moved(resume_host)

    @extend_schema(request=None, responses=HostSerializer)
    @action(detail=True, methods=["post"], permission_classes=OPERATORS)
    def retire(self, request: Request, **lookup: Any) -> Response:
        """Let a drained host go for good; it can come back only with a new token."""
        return self._moved(retire_host)

    def _moved(self, move: Callable[..., Host]) -> Response:
        refuse_content(self.request)
        host = move(self.get_object(), who=self.request.user.get_username())
        return Response(HostSerializer(host).data)


class WatchedFolderViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[WatchedFolder]):
    """The folders that the bases one reads are kept in step with; an administrator's view has all."""

    serializer_class = WatchedFolderSerializer
    lookup_value_regex = "[0-9]{1,18}"
    page_ordering = ("id",)
    queryset = WatchedFolder.objects.none()

    def get_queryset(self) -> QuerySet[WatchedFolder]:
        return folders_visible_to(self.request.user)

    @extend_schema(
        request=AttachSerializer, responses={201: WatchedFolderSerializer}, parameters=[LOCATION]
    )
    def create(self, request: Request) -> Response:
        """Keep a base in step with a folder of a host; administrators only."""
        if not is_administrator(request.user):
            raise PermissionDenied(ADMINISTRATORS_ONLY)
        asked = validated(AttachSerializer(data=request.data))
        made = attach_folder(
            asked["base_id"],
            asked["host"],
            asked["path"],
            every_seconds=asked["every_seconds"],
            keep_deleted=asked["keep_deleted"],
        )
        return Response(
            self.get_serializer(self.get_queryset().get(pk=made.pk)).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("api:watched-folder-detail", kwargs={"pk": made.pk})},
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Look at it no more; its documents stay."""
        detach_folder(self._directed().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=WatchedFolderSerializer)
    @action(detail=True, methods=["post"], url_path="look-now", url_name="look-now")
    def look_now(self, request: Request, **lookup: Any) -> Response:
        """Have it looked at as soon as its host can."""
        refuse_content(request)
        return Response(self.get_serializer(look_now(self._directed().pk)).data)

    def _directed(self) -> WatchedFolder:
        folder = self.get_object()
        if not may_direct(self.request.user, folder):
            raise PermissionDenied(WRITERS_ONLY)
        return folder
