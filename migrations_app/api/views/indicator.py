"""The engine indicator for any face: a bot, a status bar, a page of somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app.api.base import ApiView
from migrations_app.api.serializers.indicator import IndicatorSerializer
from migrations_app.indicator import adapter_warning_of, indicator_of


class IndicatorView(ApiView):
    @extend_schema(operation_id="me_engine", responses=IndicatorSerializer)
    def get(self, request: Request) -> Response:
        """Tell which engine answers the caller, how that stands, and which adapters it left behind."""
        return Response(shown_indicator(self.caller))


def shown_indicator(user: User) -> Mapping[str, Any]:
    """Return which engine answers a person, how that stands, and which adapters it left behind."""
    indicator = indicator_of(user)
    shown = {
        "status": indicator.status.value,
        "look": indicator.look,
        "sentence": indicator.sentence,
        "engine": indicator.engine,
        "moving": indicator.moving,
        "adapter_warning": adapter_warning_of(indicator, user),
    }
    return IndicatorSerializer(shown).data
