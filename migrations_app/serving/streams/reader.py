"""Reads the token streams of this process: one task, one blocking read for all of them.

Each read blocks at most a second and is never retried out of sight: with a Redis that went away every
reader is told within seconds.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from django.conf import settings
from redis.exceptions import RedisError

from engines.exceptions import HostUnavailableError
from migrations_app.serving.live_messages import LiveMessage
from migrations_app.serving.protocol import StreamEvent, UnreadableReplyError
from migrations_app.serving.redis_keys import (
    new_streams_key,
    reader_key,
    redis_client,
    request_id_of,
    request_key,
    stream_key,
    stream_reading_client,
)
from migrations_app.serving.streams.entries import (
    READER_LEASE_SECONDS,
    StreamBrokenError,
    unpack,
)

BLOCK_MILLISECONDS = 1000
RENEW_SECONDS = 1.0
LINGER_SECONDS = 30.0
"""How long connections are kept for the next stream: opening them takes longer than anything they are used for."""
UNREAD_SECONDS = 30.0
"""A client that takes nothing for so long counts as gone; its connection may never say so."""
ENTRIES_PER_READ = 500


class Subscription:
    """One stream's events in order; leaving the block lets the worker stop."""

    def __init__(self, reader: StreamReader, request_id: str, client_left: threading.Event) -> None:
        self.request_id = request_id
        self._client_left = client_left
        self.number = 0
        self._reader = reader
        self._events: asyncio.Queue[StreamEvent | HostUnavailableError] = asyncio.Queue()
        self._waiting = False
        self._asked_at = asyncio.get_running_loop().time()

    def __enter__(self) -> Self:
        self._reader.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.remove(self)

    async def next(self, seconds: float) -> StreamEvent:
        """Return the next event; TimeoutError after ``seconds``, StreamBrokenError without Redis."""
        self._waiting = True
        try:
            async with asyncio.timeout(seconds):
                item = await self._events.get()
        finally:
            self._waiting = False
            self._asked_at = asyncio.get_running_loop().time()
        if isinstance(item, HostUnavailableError):
            raise item
        return item

    def push(self, number: int, event: StreamEvent) -> None:
        """Take the event with this number; a gap ends the stream with an error."""
        if number != self.number + 1:
            self.fail(StreamBrokenError("A part of the answer was lost on its way; ask again."))
            return
        self.number = number
        self._events.put_nowait(event)

    def fail(self, error: HostUnavailableError) -> None:
        """End the stream with an error."""
        self._reader.remove(self)
        self._events.put_nowait(error)

    def is_wanted(self, now: float) -> bool:
        """Whether somebody waits for the next event, or did a short while ago."""
        if self._client_left.is_set():
            return False
        return self._waiting or now - self._asked_at < UNREAD_SECONDS


class StreamReader:
    """The streams that one event loop reads; its task lives as long as there are any."""

    def __init__(self, url: str) -> None:
        self._redis = stream_reading_client(url)
        self._open: dict[str, Subscription] = {}
        self._left: set[str] = set()
        self._kick_key = new_streams_key(uuid.uuid4().hex)
        self._kicked = "0-0"
        self._renewed_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._added = asyncio.Event()

    def subscribe(self, request_id: str, client_left: threading.Event) -> Subscription:
        """Return the way to a request's events, to be entered before the request is put."""
        return Subscription(self, request_id, client_left)

    def add(self, subscription: Subscription) -> None:
        self._open[subscription.request_id] = subscription
        self._added.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def remove(self, subscription: Subscription) -> None:
        if self._open.pop(subscription.request_id, None) is not None:
            self._left.add(subscription.request_id)

    def put(
        self, request_id: str, body: bytes, milliseconds: int, message: LiveMessage | None = None
    ) -> None:
        """Put a request with the lease of its reader, and behind them the message that calls a worker.

        For a thread beside the event loop. Raises StreamBrokenError when Redis does not answer.
        """
        with _redis_pipeline() as commands:
            commands.set(request_key(request_id), body, px=milliseconds)
            commands.set(reader_key(request_id), 1, px=int(READER_LEASE_SECONDS * 1000))
            if message is not None:
                commands.lpush(message.key, message.text)

    def call(self, message: LiveMessage) -> None:
        """Call another worker for a request that is put; as ``put``."""
        with _redis_pipeline() as commands:
            commands.lpush(message.key, message.text)

    def kick(self) -> None:
        """Have the task read the streams that were added: it may be in a read that lacks them.

        As ``put``.
        """
        with _redis_pipeline() as commands:
            commands.xadd(self._kick_key, {"new": 1}, maxlen=1, approximate=False)
            commands.expire(self._kick_key, int(UNREAD_SECONDS))

    async def _run(self) -> None:
        try:
            while not _is_ending() and (self._open or self._left or await self._is_wanted_again()):
                await self._round()
        finally:
            # A stream that comes while connections are closed starts a task of its own.
            self._task = None
            await self._redis.connection_pool.disconnect(inuse_connections=_is_ending())

    async def _is_wanted_again(self) -> bool:
        self._added.clear()
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._added.wait()
        except TimeoutError:
            return False
        return True

    async def _round(self) -> None:
        try:
            await self._keep_leases()
            if self._open:
                self._take(await self._read())
        except RedisError as error:
            for subscription in list(self._open.values()):
                subscription.fail(_without_redis(error))
            # What is left in Redis expires by itself.
            self._left.clear()

    async def _read(self) -> list[Any]:
        places: dict[Any, Any] = {
            stream_key(request_id): f"1-{subscription.number}"
            for request_id, subscription in self._open.items()
        }
        places[self._kick_key] = self._kicked
        found = await self._redis.xread(places, block=BLOCK_MILLISECONDS, count=ENTRIES_PER_READ)
        return cast("list[Any]", found)

    def _take(self, found: list[Any]) -> None:
        for key, entries in found:
            name = key.decode()
            if name == self._kick_key:
                self._kicked = entries[-1][0].decode()
                continue
            subscription = self._open.get(request_id_of(name))
            if subscription is not None:
                self._push(subscription, entries)

    def _push(self, subscription: Subscription, entries: list[Any]) -> None:
        """Give one stream its events; what cannot be read ends it, and no other one."""
        for entry_id, fields in entries:
            if subscription.request_id not in self._open:
                return
            try:
                subscription.push(int(entry_id.split(b"-")[1]), unpack(fields))
            except UnreadableReplyError as error:
                subscription.fail(error)

    async def _keep_leases(self) -> None:
        """Renew the leases of those who still wait, and clear away what is left behind."""
        now = asyncio.get_running_loop().time()
        due = now - self._renewed_at >= RENEW_SECONDS
        if not (due or self._left):
            return
        self._renewed_at = now
        left, self._left = self._left, set()
        commands: Any = self._redis.pipeline(transaction=False)
        for request_id in left:
            commands.delete(request_key(request_id), reader_key(request_id), stream_key(request_id))
        for request_id, subscription in self._open.items():
            if subscription.is_wanted(now):
                commands.set(reader_key(request_id), 1, px=int(READER_LEASE_SECONDS * 1000))
        await commands.execute()


def _is_ending() -> bool:
    """Whether the event loop ends: a cancellation may be lost in a read of Redis, but stays counted."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def _redis_pipeline() -> Iterator[Any]:
    try:
        with redis_client(settings.REDIS_URL).pipeline(transaction=False) as commands:
            yield commands
            commands.execute()
    except RedisError as error:
        raise _without_redis(error) from error


def _without_redis(error: RedisError) -> StreamBrokenError:
    return StreamBrokenError(
        f"Redis does not answer, so no answer can be carried ({error}); try again in a moment."
    )


_readers: WeakKeyDictionary[asyncio.AbstractEventLoop, StreamReader] = WeakKeyDictionary()


def stream_reader() -> StreamReader:
    """Return the reader of the running event loop; a client of Redis belongs to one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _readers:
        _readers[loop] = StreamReader(settings.REDIS_URL)
    return _readers[loop]
