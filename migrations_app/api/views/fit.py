"""Whether a model fits a host, and which models a host should run; nothing is downloaded for it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from engines.fit.memory import Load
from engines.models import Host
from engines.services.catalog.fit import (
    DEFAULT_CONTEXT,
    best_host,
    default_load,
    fit_on_host,
    recommend_for_host,
    shape_of,
)
from engines.services.hosts import find_host
from migrations_app.api.base import ApiView, row_or_404, validated
from migrations_app.api.permissions import HostReader
from migrations_app.api.serializers.fit import (
    FitQuerySerializer,
    FitSerializer,
    RecommendationsSerializer,
)
from migrations_app.library import catalog_shown_to

PARAMETERS = frozenset({"context_length", "parallel", "cache_type", "host"})


class FitView(ApiView):
    """A model judged for a host, from the first megabytes of its file at the Hub."""

    query_parameters = PARAMETERS

    @extend_schema(parameters=[FitQuerySerializer], responses=FitSerializer)
    def get(self, request: Request, model_id: str) -> Response:
        """Say whether a model fits, what its memory is for and where its layers would go."""
        asked = validated(FitQuerySerializer(data=request.query_params.dict()))
        model = row_or_404(_visible_to(request), model_id=model_id)
        kind = {"parallel": asked["parallel"], "cache_type": asked["cache_type"]}
        host = _host(request, asked.get("host"))
        length = asked.get("context_length")
        load = Load(length, **kind) if length else default_load(shape_of(model), **kind)
        found = fit_on_host(model, host, load)
        answer = {
            "model_id": model.model_id,
            "host": found.host.name,
            "load": found.load,
            "longest_context": found.longest_context,
            "fit": found.placement.as_dict(),
        }
        return Response(FitSerializer(answer).data)


class RecommendView(ApiView):
    """The models a host should run, and why not the others."""

    query_parameters = PARAMETERS

    @extend_schema(parameters=[FitQuerySerializer], responses=RecommendationsSerializer)
    def get(self, request: Request) -> Response:
        """Recommend models for a host; those that do not fit are told why."""
        asked = validated(FitQuerySerializer(data=request.query_params.dict()))
        load = Load(
            asked.get("context_length", DEFAULT_CONTEXT), asked["parallel"], asked["cache_type"]
        )
        found = recommend_for_host(_visible_to(request), _host(request, asked.get("host")), load)
        answer = {
            "host": found.host.name,
            "load": found.load,
            "models": [judged.as_dict() for judged in found.judged],
            "unread": [model.model_id for model in found.unread],
        }
        return Response(RecommendationsSerializer(answer).data)


def _visible_to(request: Request) -> Any:
    return catalog_shown_to(request.user).select_related("current_revision")


def _host(request: Request, name: str | None) -> Host:
    if name is None:
        return best_host()
    if not HostReader().has_permission(request, None):
        raise PermissionDenied(HostReader.message)
    return find_host(name)
