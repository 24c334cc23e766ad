"""Fallback engines: which one answers for another that cannot be made ready, and when one did."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import CatalogModel, EngineFallback, FallbackIncident
from engines.services.people.fallbacks import ANY, set_fallback
from migrations_app.api.base import Rows, row_or_404, validated
from migrations_app.api.permissions import StaffOnly
from migrations_app.api.serializers.fallbacks import (
    FallbackIncidentSerializer,
    FallbackPutSerializer,
    FallbackSerializer,
)
from migrations_app.api.views.catalog import CatalogViews

STAFF = (IsAuthenticated, StaffOnly)


class FallbackViews(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    Rows[EngineFallback],
):
    """The rules, each by the engine that fails; ``any`` is the rule for all that have none."""

    serializer_class = FallbackSerializer
    permission_classes = STAFF
    lookup_field = "engine"
    lookup_value_regex = CatalogViews.lookup_value_regex
    page_ordering = ("id",)
    queryset = EngineFallback.objects.none()

    def get_queryset(self) -> QuerySet[EngineFallback]:
        return EngineFallback.objects.select_related("engine", "answers")

    def get_object(self) -> EngineFallback:
        named = self.kwargs["engine"]
        lookup = {"engine": None} if named == ANY else {"engine__model_id": named}
        return row_or_404(self.get_queryset(), **lookup)

    @extend_schema(request=FallbackPutSerializer, responses=FallbackSerializer)
    def update(self, request: Request, engine: str) -> Response:
        """Name what answers; 400 for an engine that only embeds, or that would answer for itself."""
        answers = validated(FallbackPutSerializer(data=request.data))["answers"]
        rule = set_fallback(
            None if engine == ANY else _model(engine), _model(answers) if answers else None
        )
        return Response(FallbackSerializer(rule).data)


class FallbackIncidentViews(mixins.ListModelMixin, Rows[FallbackIncident]):
    """When an engine answered for another, the newest first; ``ended_at`` is null while it does."""

    serializer_class = FallbackIncidentSerializer
    permission_classes = STAFF
    queryset = FallbackIncident.objects.none()

    def get_queryset(self) -> QuerySet[FallbackIncident]:
        return FallbackIncident.objects.select_related("revision__model", "answered_by__model")


def _model(model_id: str) -> CatalogModel:
    return row_or_404(CatalogModel.objects.all(), model_id=model_id)
