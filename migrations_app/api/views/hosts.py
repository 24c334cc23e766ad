"""Hosts, for those who run or feed them."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import mixins
from rest_framework.permissions import IsAuthenticated

from engines.models import Host
from migrations_app.api.base import Rows
from migrations_app.api.permissions import HostReader
from migrations_app.api.serializers.catalog import HostSerializer


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
