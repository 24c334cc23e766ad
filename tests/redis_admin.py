"""A client that may empty the Redis of this test run, which SAM's own may not."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from redis import Redis

from tests.supervisor.sql import redis_admin_url


def admin_redis(**options: Any) -> Redis:
    own = settings.SAM_EMBEDDED_REDIS
    url = redis_admin_url(settings.SAM_LOCATIONS) if own else settings.REDIS_URL
    return Redis.from_url(url, **options)
