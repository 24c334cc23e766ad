"""Sealed backups: that they are there, how large and when they were read back; never what is in them."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import mixins

from migrations_app.api.base import Rows
from migrations_app.api.serializers.plans import BackupSerializer
from migrations_app.models import Backup
from migrations_app.plans.visibility import backups_visible_to


class BackupViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Backup]):
    """One's own backups; an operator sees that everybody's are there."""

    serializer_class = BackupSerializer
    lookup_value_regex = "[0-9]{1,18}"
    queryset = Backup.objects.none()

    def get_queryset(self) -> QuerySet[Backup]:
        return backups_visible_to(self.request.user)
