"""Which indexes somebody needs: everything else of a base's spaces may go."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from engines.models import Chunk, KnowledgeBase, VectorIndex
from migrations_app.models import IndexSwitch
from migrations_app.states import PLAN_OPEN, PlanStatus

SPARE = timedelta(days=7)
"""What a plan that ended without its switch has embedded is kept for so long: the next one starts from it."""


def needed_indexes(now: datetime) -> QuerySet[VectorIndex]:
    """Return the indexes that are live, that writers or open plans use, or a way back leads to.

    So are those that a plan left a moment ago, and those that are new.
    """
    used = IndexSwitch.objects.filter(
        Q(plan__status__in=PLAN_OPEN)
        | Q(plan__rollbacks__status__in=PLAN_OPEN)
        | Q(plan__finished_at__gt=now - SPARE)
        | Q(plan__status=PlanStatus.COMPLETED, plan__retention_until__gt=now)
    )
    live = KnowledgeBase.objects.filter(live_index=OuterRef("pk"))
    written = KnowledgeBase.objects.filter(embed_on_write_for=OuterRef("pk"))
    return VectorIndex.objects.filter(
        Q(Exists(live))
        | Q(Exists(written))
        | Q(Exists(used.filter(from_index=OuterRef("pk"))))
        | Q(Exists(used.filter(to_index=OuterRef("pk"))))
        | Q(created_at__gt=now - SPARE)
    )


def unneeded_indexes(now: datetime) -> QuerySet[VectorIndex]:
    """Return the indexes nobody needs that still hold something: a file, or a row no plan tells of."""
    told = Q(Exists(_switches("from_index"))) | Q(Exists(_switches("to_index")))
    holds_something = Q(base_seq__isnull=False) | ~told
    needed = needed_indexes(now).filter(pk=OuterRef("pk"))
    return VectorIndex.objects.filter(holds_something, ~Exists(needed))


def release_indexes(rows: QuerySet[VectorIndex], now: datetime) -> int:
    """Let the files of indexes nobody needs go, and the rows that no plan tells of; returns how many.

    Under the lock of their bases, because a plan takes an index into use under it; a base that is locked
    is left for the next time.
    """
    bases = KnowledgeBase.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
    held = list(bases.filter(indexes__in=rows.values("pk")).order_by("pk").values_list("pk"))
    free = unneeded_indexes(now).filter(pk__in=rows.values("pk"), base__in=[pk for (pk,) in held])
    keys = list(free.values_list("pk", flat=True))
    # A plan's page still tells between which spaces it moved.
    VectorIndex.objects.filter(pk__in=keys).update(
        base_seq=None, file_key="", file_sha256="", file_count=0, covered_seq=0
    )
    unneeded_indexes(now).filter(pk__in=keys).delete()
    return len(keys)


def unneeded_tombstones(now: datetime) -> QuerySet[Chunk]:
    """Return the deleted chunks that no file of a needed index still holds.

    An index whose first file is being built may hold any of them.
    """
    holding = Q(base_seq__isnull=True) | Q(base_seq__lt=OuterRef("deleted_seq"))
    needed = needed_indexes(now).filter(holding, base=OuterRef("base"))
    return Chunk.objects.filter(~Exists(needed), deleted_seq__isnull=False)


def _switches(field: str) -> QuerySet[IndexSwitch]:
    return IndexSwitch.objects.filter(**{field: OuterRef("pk")})
