"""Tokens used by person and day, and quotas."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import TokenQuota, TokenUsage
from engines.services.people.roles import is_operator
from engines.services.people.usage import MAX_DAYS, remove_quota, set_quota, usage_rows
from migrations_app.api.base import Rows, row_or_404, validated
from migrations_app.api.permissions import AdministratorWrites
from migrations_app.api.serializers.curation import (
    EVERYBODY,
    QuotaPutSerializer,
    QuotaSerializer,
    UsageSerializer,
)

DEFAULT_DAYS = 7
PERSON = r"\*|[\w.@+-]{1,150}"
DAYS = OpenApiParameter(
    "days", OpenApiTypes.INT, description=f"How many days back, today included; at most {MAX_DAYS}."
)


class UsageViews(mixins.ListModelMixin, Rows[TokenUsage]):
    """One's own usage; operators read everybody's."""

    serializer_class = UsageSerializer
    query_parameters = frozenset({"days"})
    page_ordering = ("-day", "user_id")
    queryset = TokenUsage.objects.none()

    def get_queryset(self) -> QuerySet[TokenUsage]:
        rows = usage_rows(self._days())
        return rows if is_operator(self.request.user) else rows.filter(user=self.caller)

    @extend_schema(parameters=[DAYS])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List tokens by person and day, the newest day first."""
        return super().list(request, *args, **kwargs)

    def _days(self) -> int:
        sent = self.request.query_params.get("days", str(DEFAULT_DAYS))
        if not sent.isascii() or not sent.isdecimal() or not 1 <= int(sent[:9]) <= MAX_DAYS:
            raise ValidationError({"days": [f"A whole number from 1 to {MAX_DAYS}."]})
        return int(sent)


class QuotaViews(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, Rows[TokenQuota]
):
    """Quotas, each by its person's name; ``*`` is the one of who has none."""

    serializer_class = QuotaSerializer
    permission_classes = (IsAuthenticated, AdministratorWrites)
    lookup_field = "person"
    lookup_value_regex = PERSON
    page_ordering = ("id",)
    queryset = TokenQuota.objects.none()

    def get_queryset(self) -> QuerySet[TokenQuota]:
        return TokenQuota.objects.select_related("user")

    def get_object(self) -> TokenQuota:
        return row_or_404(self.get_queryset(), user=self._person())

    @extend_schema(request=QuotaPutSerializer, responses=QuotaSerializer)
    def update(self, request: Request, person: str, **lookup: Any) -> Response:
        """Set how many tokens a person may use a day, in and out together."""
        asked = validated(QuotaPutSerializer(data=request.data))
        quota = set_quota(self._person(), asked["tokens_per_day"])
        return Response(QuotaSerializer(quota).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, person: str, **lookup: Any) -> Response:
        """Take a quota away."""
        self.get_object()
        remove_quota(self._person())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _person(self) -> User | None:
        named = str(self.kwargs["person"])
        return None if named == EVERYBODY else row_or_404(User.objects.all(), username=named)
