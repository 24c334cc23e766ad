"""Plans whose history has passed.

Each is locked as everybody locks plans, steps before plan, and only while nobody else has it: that costs a
statement more than a batch of rows, and can stand in nobody's way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from migrations_app.collection.rules import Amount, Place, survey_rows, with_sizes
from migrations_app.models import Backup, MassMoveLine, Plan, Step
from migrations_app.states import PLAN_FINAL

PAGE = 500


@dataclass(frozen=True, slots=True)
class PlanRule:
    """Plans that a query finds; each is locked, looked at again and ended in a transaction of its own."""

    name: str
    why: str
    due: Callable[[datetime], QuerySet[Plan]]
    end: Callable[[Any], None]

    def survey(self, place: Place) -> Amount:
        return survey_rows(self.due(place.now))

    def collect(self, place: Place) -> Amount:
        total, after = Amount(), None
        while True:
            rows = with_sizes(self.due(place.now)).order_by("pk")
            rows = rows if after is None else rows.filter(pk__gt=after)
            page = list(rows.values_list("pk", "row_bytes")[:PAGE])
            if not page:
                return total
            after = page[-1][0]
            total += sum(
                (Amount(1, size) for pk, size in page if self._end(pk, place.now)), Amount()
            )

    def _end(self, key: Any, now: datetime) -> bool:
        try:
            with transaction.atomic():
                _lock_with_rollbacks(key)
                if not self.due(now).filter(pk=key).exists():
                    return False
                self.end(key)
                return True
        except OperationalError:
            # Somebody has it: it is left for the next time. A database that is away is the next rule's.
            return False


def _lock_with_rollbacks(key: Any) -> None:
    """Lock steps, then plans; OperationalError at once when somebody has one of them."""
    mine = Q(pk=key) | Q(rolls_back=key)
    plans = Plan.objects.filter(mine)
    steps = Step.objects.select_for_update(nowait=True).filter(plan__in=plans.values("pk"))
    list(steps.order_by("pk"))
    list(plans.select_for_update(nowait=True, of=("self",)).order_by("pk"))


def history(now: datetime) -> QuerySet[Plan]:
    """Plans that ended long ago, as long as nothing of theirs is kept.

    That is a backup, a way back, a rollback that is younger, or the move of many people that tells of it.
    """
    if not settings.SAM_HISTORY_DAYS:
        return Plan.objects.none()
    before = now - timedelta(days=settings.SAM_HISTORY_DAYS)
    old = Q(status__in=PLAN_FINAL, finished_at__lt=before)
    has_backup = Q(Exists(Backup.objects.filter(plan=OuterRef("pk"))))
    kept = Plan.objects.filter(~old | has_backup, rolls_back=OuterRef("pk"))
    told = MassMoveLine.objects.filter(plan=OuterRef("pk")).exclude(move__finished_at__lt=before)
    return Plan.objects.filter(old, rolls_back__isnull=True).exclude(
        Q(retention_until__gt=now) | Q(Exists(kept)) | has_backup | Q(Exists(told))
    )


def forget_plan(key: Any) -> None:
    """Delete a plan with its steps and events, its rollbacks first."""
    Plan.objects.filter(rolls_back=key).delete()
    Plan.objects.filter(pk=key).delete()


PLAN_RULES = (
    PlanRule(
        "history",
        "An ended plan goes with steps and events after SAM_HISTORY_DAYS, unless its backup or its mass move "
        "is kept.",
        history,
        forget_plan,
    ),
)
