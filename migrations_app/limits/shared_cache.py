"""Django's cache in Redis, for what allauth counts and remembers; while Redis is away, in this process.

Only small values that may be forgotten at any time lie here: how often somebody asked, and which code
was used already. They are JSON, so that nothing read from Redis is ever run.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

from migrations_app.limits.counters import digest
from migrations_app.serving.redis_keys import cached_key, redis_client

logger = logging.getLogger(__name__)

DEFAULT_SECONDS = 300


class SharedCache(BaseCache):
    """Get, set, add and delete; a value that JSON does not know is a TypeError."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._local = LocMemCache("sign-in", params)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        try:
            held = redis_client(settings.REDIS_URL).get(self._key(key, version))
        except RedisError as error:
            _warn(error)
            return self._local.get(key, default, version)
        return default if held is None else json.loads(held)

    def set(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        self._write(key, value, timeout, version, only_new=False)

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        return self._write(key, value, timeout, version, only_new=True)

    def delete(self, key: str, version: int | None = None) -> bool:
        had = self._local.delete(key, version)
        try:
            return bool(redis_client(settings.REDIS_URL).delete(self._key(key, version))) or had
        except RedisError as error:
            _warn(error)
            return had

    def clear(self) -> None:
        """Forget what this process holds; what lies in Redis ends by itself."""
        self._local.clear()

    def _write(
        self, key: str, value: Any, timeout: float | None, version: int | None, *, only_new: bool
    ) -> bool:
        lives = DEFAULT_SECONDS if timeout in (DEFAULT_TIMEOUT, None) else timeout
        milliseconds = max(1, int(float(lives or 0) * 1000))
        try:
            client = redis_client(settings.REDIS_URL)
            name = self._key(key, version)
            return bool(client.set(name, json.dumps(value), px=milliseconds, nx=only_new))
        except RedisError as error:
            _warn(error)
        if only_new:
            return self._local.add(key, value, timeout, version)
        self._local.set(key, value, timeout, version)
        return True

    def _key(self, key: str, version: int | None) -> str:
        return cached_key(digest(self.make_key(key, version)))


def _warn(error: RedisError) -> None:
    logger.warning("Redis is away, this process remembers by itself: %s", error)
