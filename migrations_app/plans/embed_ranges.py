"""Ranges of chunks to embed: created once by the step, pulled by every host that has the embedder.

A range's status is written here only; like a step it is claimed by one conditional UPDATE with a fence
and a lease on the database's clock, but many at once (``SKIP LOCKED``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.models import Chunk, CopyStatus, Host, VectorIndex
from engines.services.knowledge.embeddings import RangeCounts
from migrations_app.models import EmbedRange, Step
from migrations_app.plans.lease_owners import owned_on
from migrations_app.plans.transitions import LeaseLostError, lock_room
from migrations_app.states import StepStatus

RANGE_CHUNKS = 256
"""Small, because people take turns between ranges: on two cores one takes about twenty seconds."""


@dataclass(frozen=True, slots=True)
class RangeClaim:
    """The right to embed one range until its lease ends or its fence rises."""

    range: EmbedRange
    fence: int


def create_ranges(step: Step, indexes: Sequence[VectorIndex]) -> int:
    """Cut the live chunks of each index's base into ranges, once; returns how many there are."""
    with transaction.atomic():
        Step.objects.select_for_update(no_key=True).get(pk=step.pk)
        if not step.ranges.exists():
            rows = [row for index in indexes for row in _ranges_of(step, index)]
            EmbedRange.objects.bulk_create(rows)
        return step.ranges.count()


def _ranges_of(step: Step, index: VectorIndex) -> list[EmbedRange]:
    live = Chunk.objects.filter(base_id=index.base_id, deleted_seq__isnull=True)
    ids = list(live.order_by("pk").values_list("pk", flat=True))
    return [
        EmbedRange(
            step=step,
            base_id=index.base_id,
            fingerprint_id=index.fingerprint_id,
            first_id=ids[start],
            last_id=ids[min(start + RANGE_CHUNKS, len(ids)) - 1],
        )
        for start in range(0, len(ids), RANGE_CHUNKS)
    ]


def claim_range(step_id: int, owner: str, host: Host) -> RangeClaim | None:
    """Take one range that this host can embed and nobody holds; None when there is none.

    None too while the host's limits leave no place, or leave it to somebody who has had fewer: who has
    ten texts does not wait for who has a million.
    """
    free = Q(status=StepStatus.PENDING) | Q(
        status=StepStatus.IN_PROGRESS, lease_until__lt=ClockTimestamp()
    )
    embeddable = Q(
        fingerprint__revision__copies__host=host,
        fingerprint__revision__copies__status=CopyStatus.DOWNLOADED,
    )
    with transaction.atomic():
        if not _has_turn(step_id, host):
            return None
        row = (
            EmbedRange.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(free, embeddable, step_id=step_id, step__status=StepStatus.IN_PROGRESS)
            .order_by("pk")
            .first()
        )
        if row is None:
            return None
        EmbedRange.objects.filter(pk=row.pk).update(
            status=StepStatus.IN_PROGRESS,
            fence=row.fence + 1,
            owner=owner,
            lease_until=seconds_from_now(settings.SAM_LEASE_SECONDS),
        )
        return RangeClaim(row, row.fence + 1)


def _has_turn(step_id: int, host: Host) -> bool:
    limits = Host.objects.get(pk=host.pk).parsed_limits()
    if not (limits.embedding_threads or limits.embedding_threads_per_person):
        return True
    lock_room(host.pk)
    running = EmbedRange.objects.filter(
        owned_on(host.name), status=StepStatus.IN_PROGRESS, lease_until__gte=ClockTimestamp()
    )
    step = Step.objects.select_related("plan").get(pk=step_id)
    whose = {"step": step} if step.plan.user_id is None else {"step__plan__user": step.plan.user_id}
    own_most = limits.embedding_threads_per_person
    if own_most and running.filter(**whose).count() >= own_most:
        return False
    if not limits.embedding_threads:
        return True
    room = limits.embedding_threads - running.count()
    return _count_ahead(step, host) < room


def _count_ahead(step: Step, host: Host) -> int:
    """Count the steps that wait here for a range as well and have had fewer.

    Only those whose holder lives: it asks twice a second, so a place that is left to it is taken.
    """
    had = Count("ranges", filter=~Q(ranges__status=StepStatus.PENDING))
    own = EmbedRange.objects.filter(step=step).exclude(status=StepStatus.PENDING).count()
    return _others_with_ranges(step, host).annotate(had=had).filter(had__lt=own).count()


def _others_with_ranges(step: Step, host: Host) -> QuerySet[Step]:
    """Return the steps of others that live here and have ranges that nobody embeds yet."""
    others = Step.objects.filter(
        host=host, status=StepStatus.IN_PROGRESS, lease_until__gte=ClockTimestamp()
    ).exclude(pk=step.pk)
    left = Count("ranges", filter=Q(ranges__status=StepStatus.PENDING))
    return others.annotate(left=left).filter(left__gt=0)


def waiting_for_range(step: Step, host: Host) -> list[Step]:
    """Return the steps beside one that embed nothing, because of how many ranges the host may embed at once."""
    if not Host.objects.get(pk=host.pk).parsed_limits().embedding_threads:
        return []
    now = Count("ranges", filter=Q(ranges__status=StepStatus.IN_PROGRESS))
    idle = _others_with_ranges(step, host).annotate(now=now).filter(now=0)
    return list(idle.select_related("plan", "host"))


def count_kept(claim: RangeClaim, counts: RangeCounts) -> None:
    """Add what became of some texts of a range to what earlier attempts at it came to.

    Whoever holds it by now: what an overtaken one stored is stored as well.
    """
    EmbedRange.objects.filter(pk=claim.range.pk).update(
        embedded=F("embedded") + counts.embedded,
        failed=F("failed") + counts.failed,
        cut=F("cut") + counts.cut,
    )


def finish_range(claim: RangeClaim) -> None:
    """Complete a range; LeaseLostError when another host took it over meanwhile.

    A range that is gone went with its base: then there is nothing to complete.
    """
    row = EmbedRange.objects.filter(pk=claim.range.pk)
    changed = row.filter(fence=claim.fence, status=StepStatus.IN_PROGRESS).update(
        status=StepStatus.COMPLETED,
        lease_until=None,
        owner="",
    )
    if changed != 1 and row.exists():
        raise LeaseLostError("Another host took this range over.")


def release_range(claim: RangeClaim) -> None:
    """Give a range back; a range that somebody else holds by now is left alone."""
    EmbedRange.objects.filter(
        pk=claim.range.pk, fence=claim.fence, status=StepStatus.IN_PROGRESS
    ).update(status=StepStatus.PENDING, lease_until=None, owner="")


def ranges_open(step_id: int) -> list[int]:
    """Return the keys of the ranges that nobody has completed."""
    rows = EmbedRange.objects.filter(step_id=step_id).exclude(status=StepStatus.COMPLETED)
    return list(rows.values_list("pk", flat=True))


def count_texts(step_id: int) -> dict[int, int]:
    """Return about how many texts each range of a step has, by its key.

    A base's ranges are of one size but for the last one; to count each alone would read them all.
    """
    rows = list(EmbedRange.objects.filter(step_id=step_id).order_by("pk"))
    sizes = dict.fromkeys((row.pk for row in rows), RANGE_CHUNKS)
    last_of = {(row.base_id, row.fingerprint_id): row for row in rows}
    for last in last_of.values():
        chunks = Chunk.objects.filter(base_id=last.base_id, deleted_seq__isnull=True)
        sizes[last.pk] = chunks.filter(pk__gte=last.first_id, pk__lte=last.last_id).count()
    return sizes
