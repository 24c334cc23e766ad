"""Streams while nothing is said: how long an engine is waited for, and that it is told meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings
from redis import Redis

from engines.services.answers.messages import Event, StateEvent, TextEvent
from migrations_app.serving.protocol import BeatEvent, StreamEvent
from migrations_app.serving.streams.client import EngineLoadingError, stream_answer
from tests.redis_admin import admin_redis
from tests.worker.live.test_streams import BEGIN, END, ada, asked, played, write

__all__ = ["ada"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_engine_that_loads_for_long_is_a_reason_to_come_again(
    ada: User, settings: Settings
) -> None:
    settings.SAM_LOAD_WAIT_SECONDS = 0.5

    async def load(redis: Redis, request_id: str) -> None:
        write(redis, request_id, 1, StateEvent())
        for number in range(2, 5):
            await asyncio.sleep(0.3)
            write(redis, request_id, number, BeatEvent())

    with pytest.raises(EngineLoadingError, match="being loaded; ask again"):
        asyncio.run(played(load, asked(ada)))


def test_an_engine_that_answers_slowly_is_waited_for(ada: User, settings: Settings) -> None:
    settings.SAM_LOAD_WAIT_SECONDS = 0.5

    async def read_the_prompt(redis: Redis, request_id: str) -> None:
        write(redis, request_id, 1, BEGIN)
        for number in range(2, 5):
            await asyncio.sleep(0.3)
            write(redis, request_id, number, BeatEvent())
        write(redis, request_id, 5, END)

    assert asyncio.run(played(read_the_prompt, asked(ada))) == [BEGIN, END]


def test_a_stream_tells_that_it_lives_before_a_host_takes_it_and_between_words(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations_app.serving.streams.client.WAKE_SECONDS", 0.05)
    told: list[Event] = []

    async def take_it_late(redis: Redis) -> None:
        while not told or not (keys := redis.keys("sam:live:*:reader")):
            await asyncio.sleep(0.01)
        request_id = str(keys[0]).split(":")[2]
        parts: list[StreamEvent] = [BEGIN, TextEvent("Once"), BeatEvent(), TextEvent("."), END]
        for number, event in enumerate(parts, 1):
            write(redis, request_id, number, event)

    async def collect() -> None:
        taking = asyncio.create_task(take_it_late(admin_redis(decode_responses=True)))
        async for event in stream_answer(asked(ada)):
            told.append(event)  # noqa: PERF401 - it is looked at meanwhile
        await taking

    asyncio.run(collect())

    begun = told.index(BEGIN)
    assert set(told[:begun]) == {StateEvent()}
    assert told[begun:] == [BEGIN, TextEvent("Once"), StateEvent(), TextEvent("."), END]
