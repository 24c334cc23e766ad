"""Follows the notices of those who listen."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Max

from engines.models import Notice
from migrations_app.live.messages import Told

LOOK_BACK = 500
"""Notices before the newest one whose transactions may still be under way."""


class NoticeTail:
    """One process's place among the notices; its methods ask the database, so they need a thread.

    A notice stays in its list until it is read; so a place is enough here that is near the truth.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._newest = 0

    def begin(self) -> None:
        """Take what is there as known."""
        self._newest = Notice.objects.aggregate(newest=Max("pk"))["newest"] or 0
        recent = Notice.objects.filter(pk__gt=self._newest - LOOK_BACK)
        self._seen = set(recent.values_list("pk", flat=True))

    def read(self, user_ids: Collection[int]) -> list[tuple[int, Told]]:
        """Return the notices that appeared since, each with the person it is for."""
        if not user_ids:
            return []
        rows = list(
            Notice.objects.filter(user__in=user_ids, pk__gt=self._newest - LOOK_BACK)
            .exclude(pk__in=self._seen)
            .order_by("pk")
        )
        self._seen |= {row.pk for row in rows}
        self._newest = max([self._newest, *self._seen])
        self._seen = {number for number in self._seen if number > self._newest - LOOK_BACK}
        return [(row.user_id, _told(row)) for row in rows]


def _told(row: Notice) -> Told:
    return Told(id=row.pk, kind=row.kind, title=row.title, text=row.text, link=row.link)
