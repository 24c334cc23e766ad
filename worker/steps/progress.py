"""How far a step is: to Redis at most twice a second, to the database every few seconds."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from msgspec import Struct, json
from redis.exceptions import RedisError

from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import Claim
from migrations_app.serving.redis_keys import progress_key, redis_client
from migrations_app.states import PlanStatus, StepStatus

logger = logging.getLogger(__name__)

REDIS_SECONDS = 0.5
DATABASE_SECONDS = 3.0
KEEP_SECONDS = 3600
DETAIL_CHARS = 300


class PlanProgress(Struct, frozen=True, kw_only=True):
    """How far a running plan is, for whoever reads it in Redis."""

    step: str
    progress: float
    """Of the step, from 0 to 1."""
    percentage: float
    """Of the plan."""
    detail: str


class ProgressReporter:
    """Tells people about one claimed step; what cannot be told is logged, never an error."""

    def __init__(self, step: Step, claim: Claim, steps_in_plan: int) -> None:
        self._step = step
        self._claim = claim
        self._steps = max(steps_in_plan, 1)
        self._told_redis = self._told_database = float("-inf")

    def tell(self, fraction: float, detail: str) -> None:
        """Report a fraction from 0 to 1 and a short sentence; most calls do nothing."""
        fraction = min(max(fraction, 0.0), 1.0)
        now = time.monotonic()
        if now - self._told_redis >= REDIS_SECONDS:
            self._told_redis = now
            self._tell_redis(fraction, detail)
        if now - self._told_database >= DATABASE_SECONDS and not connection.in_atomic_block:
            self._told_database = now
            self._tell_database(fraction, detail[:DETAIL_CHARS])

    def _tell_redis(self, fraction: float, detail: str) -> None:
        content = PlanProgress(
            step=self._step.kind,
            progress=round(fraction, 4),
            percentage=round(self._percentage(fraction), 2),
            detail=detail,
        )
        key = progress_key(self._step.plan_id)
        try:
            redis_client(settings.REDIS_URL).set(key, json.encode(content), ex=KEEP_SECONDS)
        except RedisError as error:
            logger.warning("Redis did not take the progress of step %s: %s", self._step.pk, error)

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
