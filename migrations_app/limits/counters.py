"""Counts that all processes share, in Redis; while it is away each process counts by itself.

Redis may be wiped at any moment: counts then begin anew. That is a choice: without it nobody could sign
in while Redis is away, least of all who has to bring it back.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from migrations_app.serving.redis_keys import count_key, redis_client

logger = logging.getLogger(__name__)

MAX_LOCAL = 10_000
"""Names counted without Redis; more are forgotten together."""


class Counted(NamedTuple):
    """The counts of a name's fields after adding, and seconds until they begin anew."""

    counts: tuple[int, ...]
    seconds_left: int


def add(name: str, fields: Sequence[str], seconds: int, amount: int = 1) -> Counted:
    """Add to fields of a name that live ``seconds`` from the first one on, all of them together."""
    try:
        return _add_shared(
            redis_client(settings.REDIS_URL), count_key(name), fields, seconds, amount
        )
    except RedisError as error:
        logger.warning("Redis is away, this process counts by itself: %s", error)
        return _local.add(name, fields, seconds, amount)


def forget(name: str) -> bool:
    """Begin a name's counts anew; returns whether there were any."""
    known = _local.forget(name)
    try:
        return bool(redis_client(settings.REDIS_URL).delete(count_key(name))) or known
    except RedisError as error:
        logger.warning("Redis is away, only this process begins anew: %s", error)
        return known


def digest(text: str) -> str:
    """Return a short name for something that shall not be read in Redis."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _add_shared(
    redis: Redis, key: str, fields: Sequence[str], seconds: int, amount: int
) -> Counted:
    with redis.pipeline(transaction=True) as pipeline:
        for field in fields:
            pipeline.hincrby(key, field, amount)
        pipeline.ttl(key)
        *counts, left = pipeline.execute()
    if left < 0:
        # Also when an earlier process ended right here: a count must not stay for ever.
        redis.expire(key, seconds)
        left = seconds
    return Counted(tuple(counts), int(left))


class _LocalCounters:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, tuple[float, dict[str, int]]] = {}

    def add(self, name: str, fields: Sequence[str], seconds: int, amount: int) -> Counted:
        now = time.monotonic()
        with self._lock:
            if len(self._names) >= MAX_LOCAL:
                self._names.clear()
            end, counts = self._names.get(name, (0.0, {}))
            if end <= now:
                end, counts = now + seconds, {}
            for field in fields:
                counts[field] = counts.get(field, 0) + amount
            self._names[name] = (end, counts)
            return Counted(tuple(counts[field] for field in fields), int(end - now) + 1)

    def forget(self, name: str) -> bool:
        with self._lock:
            return self._names.pop(name, None) is not None


_local = _LocalCounters()
