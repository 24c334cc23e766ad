"""Ask a host for an answer token by token; tried elsewhere as long as nothing of it was seen."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import cycle

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections

from engines.exceptions import HostUnavailableError, SamError
from engines.services.answers.messages import (
    AnswerPart,
    AnswerRequest,
    EndEvent,
    Event,
    StateEvent,
)
from migrations_app.queues import live_queue
from migrations_app.serving.client import WAKE_SECONDS
from migrations_app.serving.departure import Departure
from migrations_app.serving.fallback import FallbackPlan
from migrations_app.serving.live_messages import LiveMessage, compose
from migrations_app.serving.protocol import STREAM, BeatEvent, ErrorEvent, StreamEvent
from migrations_app.serving.streams.entries import (
    SILENCE_SECONDS,
    StreamBrokenError,
)
from migrations_app.serving.streams.reader import StreamReader, Subscription, stream_reader

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
"""How long hosts are asked to begin."""
AGAIN_SECONDS = 0.5
"""Pause before another host is tried."""


class EngineLoadingError(HostUnavailableError):
    """The engine is being read into memory; the same request will be answered a little later."""

    code = "engine_loading"


async def stream_answer(
    request: AnswerRequest, departure: Departure | None = None
) -> AsyncGenerator[Event]:
    """Yield the events of an answer: begin, fitted, citations, reasoning…, text and tool_call…, end.

    An engine that is being loaded is waited for as long as SAM_LOAD_WAIT_SECONDS says; it goes on
    loading. Whenever there is nothing else to tell, ``state`` comes about every second, so that whoever
    carries the answer on can show that it lives.

    When the active engine cannot be made ready and another one may answer for it, ``begin`` says so
    in ``fallback_for``. Raises HostUnavailableError (transient) when no host can begin,
    EngineLoadingError, StreamBrokenError when host or Redis goes away in the middle,
    UnreadableReplyError, and what the host answers with. Closing the generator stops the engine, and
    so does ``departure``: a generator may be closed long after its client left.
    """
    left = departure or Departure()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    plan = FallbackPlan(STREAM, request)
    told = ""
    while True:
        attempt = _Attempt(plan, deadline, left)
        try:
            async with aclosing(attempt.events()) as events:
                async for event in events:
                    yield event
                return
        except EngineLoadingError:
            raise
        except SamError as error:
            if not attempt.begun and await sync_to_async(_advance)(plan, error):
                continue
            final = plan.error_for_client(error)
            if attempt.begun or not final.transient or loop.time() > deadline or final is not error:
                raise final from None
            if told != str(error):
                # Twice a second the same would fill the log.
                told = str(error)
                logger.info(
                    "an answer is asked for again, for up to %.0f s: %s", START_SECONDS, error
                )
        yield StateEvent()
        await asyncio.sleep(AGAIN_SECONDS)


class _Attempt:
    """One request on its way to whichever host takes it."""

    def __init__(self, plan: FallbackPlan, deadline: float, departure: Departure) -> None:
        self.begun = False
        self._plan = plan
        self._deadline = deadline
        self._departure = departure
        self._reader: StreamReader = stream_reader()
        self._loop = asyncio.get_running_loop()

    async def events(self) -> AsyncGenerator[Event]:
        request_id = uuid.uuid4().hex
        with self._reader.subscribe(request_id, self._departure) as subscription:
            self._departure.follow(request_id)
            # In one thread's turn: each way there and back costs a part of the first token's time.
            hosts = await sync_to_async(self._send_out)(request_id)
            while (event := await self._first(subscription)) is None:
                yield StateEvent()
                call = sync_to_async(self._reader.call, thread_sensitive=False)
                await call(_message(next(hosts), request_id))
            load_until = self._loop.time() + settings.SAM_LOAD_WAIT_SECONDS
            while True:
                if isinstance(event, ErrorEvent):
                    raise event.error()
                if not isinstance(event, StateEvent | BeatEvent):
                    self.begun = self.begun or isinstance(event, AnswerPart)
                    load_until = float("inf")
                    yield event
                elif self._loop.time() > load_until:
                    raise EngineLoadingError("The engine is being loaded; ask again in a moment.")
                else:
                    yield StateEvent()
                if isinstance(event, EndEvent):
                    self._departure.end(request_id)
                    return
                event = await self._next(subscription)

    def _send_out(self, request_id: str) -> Iterator[str]:
        """Put the request and call the first host; return the hosts, the next one first.

        What can wait until the host is at work is done then.
        """
        try:
            hosts = cycle(self._plan.hosts(request_id))
            body = STREAM.request_body(self._plan.request)
            message = _message(next(hosts), request_id)
            self._reader.put(request_id, body, int(START_SECONDS * 1000), message)
            self._reader.kick()
        finally:
            # The answer may be long, and database connections are few.
            close_old_connections()
        return hosts

    async def _first(self, subscription: Subscription) -> StreamEvent | None:
        """Return what the host that was called writes first; None when it is time to call another."""
        try:
            return await subscription.next(WAKE_SECONDS)
        except TimeoutError:
            if self._loop.time() <= self._deadline:
                return None
        raise HostUnavailableError("No host took the request in time; try again later.")

    async def _next(self, subscription: Subscription) -> StreamEvent:
        try:
            return await subscription.next(SILENCE_SECONDS)
        except TimeoutError:
            raise StreamBrokenError(
                "The host that was answering fell silent; ask again to be answered by another."
            ) from None


def _message(host: str, request_id: str) -> LiveMessage:
    return compose(STREAM.task_name, request_id, queue=live_queue(host), expires=START_SECONDS)


def _advance(plan: FallbackPlan, error: SamError) -> bool:
    try:
        return plan.advance(error)
    finally:
        close_old_connections()
