"""How far a running plan is, as it lies in Redis for whoever looks; the database knows it less exactly."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from msgspec import Struct, json, structs
from redis.exceptions import RedisError

from engines.parsing import UNREADABLE
from migrations_app.serving.redis_keys import progress_key, redis_client

logger = logging.getLogger(__name__)

KEEP_SECONDS = 3600
STALE_SECONDS = 20.0
"""A worker that has told nothing for so long is busy otherwise or gone: the time left is unknown."""


class PlanProgress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a running plan is; the amounts are the running step's."""

    step: str
    progress: float
    """Of the step, from 0 to 1."""
    percentage: float
    """Of the plan."""
    detail: str
    done: float | None = None
    total: float | None = None
    unit: str | None = None
    """What ``done`` and ``total`` count: bytes or texts."""
    rate: float | None = None
    """Units a second; None while it is not known."""
    seconds_left: float | None = None
    """Of the step; None while it is not known."""
    pace: str = ""
    """Both in words, as people read them; empty while they are not known."""


_PROGRESS = json.Decoder(PlanProgress)


def without_pace(progress: PlanProgress) -> PlanProgress:
    """Return what is still known when nothing was told for a while."""
    return structs.replace(progress, rate=None, seconds_left=None, pace="")


def read_progress(plan_ids: Iterable[UUID | str]) -> dict[str, PlanProgress]:
    """Return what Redis knows of plans, by their ids; nothing while it is away.

    What has not been told anew for ``STALE_SECONDS`` comes without its pace.
    """
    ids = [str(plan_id) for plan_id in plan_ids]
    if not ids:
        return {}
    try:
        with redis_client(settings.REDIS_URL).pipeline(transaction=False) as commands:
            for plan_id in ids:
                commands.get(progress_key(plan_id))
                # The age by Redis' own clock: the worker's and ours may differ.
                commands.pttl(progress_key(plan_id))
            found = commands.execute()
    except RedisError as error:
        logger.warning("Redis is away, progress is read from the database only: %s", error)
        return {}
    pairs = zip(ids, found[::2], found[1::2], strict=True)
    known = {plan_id: _aged(content, left) for plan_id, content, left in pairs if content}
    return {plan_id: progress for plan_id, progress in known.items() if progress is not None}


def _aged(content: bytes, milliseconds_left: int) -> PlanProgress | None:
    try:
        progress = _PROGRESS.decode(content)
    except UNREADABLE:
        # A worker of another version; the database still says how far the plan is.
        return None
    age = KEEP_SECONDS - milliseconds_left / 1000
    return without_pace(progress) if age > STALE_SECONDS else progress
