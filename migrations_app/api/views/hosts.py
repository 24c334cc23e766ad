"""Hosts: read by those who run or feed them; invited, limited, drained, taken back and retired by operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import Host
from engines.services.hosts import invite_host
from migrations_app.api.base import Rows, refuse_content, validated
from migrations_app.api.permissions import HostReader, OperatorOnly
from migrations_app.api.serializers.catalog import HostSerializer
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
