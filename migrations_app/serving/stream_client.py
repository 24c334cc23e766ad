"""Ask a host for an answer token by token; tried elsewhere as long as nothing of it was seen."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from itertools import cycle
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from engines.exceptions import HostUnavailableError, SamError
from engines.services.answers.events import ANSWER_PARTS, Event
from migrations_app.serving.client import WAKE_SECONDS
from migrations_app.serving.fallback import Ways
from migrations_app.serving.stream import (
    SILENCE_SECONDS,
    StreamBrokenError,
    raise_error,
)
from migrations_app.serving.stream_reader import StreamReader, Subscription, stream_reader
from migrations_app.wakeups import live_queue, send

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
"""How long hosts are asked to begin."""
AGAIN_SECONDS = 0.5
"""Pause before another host is tried."""
LOAD_SECONDS = 20.0
"""A client is told to come again when an engine takes longer to load; it goes on loading."""


class EngineLoadingError(HostUnavailableError):
    """The engine is being read into memory; the same request will be answered a little later."""

    code = "engine_loading"


async def stream_answer(
    payload: Mapping[str, Any], client_left: threading.Event | None = None
) -> AsyncGenerator[Event]:
    """Yield the events of an answer: begin, fitted, citations, reasoning…, text and tool_call…, end.

    ``payload`` is that of the live worker's ``stream``. When the active engine cannot be made ready
    and another one may answer for it, ``begin`` says so in ``fallback_for``. Raises
    HostUnavailableError (transient) when no host can begin, EngineLoadingError, StreamBrokenError when
    host or Redis goes away in the middle, and what the host answers with. Closing the generator stops
    the engine, and so does ``client_left``: a generator may be closed long after its client left.
    """
    left = client_left or threading.Event()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    ways = Ways("stream", payload)
    while True:
        attempt = _Attempt(ways, deadline, left)
        try:
            async with aclosing(attempt.events()) as events:
                async for event in events:
                    yield event
                return
        except EngineLoadingError:
            raise
        except SamError as error:
            if not attempt.begun and await sync_to_async(_turn)(ways, error):
                continue
            told = ways.told(error)
            if attempt.begun or not told.transient or loop.time() > deadline or told is not error:
                raise told from None
            logger.info("a stream is tried elsewhere: %s", error)
        await asyncio.sleep(AGAIN_SECONDS)


class _Attempt:
    """One request on its way to whichever host takes it."""

    def __init__(self, ways: Ways, deadline: float, client_left: threading.Event) -> None:
        self.begun = False
        self._ways = ways
        self._deadline = deadline
        self._client_left = client_left
        self._reader: StreamReader = stream_reader()
        self._loop = asyncio.get_running_loop()

    async def events(self) -> AsyncGenerator[Event]:
        request_id = uuid.uuid4().hex
        with self._reader.subscribe(request_id, self._client_left) as subscription:
            # In one thread's turn: each way there and back costs a part of the first token's time.
            hosts, is_sent = await sync_to_async(self._send_out)(request_id)
            event = await self._first(subscription, hosts, is_sent=is_sent)
            load_until = self._loop.time() + LOAD_SECONDS
            while True:
                raise_error(event)
                if event["type"] not in ("state", "beat"):
                    self.begun = self.begun or event["type"] in ANSWER_PARTS
                    load_until = float("inf")
                    yield event
                elif self._loop.time() > load_until:
                    raise EngineLoadingError("The engine is being loaded; ask again in a moment.")
                if event["type"] == "end":
                    return
                event = await self._next(subscription)

    def _send_out(self, request_id: str) -> tuple[Iterator[str], bool]:
        """Put the request and wake the first host; return the hosts, and whether it was woken.

        What can wait until the host is at work is done then.
        """
        try:
            hosts = cycle(self._ways.hosts(request_id))
            body = json.dumps({"kind": "stream", "payload": self._ways.payload})
            self._reader.put(request_id, body, int(START_SECONDS * 1000))
            is_sent = _wake(next(hosts), request_id)
            self._reader.kick()
        finally:
            # The answer may be long, and database connections are few.
            close_old_connections()
        return hosts, is_sent

    async def _first(
        self, subscription: Subscription, hosts: Iterator[str], *, is_sent: bool
    ) -> Event:
        """Wait for the host that was woken, and wake one after the other until one of them writes."""
        while True:
            try:
                return await subscription.next(WAKE_SECONDS if is_sent else AGAIN_SECONDS)
            except TimeoutError:
                if self._loop.time() > self._deadline:
                    break
            wake = sync_to_async(_wake, thread_sensitive=False)
            is_sent = await wake(next(hosts), subscription.request_id)
        raise HostUnavailableError("No host took the request in time; try again later.")

    async def _next(self, subscription: Subscription) -> Event:
        try:
            return await subscription.next(SILENCE_SECONDS)
        except TimeoutError:
            raise StreamBrokenError(
                "The host that was answering fell silent; ask again to be answered by another."
            ) from None


def _wake(host: str, request_id: str) -> bool:
    return send("live.stream", request_id, queue=live_queue(host), expires=START_SECONDS)


def _turn(ways: Ways, error: SamError) -> bool:
    try:
        return ways.turn(error)
    finally:
        close_old_connections()
