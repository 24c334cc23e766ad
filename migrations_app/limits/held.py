"""How much one person may have under way at once, counted for all processes.

What is under way lies in Redis with a short lease that its process renews: what a killed process held is
free again within seconds. While Redis is away nothing is counted; no answer can be given then either.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakSet

from django.conf import settings
from redis.exceptions import RedisError

from engines.exceptions import SamError
from migrations_app.limits.rates import TooManyRequestsError
from migrations_app.serving.redis_keys import alone_key, held_key, redis_client

logger = logging.getLogger(__name__)

ANSWERS, UPLOADS, LISTENERS = "answers", "uploads", "listeners"
LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2


class TooManyAtOnceError(TooManyRequestsError):
    """A person has as much under way as is allowed."""

    code = "too_many_at_once"


class Held:
    """A place that a person holds until ``release``, which may be called twice and from any thread."""

    def __init__(self, key: str, member: str) -> None:
        self.key = key
        self.member = member

    def release(self) -> None:
        _renewer.remove(self)
        # Without Redis the lease ends by itself.
        with suppress(RedisError):
            redis_client(settings.REDIS_URL).zrem(self.key, self.member)


def hold(user_id: int, kind: str) -> Held | None:
    """Take one of a person's places; None without a limit. Raises TooManyAtOnceError."""
    most: int = settings.SAM_AT_ONCE[kind]
    if not most:
        return None
    refusal = TooManyAtOnceError(
        f"You have {most} {kind} under way, which is as many as are allowed; ask again when one "
        "has ended.",
        RETRY_SECONDS,
    )
    return _take(held_key(kind, user_id), most, refusal)


def hold_alone(name: str, refusal: SamError) -> Held | None:
    """Take what only one may have at a time; raises ``refusal`` while somebody has it."""
    return _take(alone_key(name), 1, refusal)


def _take(key: str, most: int, refusal: SamError) -> Held | None:
    """Take one of some places; None while Redis is away, for nothing is counted then."""
    held = Held(key, uuid.uuid4().hex)
    now = time.time()
    try:
        with redis_client(settings.REDIS_URL).pipeline(transaction=True) as pipeline:
            pipeline.zremrangebyscore(held.key, "-inf", now)
            pipeline.zadd(held.key, {held.member: now + LEASE_SECONDS})
            pipeline.expire(held.key, int(LEASE_SECONDS))
            pipeline.zcard(held.key)
            count = pipeline.execute()[-1]
    except RedisError as error:
        logger.warning("Redis is away, nothing is counted: %s", error)
        return None
    if count > most:
        held.release()
        raise refusal
    _renewer.add(held)
    return held


@contextmanager
def holding(user_id: int, kind: str) -> Iterator[None]:
    """Hold one of a person's places for as long as the block runs; TooManyAtOnceError."""
    held = hold(user_id, kind)
    try:
        yield
    finally:
        if held is not None:
            held.release()


class _Renewer:
    """Renews the leases of this process in a thread that lives as long as there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Weakly: what nobody gives back any more, as of a client that left before its answer had begun,
        # is free when its lease ends.
        self._held: WeakSet[Held] = WeakSet()
        self._thread: threading.Thread | None = None

    def add(self, held: Held) -> None:
        with self._lock:
            self._held.add(held)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="places", daemon=True)
                self._thread.start()

    def remove(self, held: Held) -> None:
        with self._lock:
            self._held.discard(held)

    def _run(self) -> None:
        while self._wait_for_turn():
            try:
                self._renew()
            except RedisError as error:
                logger.warning("places are not renewed, Redis is away: %s", error)

    def _wait_for_turn(self) -> bool:
        threading.Event().wait(RENEW_SECONDS)
        with self._lock:
            if not self._held:
                self._thread = None
            return bool(self._held)

    def _renew(self) -> None:
        with self._lock:
            held = list(self._held)
        until = time.time() + LEASE_SECONDS
        with redis_client(settings.REDIS_URL).pipeline(transaction=True) as pipeline:
            for place in held:
                pipeline.zadd(place.key, {place.member: until})
                pipeline.expire(place.key, int(LEASE_SECONDS))
            pipeline.execute()


_renewer = _Renewer()
