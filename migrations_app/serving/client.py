"""Ask a host's live worker for something a person is waiting for: vectors, an answer, a search.

The request lies in Redis under a key that ends with the caller's patience; the message carries its id and
is only a wake-up. A worker takes a request by setting a short lease beside it (``NX``) and renews that
while it works. So a request whose worker died, whose message was lost, or that was lost with all of Redis
is seen by its caller and sent again, and one whose caller gave up is dropped.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Collection, Iterator
from itertools import cycle
from typing import cast

from django.db import close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from engines.exceptions import HostUnavailableError
from migrations_app.queues import live_queue
from migrations_app.serving.hosts import hosts_for
from migrations_app.serving.live_messages import compose
from migrations_app.serving.protocol import TASK_PREFIX, LiveKind, Reply, Request
from migrations_app.serving.redis_keys import redis_client, reply_key, request_key, taken_key

logger = logging.getLogger(__name__)

READ_SECONDS = 1.0
"""The longest a read blocks: a longer one hides that the connection is dead."""
WAKE_SECONDS = 5.0
"""How long a message may lie before another host is called."""
REPLY_SECONDS = 60


class LiveClient:
    """Calls live workers; safe to share between threads."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis_client(redis_url)

    def call(
        self,
        kind: LiveKind[Request, Reply],
        request: Request,
        *,
        host: str | None = None,
        without: Collection[str] = (),
        timeout: float = 30.0,
    ) -> Reply:
        """Return the reply of the named host, or of the least busy one that can, ``without`` some.

        ``timeout`` is in seconds. Raises HostUnavailableError (transient) when no host can, none
        answers in time or Redis is away, UnreadableReplyError, and whatever SamError the host
        answers with.
        """
        request_id = uuid.uuid4().hex
        try:
            hosts = (
                [host]
                if host
                else hosts_for(self._redis, kind, request, request_id=request_id, without=without)
            )
            # The wait that follows may be long, and database connections are few.
            close_old_connections()
            body = kind.request_body(request)
            call = _Call(self._redis, kind.name, body, timeout, request_id)
            return kind.parse_reply(call.run(cycle(hosts)))
        except RedisError as error:
            raise HostUnavailableError(
                f"Redis does not answer, so no host can be asked ({error}); try again in a moment."
            ) from error


class _Call:
    """One request on its way: put, announced, waited for, cleared away."""

    def __init__(
        self,
        redis: Redis,
        kind: str,
        body: bytes,
        timeout: float,
        request_id: str,
    ) -> None:
        self._redis = redis
        self._kind = kind
        self._id = request_id
        self._body = body
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._next_wake = 0.0

    def run(self, hosts: Iterator[str]) -> bytes:
        try:
            while self._left() > 0:
                self._send_unless_taken(hosts)
                wait = max(min(READ_SECONDS, self._left()), 0.01)
                reply = cast(
                    "tuple[bytes, bytes] | None",
                    self._redis.blpop([reply_key(self._id)], timeout=wait),
                )
                if reply is not None:
                    return reply[1]
        finally:
            # Also expires by itself; without Redis there is nothing to clear away.
            with contextlib.suppress(RedisError):
                self._redis.delete(request_key(self._id))
        raise HostUnavailableError(
            f"No host answered '{self._kind}' within {self._timeout:.0f} s; try again later."
        )

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _send_unless_taken(self, hosts: Iterator[str]) -> None:
        """Put the request, also again after Redis lost it, and wake one host after the other."""
        if self._redis.exists(taken_key(self._id)):
            return
        remaining = max(int(self._left() * 1000), 1)
        with self._redis.pipeline(transaction=False) as commands:
            commands.set(request_key(self._id), self._body, px=remaining, nx=True)
            if time.monotonic() >= self._next_wake:
                queue, expires = live_queue(next(hosts)), max(self._left(), 1.0)
                message = compose(
                    f"{TASK_PREFIX}{self._kind}", self._id, queue=queue, expires=expires
                )
                commands.lpush(message.key, message.text)
                self._next_wake = time.monotonic() + WAKE_SECONDS
            commands.execute()
