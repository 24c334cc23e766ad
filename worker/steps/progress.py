"""How far a step is: to Redis at most twice a second, to the database every few seconds."""

from __future__ import annotations

import logging
import time

from django.db import InterfaceError, OperationalError, connection
from msgspec import structs

from migrations_app.models import Plan, Step
from migrations_app.plans.time_left import Amount, PaceMeter
from migrations_app.plans.transitions import Claim
from migrations_app.serving.news import ProgressNews, tell
from migrations_app.serving.progress import PlanProgress
from migrations_app.states import PlanStatus, StepStatus

logger = logging.getLogger(__name__)

REDIS_SECONDS = 0.5
DATABASE_SECONDS = 3.0
DETAIL_CHARS = 300


class ProgressReporter:
    """Tells people about one claimed step; what cannot be told is logged, never an error."""

    def __init__(self, step: Step, claim: Claim, steps_in_plan: int) -> None:
        self._step = step
        self._claim = claim
        self._steps = max(steps_in_plan, 1)
        self._meter = PaceMeter()
        self._told_redis = self._told_database = float("-inf")

    def tell(self, fraction: float, detail: str, amount: Amount | None = None) -> None:
        """Report a fraction from 0 to 1, a short sentence and what is counted; most calls do nothing."""
        fraction = min(max(fraction, 0.0), 1.0)
        now = time.monotonic()
        if amount is not None:
            self._meter.add(amount, now)
        if now - self._told_redis >= REDIS_SECONDS:
            self._told_redis = now
            self._tell_redis(fraction, detail, amount)
        if now - self._told_database >= DATABASE_SECONDS and not connection.in_atomic_block:
            self._told_database = now
            self._tell_database(fraction, detail[:DETAIL_CHARS])

    def _tell_redis(self, fraction: float, detail: str, amount: Amount | None) -> None:
        plan = self._step.plan
        progress = PlanProgress(
            step=self._step.kind,
            progress=round(fraction, 4),
            percentage=round(self._percentage(fraction), 2),
            detail=detail,
        )
        if amount is not None:
            progress = self._with_amount(progress, amount)
        tell(
            ProgressNews(
                plan=str(plan.pk),
                user=plan.user_id,
                created_by=plan.created_by_id,
                progress=progress,
            )
        )

    def _with_amount(self, progress: PlanProgress, amount: Amount) -> PlanProgress:
        pace = self._meter.pace(time.monotonic())
        return structs.replace(
            progress,
            done=amount.done,
            total=amount.total,
            unit=amount.unit,
            rate=None if pace.rate is None else round(pace.rate, 2),
            seconds_left=None if pace.seconds_left is None else round(pace.seconds_left, 1),
            pace=pace.in_words(amount.unit),
        )

    def _tell_database(self, fraction: float, detail: str) -> None:
        mine = Step.objects.filter(
            pk=self._step.pk, fence=self._claim.fence, status=StepStatus.IN_PROGRESS
        )
        try:
            if mine.update(progress=fraction, detail=detail):
                Plan.objects.filter(pk=self._step.plan_id, status=PlanStatus.IN_PROGRESS).exclude(
                    progress_percentage__gte=self._percentage(fraction)
                ).update(progress_percentage=self._percentage(fraction))
        except (OperationalError, InterfaceError) as error:
            logger.warning("The progress of step %s was not kept: %s", self._step.pk, error)
            connection.close()

    def _percentage(self, fraction: float) -> float:
        return 100.0 * (self._step.position + fraction) / self._steps
