"""Writes the events of an answer into its Redis stream, and notices when nobody reads it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

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
from migrations_app.serving.streams.entries import (
    MAX_ENTRIES,
    STREAM_BEAT_SECONDS,
    STREAM_SECONDS,
    entry_id,
    pack,
)

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""Text that comes faster goes out together: nobody reads 50 pieces a second one by one."""

LOOK_SECONDS = 0.1
"""Between two looks whether a stream is still read, which also keep it from expiring."""

LATER = (StateEvent, BeginEvent, FittedEvent, CitationsEvent)
"""What goes out with the first word, or with the next beat when that takes longer."""


class _Parcel(NamedTuple):
    """What a stream has to say, on its way."""

    request_id: str
    first: int
    """Number of the first event."""
    events: Sequence[StreamEvent]
    looks: bool
    """Whether to look if it is still read."""

    def pack_into(self, commands: Any) -> None:
        key = stream_key(self.request_id)
        for number, event in enumerate(self.events, self.first):
            commands.xadd(key, dict(pack(event)), id=entry_id(number), maxlen=MAX_ENTRIES)
        if self.looks:
            commands.expire(key, STREAM_SECONDS)
            commands.exists(reader_key(self.request_id))

    @property
    def replies(self) -> int:
        """How many replies Redis sends for it."""
        return len(self.events) + 2 * self.looks


class TokenWriter:
    """One stream's events, numbered; ``abandoned`` is set when its reader or Redis is gone."""

    def __init__(self, redis: Redis, request_id: str) -> None:
        self.abandoned = threading.Event()
        self._post = _post_of(redis)
        self._request_id = request_id
        self._lock = threading.Lock()
        self._number = 0
        self._unsent: list[StreamEvent] = []
        self._written_at = 0.0
        self._text_at = 0.0
        self._looked_at = float("-inf")

    def write(self, event: StreamEvent) -> None:
        """Send an event, some a moment later with what follows, or with what other streams say.

        Raises RedisError when it cannot be sent; one that others send sets ``abandoned`` then.
        """
        with self._lock:
            self._add(event)
            if self._may_wait(event):
                return
        self._post.send(self)

    def beat(self) -> None:
        """Show that the worker lives, when it had nothing else to say for a while."""
        with self._lock:
            if time.monotonic() - self._written_at < STREAM_BEAT_SECONDS / 2:
                return
            self._add(BeatEvent())
        try:
            self._post.send(self)
        except RedisError as error:
            self.give_up(error)

    def take(self) -> _Parcel:
        """Return what was not sent yet, to be sent before anything that is taken later."""
        with self._lock:
            events, self._unsent = self._unsent, []
            parcel = _Parcel(self._request_id, self._number + 1, events, self._has_to_look(events))
            self._number += len(events)
            self._written_at = time.monotonic()
            if events and isinstance(events[-1], TextEvent | ReasoningEvent):
                self._text_at = self._written_at
            return parcel

    def note_sent(self, replies: Sequence[Any]) -> None:
        """Take what Redis replied to a parcel; RedisError for one that it refuses."""
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        # The last reply of a look says whether somebody reads; that of an event is its name.
        if replies and not replies[-1]:
            self.abandoned.set()

    def give_up(self, error: Exception) -> None:
        """Note that what was sent did not arrive."""
        logger.warning("a stream ends, Redis does not take it: %s", error)
        self.abandoned.set()

    def _has_to_look(self, events: Sequence[StreamEvent]) -> bool:
        now = time.monotonic()
        if not events or now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        return True

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


class _Post:
    """Sends what the streams of a process say, one transaction at a time.

    Words that come while one is under way go out together with the next: an engine says the next word of
    all its answers at once, and each way to Redis costs more than what it carries.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._due: dict[TokenWriter, None] = {}
        self._is_sending = False
        self._thread = ThreadPoolExecutor(1, "post")

    def send(self, writer: TokenWriter) -> None:
        """Send what a writer has to say, or leave it to who sends now; RedisError for what is sent here."""
        with self._lock:
            if self._is_sending:
                self._due[writer] = None
                return
            self._is_sending = True
        try:
            [(_, replies)] = self._deliver([writer])
            writer.note_sent(replies)
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let another thread send what is due: the caller's stream goes on."""
        with self._lock:
            if not self._due:
                self._is_sending = False
                return
        self._thread.submit(self._send_due)

    def _send_due(self) -> None:
        while True:
            with self._lock:
                due, self._due = list(self._due), {}
                if not due:
                    self._is_sending = False
                    return
            self._send_for(due)

    def _send_for(self, writers: Sequence[TokenWriter]) -> None:
        try:
            delivered = self._deliver(writers)
        except Exception as error:  # noqa: BLE001 - who sends for all must go on, whatever one says
            for writer in writers:
                writer.give_up(error)
            return
        for writer, replies in delivered:
            try:
                writer.note_sent(replies)
            except RedisError as error:
                writer.give_up(error)

    def _deliver(self, writers: Sequence[TokenWriter]) -> list[tuple[TokenWriter, Sequence[Any]]]:
        """Send what writers have to say, and return what Redis replied to each."""
        parcels = [writer.take() for writer in writers]
        # Together, or the reader's blocking read returns with the first and misses the others.
        together = sum(len(parcel.events) for parcel in parcels) > 1
        commands = self._redis.pipeline(transaction=together)
        for parcel in parcels:
            parcel.pack_into(commands)
        # An entry that Redis refuses is the fault of its own stream only.
        replies = iter(commands.execute(raise_on_error=False))
        return [
            (writer, list(islice(replies, parcel.replies)))
            for writer, parcel in zip(writers, parcels, strict=True)
        ]


@lru_cache(4)
def _post_of(redis: Redis) -> _Post:
    return _Post(redis)


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
