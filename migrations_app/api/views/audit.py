"""The audit: every change with its old and new value, and who made it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app.api.base import Rows, validated
from migrations_app.api.permissions import AdministratorOnly
from migrations_app.api.serializers.audit import AuditEntrySerializer, AuditQuerySerializer
from migrations_app.audit.entries import list_entries
from migrations_app.models import AuditEntry

_LOOKUPS = {"since": "at__gte", "until": "at__lt"}


class AuditViews(mixins.ListModelMixin, Rows[AuditEntry]):
    """Entries, the newest first; nothing writes, changes or deletes one here."""

    serializer_class = AuditEntrySerializer
    permission_classes = (IsAuthenticated, AdministratorOnly)
    query_parameters = frozenset(AuditQuerySerializer().fields)
    queryset = AuditEntry.objects.none()

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return list_entries()

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        sent = self.request.query_params
        query = {name: sent[name] for name in self.query_parameters if name in sent}
        asked = validated(AuditQuerySerializer(data=query))
        person = asked.pop("person", None)
        if person is not None:
            queryset = queryset.filter(person_pk__in=User.objects.filter(username=person))
        return queryset.filter(**{_LOOKUPS.get(name, name): each for name, each in asked.items()})

    @extend_schema(parameters=[AuditQuerySerializer])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List changes; an action of a person is found by `actor`, what happened to them by `person`."""
        return super().list(request, *args, **kwargs)
