"""Everything that lies in Redis by name, and the client for it.

Celery's own keys stand beside these, under the prefix of ``samproject.configuration.celery``; the names of the
queues are in ``migrations_app.wakeups``.
"""

from __future__ import annotations

from functools import lru_cache

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

READER_SECONDS = 3.0
"""How long Redis may take to answer a reader, the second that a read of its streams blocks included."""

# A live request: put by who asks, taken by a worker. Each of these keys expires by itself.


def request_key(request_id: str) -> str:
    """Name the key of a request's JSON: kind and payload."""
    return f"sam:live:{request_id}"


def taken_key(request_id: str) -> str:
    """Name the key of the lease of whoever works on a request: the process's name."""
    return f"sam:live:{request_id}:taken"


def reply_key(request_id: str) -> str:
    """Name the list into which the reply's JSON is pushed."""
    return f"sam:live:{request_id}:reply"


def stream_key(request_id: str) -> str:
    """Name the Redis stream of a request's events."""
    return f"sam:live:{request_id}:stream"


def reader_key(request_id: str) -> str:
    """Name the key that says that somebody still reads the answer."""
    return f"sam:live:{request_id}:reader"


def request_id_of(key: str) -> str:
    """Return the request that any of the five keys above belongs to."""
    return key.split(":")[2]


def new_streams_key(reader_id: str) -> str:
    """Name the Redis stream that tells a process's reader of streams it does not read yet."""
    return f"sam:web:{reader_id}"


# A host: how busy it is, what it has loaded, and what its processes hold.


def load_key(host_name: str) -> str:
    """Name the sorted set of the requests that count for a host, each until the moment of its score."""
    return f"sam:live-load:{host_name}"


def engines_key(host_name: str) -> str:
    """Name the set of the engines a host's live worker has loaded; it expires unless renewed."""
    return f"sam:live-engines:{host_name}"


def memory_held_key(host_name: str) -> str:
    """Name the hash of what each process of a host holds: JSON of bytes, bytes of GPUs, and until when."""
    return f"sam:engine-memory:{host_name}"


def memory_wanted_key(host_name: str) -> str:
    """Name the key of the process that wants room on a host."""
    return f"sam:engine-memory-wanted:{host_name}"


# A person.


def count_key(name: str) -> str:
    """Name the hash of how often a person or an address did something in a span of time."""
    return f"sam:count:{name}"


def held_key(kind: str, user_id: int) -> str:
    """Name the sorted set of what a person has under way, each with the time until which it counts."""
    return f"sam:held:{kind}:{user_id}"


def alone_key(name: str) -> str:
    """Name the sorted set of who has what only one may have at a time, as ``held_key``."""
    return f"sam:alone:{name}"


def cached_key(name: str) -> str:
    """Name the key of what a sign-in remembers for a while."""
    return f"sam:cache:{name}"


# What pages that are open are told.

NEWS_KEY = "sam:news"
"""The Redis stream of news, which every web process reads."""


# A plan.


def progress_key(plan_id: object) -> str:
    """Name the key of a running plan's progress: JSON of ``progress.PlanProgress``."""
    return f"sam:progress:{plan_id}"


# What an operator looks for.

EVERY_KEY = "sam:*"
EVERY_PROGRESS = progress_key("*")
PASSING = ("sam:live:", "sam:progress:", "sam:held:", "sam:alone:", "sam:count:", "sam:cache:")
"""How keys begin of which there is one for each request, plan or person: without an end they pile up."""


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


def stream_reading_client(url: str) -> AsyncRedis:
    """Return a client that reads streams of a Redis in one event loop, which it belongs to; no retries either."""
    return AsyncRedis.from_url(
        url,
        socket_timeout=READER_SECONDS,
        socket_connect_timeout=READER_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
        retry_on_error=[],
    )
