"""The engines of those who chose none: the organisation's, and a group's that goes before it.

A person's own choice goes before both and is theirs: ``/api/v1/preferences``.
"""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import CatalogModel, EngineDefault
from engines.services.people.defaults import clear_default, set_default
from migrations_app.api.base import ApiView, Rows, row_or_404, validated
from migrations_app.api.permissions import AdministratorDecides
from migrations_app.api.serializers.defaults import DefaultPutSerializer, DefaultSerializer

ADMINISTRATORS = (IsAuthenticated, AdministratorDecides)


class DefaultViews(mixins.ListModelMixin, Rows[EngineDefault]):
    """All defaults, the organisation's among them."""

    serializer_class = DefaultSerializer
    permission_classes = ADMINISTRATORS
    page_ordering = ("id",)
    queryset = EngineDefault.objects.none()

    def get_queryset(self) -> QuerySet[EngineDefault]:
        return EngineDefault.objects.select_related("group", "engine")


class OrganisationDefaultView(ApiView):
    """The engine of those who chose none and whose groups have none."""

    permission_classes = ADMINISTRATORS

    @extend_schema(responses=DefaultSerializer)
    def get(self, request: Request) -> Response:
        """Read it; 404 when there is none."""
        return _shown(None)

    @extend_schema(request=DefaultPutSerializer, responses=DefaultSerializer)
    def put(self, request: Request) -> Response:
        """Set it; 400 for an engine that cannot answer everybody."""
        return _set(request, None)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Clear it: who chose nothing has no engine then."""
        return _cleared(None)


class GroupDefaultView(ApiView):
    """The engine of a group's people who chose none, by the group's name."""

    permission_classes = ADMINISTRATORS

    @extend_schema(responses=DefaultSerializer)
    def get(self, request: Request, group: str) -> Response:
        """Read it; 404 when there is none."""
        return _shown(_group(group))

    @extend_schema(request=DefaultPutSerializer, responses=DefaultSerializer)
    def put(self, request: Request, group: str) -> Response:
        """Set it; 400 for an engine that cannot answer the whole group."""
        return _set(request, _group(group))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, group: str) -> Response:
        """Clear it: the organisation's default answers its people then."""
        return _cleared(_group(group))


def _group(name: str) -> Group:
    return row_or_404(Group.objects.all(), name=name)


def _shown(group: Group | None) -> Response:
    rows = EngineDefault.objects.select_related("group", "engine")
    return Response(DefaultSerializer(row_or_404(rows, group=group)).data)


def _set(request: Request, group: Group | None) -> Response:
    asked = validated(DefaultPutSerializer(data=request.data))
    engine = row_or_404(CatalogModel.objects.all(), model_id=asked["engine"])
    return Response(DefaultSerializer(set_default(group, engine)).data)


def _cleared(group: Group | None) -> Response:
    clear_default(group)
    return Response(status=status.HTTP_204_NO_CONTENT)
