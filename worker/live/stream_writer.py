"""Writes the events of an answer into its Redis stream, and notices when nobody reads it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError

from engines.services.answers.messages import (
    BeginEvent,
    CitationsEvent,
    FittedEvent,
    ReasoningEvent,
    StateEvent,
    TextEvent,
)
from migrations_app.serving.protocol import BeatEvent, StreamEvent
from migrations_app.serving.redis_keys import reader_key, stream_key
from migrations_app.serving.stream import (
    MAX_ENTRIES,
    STREAM_BEAT_SECONDS,
    STREAM_SECONDS,
    entry_id,
    pack,
)

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""Text that comes faster goes out together: nobody reads 50 pieces a second one by one."""

LATER = (StateEvent, BeginEvent, FittedEvent, CitationsEvent)
"""What goes out with the first word, or with the next beat when that takes longer."""


class TokenWriter:
    """One stream's events, numbered; ``abandoned`` is set when its reader or Redis is gone."""

    def __init__(self, redis: Redis, request_id: str) -> None:
        self.abandoned = threading.Event()
        self._redis = redis
        self._request_id = request_id
        self._lock = threading.Lock()
        self._number = 0
        self._unsent: list[StreamEvent] = []
        self._written_at = 0.0
        self._text_at = 0.0

    def write(self, event: StreamEvent) -> None:
        """Send an event, some a moment later with what follows; RedisError when it cannot be sent."""
        with self._lock:
            self._add(event)
            if not self._may_wait(event):
                self._send()

    def beat(self) -> None:
        """Show that the worker lives, when it had nothing else to say for a while."""
        with self._lock:
            if time.monotonic() - self._written_at < STREAM_BEAT_SECONDS / 2:
                return
            try:
                self._add(BeatEvent())
                self._send()
            except RedisError as error:
                logger.warning("a stream ends, Redis does not take it: %s", error)
                self.abandoned.set()

    def _add(self, event: StreamEvent) -> None:
        last = self._unsent[-1] if self._unsent else None
        if isinstance(event, TextEvent) and isinstance(last, TextEvent):
            self._unsent[-1] = TextEvent(last.text + event.text)
        elif isinstance(event, ReasoningEvent) and isinstance(last, ReasoningEvent):
            self._unsent[-1] = ReasoningEvent(last.text + event.text)
        else:
            self._unsent.append(event)

    def _may_wait(self, event: StreamEvent) -> bool:
        if isinstance(event, TextEvent | ReasoningEvent):
            return time.monotonic() - self._text_at < GATHER_SECONDS
        return isinstance(event, LATER)

    def _send(self) -> None:
        """Send what was not sent yet, in one go."""
        events, self._unsent = self._unsent, []
        key = stream_key(self._request_id)
        # Together, or the reader's blocking read returns with the first and misses the others.
        commands = self._redis.pipeline(transaction=len(events) > 1)
        for event in events:
            self._number += 1
            entry = dict(pack(event))
            commands.xadd(key, entry, id=entry_id(self._number), maxlen=MAX_ENTRIES)
        commands.expire(key, STREAM_SECONDS)
        commands.exists(reader_key(self._request_id))
        *_, is_read = commands.execute()
        self._written_at = time.monotonic()
        if isinstance(events[-1], TextEvent | ReasoningEvent):
            self._text_at = self._written_at
        if not is_read:
            self.abandoned.set()


class Beats:
    """Beats for all streams of this process, from one thread that lives while there are any."""

    def __init__(self) -> None:
        self._writers: set[TokenWriter] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def include(self, writer: TokenWriter) -> Iterator[None]:
        with self._lock:
            self._writers.add(writer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="beats", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._writers.discard(writer)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(STREAM_BEAT_SECONDS)
            with self._lock:
                writers = list(self._writers)
                if not writers:
                    self._thread = None
                    return
            for writer in writers:
                writer.beat()
