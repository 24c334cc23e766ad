"""The names of what lies in Redis while a request is under way, and the client for it."""

from __future__ import annotations

from functools import lru_cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def request_key(request_id: str) -> str:
    """Name the key of a request's JSON: kind and payload."""
    return f"sam:live:{request_id}"


def taken_key(request_id: str) -> str:
    """Name the key of the lease of whoever works on a request."""
    return f"sam:live:{request_id}:taken"


def reply_key(request_id: str) -> str:
    """Name the list into which the reply's JSON is pushed."""
    return f"sam:live:{request_id}:reply"


def progress_key(plan_id: object) -> str:
    """Name the key of a running plan's progress: JSON with step, progress (0 to 1), percentage, detail."""
    return f"sam:progress:{plan_id}"


@lru_cache(maxsize=4)
def redis_client(url: str) -> Redis:
    """Return this process's client of a Redis: short waits, and no retries that nobody sees."""
    return Redis.from_url(
        url,
        socket_timeout=5.0,
        socket_connect_timeout=5.0,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )
