"""Which folders of hosts it is time to look at; what is asked of the database alone."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from engines.db.clock import ClockTimestamp
from engines.models import WatchedFolder


def due_folders() -> QuerySet[WatchedFolder]:
    """Return the folders that it is time to look at and nobody looks at; not of people who are deactivated."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=ClockTimestamp())
    in_use = Q(base__owner=None) | Q(base__owner__is_active=True)
    due = WatchedFolder.objects.filter(free, in_use, next_look_at__lte=ClockTimestamp())
    return due.order_by("next_look_at", "pk")
