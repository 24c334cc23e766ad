"""What must go on although no step runs: kept-up rollback targets, writers that a dead switch left waiting."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from engines.db.clock import seconds_from_now
from engines.models import CopyStatus, KnowledgeBase, ModelCopy, VectorIndex
from engines.services.hosts import present_hosts
from engines.services.knowledge.watched.due import due_folders
from migrations_app.models import IndexSwitch, MassMoveLine, Plan, PlanEvent
from migrations_app.plans.transitions import drop_unconfirmed
from migrations_app.states import PERSON_KINDS, PlanStatus
from migrations_app.wakeups import publish_keep_up, publish_look

MAX_DROPPED = 200
"""Drafts of one look; the next look is seconds away."""
MAX_FOLDERS = 100
SECONDS_BETWEEN_CALLS = 20
"""Of one folder: its host may have more to do, and messages are not to pile up there."""


def wake_keep_up(index: VectorIndex) -> bool:
    """Call a host that has the index's embedder; False when none is there."""
    here = copies_here().filter(revision=index.fingerprint.revision_id)
    copy = here.select_related("host").order_by("host__name").first()
    return copy is not None and publish_keep_up(index, copy.host)


def copies_here() -> QuerySet[ModelCopy]:
    """Return the files that present hosts have."""
    return ModelCopy.objects.filter(
        status=CopyStatus.DOWNLOADED, host__in=present_hosts().values("pk")
    )


def wake_base(base_id: int) -> None:
    """Have what was just written to a base embedded for its live index."""
    live = VectorIndex.objects.filter(live_for=base_id).select_related("fingerprint__revision")
    for index in live:
        wake_keep_up(index)


def wake_folders() -> int:
    """Call the hosts of watched folders that it is time to look at; returns how many folders."""
    lately = Q(called_at__gt=seconds_from_now(-SECONDS_BETWEEN_CALLS))
    due = due_folders().exclude(lately).filter(host__in=present_hosts().values("pk"))
    return sum(publish_look(folder) for folder in due.select_related("host")[:MAX_FOLDERS])


def retained_plans() -> QuerySet[Plan]:
    """Return the completed plans whose retention still runs: they may be taken back."""
    return Plan.objects.filter(status=PlanStatus.COMPLETED, retention_until__gt=timezone.now())


def retained_index_ids() -> set[int]:
    """Return the indexes that a completed plan may still be taken back to."""
    kept = IndexSwitch.objects.filter(plan__in=retained_plans(), from_index__isnull=False)
    return set(kept.values_list("from_index_id", flat=True))


def stale_downloads() -> QuerySet[ModelCopy]:
    """Return the copies that count as being downloaded although no plan fetches them."""
    # A way back fetches each embedder that it leads to.
    led_to = "rolls_back__index_switches__from_index__fingerprint__revision"
    fetching = Plan.objects.filter(status=PlanStatus.IN_PROGRESS, host=OuterRef("host")).filter(
        Q(to_revision=OuterRef("revision"))
        | Q(embedder_revision=OuterRef("revision"))
        | Q(**{led_to: OuterRef("revision")})
    )
    return ModelCopy.objects.filter(~Exists(fetching), status=CopyStatus.DOWNLOADING)


def end_stale_downloads() -> int:
    """Say of copies that no plan fetches any more that they are not there; returns how many.

    A paused plan said so of its own; a worker that had not heard of the pause may have said else since.
    """
    return stale_downloads().update(
        status=CopyStatus.NOT_DOWNLOADED, error="The download ended before the file was whole."
    )


def drop_forgotten_drafts(*, who: str) -> int:
    """Cancel the plans about people that nobody confirmed or changed for SAM_DRAFT_DAYS; returns how many.

    They hold neither host nor engine, but what they say of both is long untrue. 0 days keeps them.
    """
    days: int = settings.SAM_DRAFT_DAYS
    if not days:
        return 0
    before = seconds_from_now(-timedelta(days=days).total_seconds())
    touched = PlanEvent.objects.filter(plan=OuterRef("pk"), at__gte=before)
    in_turn = MassMoveLine.objects.filter(plan=OuterRef("pk"), move__finished_at=None)
    drafts = Plan.objects.filter(
        status=PlanStatus.PENDING, kind__in=PERSON_KINDS, confirmed_at=None, created_at__lt=before
    )
    why = f"Nobody confirmed it for {days} days."
    forgotten = (
        drafts.exclude(Exists(touched))
        .exclude(Exists(in_turn))
        .order_by("created_at", "pk")[:MAX_DROPPED]
    )
    return sum(drop_unconfirmed(plan.pk, who=who, why=why) for plan in forgotten)


def waiting_writers() -> QuerySet[KnowledgeBase]:
    """Return the bases whose writers embed for a switch that is no longer under way."""
    running = IndexSwitch.objects.filter(
        base=OuterRef("pk"),
        to_index=OuterRef("embed_on_write_for"),
        plan__status=PlanStatus.IN_PROGRESS,
    )
    return KnowledgeBase.objects.filter(~Exists(running), embed_on_write_for__isnull=False)


def release_writers() -> int:
    """End embed-on-write for bases whose switch is no longer under way; returns how many."""
    return waiting_writers().update(embed_on_write_for=None)
