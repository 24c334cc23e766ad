"""The collector: removes what nobody needs, beside everything else; how much it would be, and how much it was.

It waits for nobody: rows that are locked are left for the next time, and a file goes only after the commit of
what named it, under a lock that whoever stores the same content takes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from engines.db.session_locks import only_one
from engines.files.artifacts import ArtifactStore
from migrations_app.collection.plans import PLAN_RULES
from migrations_app.collection.rows import ROW_RULES, SPACES
from migrations_app.collection.rules import Amount, CollectionRule, Place
from migrations_app.collection.vectors_and_files import PartRule, StoreRule, VectorRule
from migrations_app.models import CollectionRun

LOCK = 0x53414D02
"""Any number that no other advisory lock of this database has."""

EVERY = timedelta(hours=1)

RULES: tuple[CollectionRule, ...] = (
    *PLAN_RULES,
    *ROW_RULES,
    VectorRule(),
    SPACES,
    StoreRule(),
    PartRule(),
)
"""In an order in which what one leaves is found by a later one."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one rule found due, or removed."""

    rule: CollectionRule
    amount: Amount


def own_place(now: datetime | None = None) -> Place:
    """Return this installation's store and this machine's models folder."""
    return Place(
        now or timezone.now(),
        ArtifactStore(settings.SAM_ARTIFACT_STORE),
        settings.SAM_MODELS_DIR,
        settings.SAM_HOST_NAME,
    )


def is_collection_due() -> bool:
    """Whether no collector has begun for an hour; a time to come, from when a clock was ahead, is not one."""
    now = timezone.now()
    return not CollectionRun.objects.filter(
        started_at__gt=now - EVERY, started_at__lte=now
    ).exists()


def survey(place: Place) -> list[Collected]:
    """Count what each rule would remove now; changes nothing."""
    return [Collected(rule, rule.survey(place)) for rule in RULES]


def collect(place: Place) -> list[Collected] | None:
    """Remove what nobody needs and keep a record of it; None when another collector is at work."""
    with only_one(LOCK) as mine:
        if not mine:
            return None
        run = CollectionRun.objects.create(started_at=timezone.now())
        done = [Collected(rule, rule.collect(place)) for rule in RULES]
        total = sum_of(done)
        run.finished_at, run.count, run.size = timezone.now(), total.count, total.size
        run.report = {
            one.rule.name: [one.amount.count, one.amount.size] for one in done if one.amount.count
        }
        run.save()
        return done


def sum_of(parts: list[Collected]) -> Amount:
    """Add up what all rules found or removed."""
    return sum((part.amount for part in parts), Amount())
