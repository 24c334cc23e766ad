"""Two pools of one host, as its work worker and its live worker have them, over the real Redis."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from redis import Redis

from engines.exceptions import HostUnavailableError
from engines.fit.engine_need import Need
from migrations_app.serving import redis_keys
from tests.worker.counted_engine import make_pool, spec, use
from worker.host import engine_pool
from worker.host import memory as host_memory
from worker.host.engine_pool import EnginePool
from worker.host.memory import HostMemory

HOST = "gpu-1"


class Side:
    """One worker process: its pool, what it tells and hears, and what was loaded and ended in it."""

    def __init__(self, redis: Redis, log: list[str], name: str, *, serves: bool) -> None:
        self.memory = HostMemory(redis, HOST, name, serves=serves)
        self.pool: EnginePool = make_pool(log, lambda _, size: Need(size), other_pools=self.memory)

    def share(self) -> None:
        self.pool.publish()
        spare = self.memory.spare_seconds()
        if spare is not None:
            self.pool.unload_idle(spare)


@pytest.fixture
def redis(redis_client: Redis) -> Redis:
    """As the workers speak to the emptied Redis of this test."""
    return redis_keys.redis_client(settings.REDIS_URL)


@pytest.fixture
def work(redis: Redis, log: list[str]) -> Side:
    return Side(redis, log, "work", serves=False)


@pytest.fixture
def serving(redis: Redis, log: list[str]) -> Side:
    return Side(redis, log, "live", serves=True)


@contextmanager
def sharing(*sides: Side) -> Iterator[None]:
    """Have these look after each other's wishes, as their threads do."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            for side in sides:
                side.share()

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield
        finally:
            ended.set()
            looking.result()


def test_a_plans_engine_finds_no_room_beside_those_that_answer_people(
    work: Side, serving: Side, log: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine_pool, "ROOM_SECONDS", 0.5)
    use(serving.pool, spec(tmp_path, "people", size=70))

    with (
        sharing(serving),
        pytest.raises(HostUnavailableError, match="leave no room for new; try again later"),
    ):
        use(work.pool, spec(tmp_path, "new", size=40))

    assert log == ["+people"]


def test_who_answers_people_has_the_others_end_what_they_do_not_use(
    work: Side, serving: Side, log: list[str], tmp_path: Path
) -> None:
    use(serving.pool, spec(tmp_path, "old", size=30))
    use(work.pool, spec(tmp_path, "new", size=40))

    with sharing(work):
        use(serving.pool, spec(tmp_path, "new", size=40))

    assert log == ["+old", "+new", "-new", "+new"]
    assert [engine.engine_id for engine in serving.pool.loaded()] == ["old", "new"]


def test_who_answers_people_does_not_wait_for_long(
    work: Side, serving: Side, log: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host_memory, "MAX_YIELD_SECONDS", 0.5)
    with sharing(work), work.pool.acquire(spec(tmp_path, "proved", size=80)):
        use(serving.pool, spec(tmp_path, "asked", size=40))
        # Later the one that is idle then makes way.
        assert log == ["+proved", "+asked"]


def test_a_plans_work_gets_what_people_have_not_used_for_a_while(
    work: Side, serving: Side, log: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host_memory, "KEEP_WARM_SECONDS", 0.3)
    use(serving.pool, spec(tmp_path, "forgotten", size=70))

    with sharing(serving):
        use(work.pool, spec(tmp_path, "new", size=40))

    assert log == ["+forgotten", "-forgotten", "+new"]


def test_a_process_that_says_nothing_any_more_holds_nothing(
    work: Side, serving: Side, redis: Redis, log: list[str], tmp_path: Path
) -> None:
    use(serving.pool, spec(tmp_path, "killed", size=70))
    assert work.memory.held(0) == Need(70)
    key = redis_keys.memory_held_key(HOST)
    redis.hset(key, "live", json.dumps([70, 0, time.time() - 1]))

    use(work.pool, spec(tmp_path, "new", size=40))

    assert log == ["+killed", "+new"]
    assert list(redis.hgetall(key)) == [b"work"]


@pytest.mark.parametrize("row", ["", "{", "[]", "7", "[1, 2]", '["1", 2, 3]', "\x00", "[" * 10_000])
def test_what_cannot_be_read_counts_as_nothing_and_is_forgotten(
    redis: Redis, work: Side, serving: Side, row: str
) -> None:
    key = redis_keys.memory_held_key(HOST)
    redis.hset(key, b"\xff", row)
    serving.memory.publish(Need(70))

    assert work.memory.held(0) == Need(70)
    assert list(redis.hgetall(key)) == [b"live"]


def test_hosts_and_a_process_itself_are_told_apart(redis: Redis, serving: Side) -> None:
    other_host = HostMemory(redis, "gpu-2", "work")
    serving.memory.publish(Need(70, 7))
    serving.memory.request_room()

    assert serving.memory.held(0) == other_host.held(0) == Need(0)
    assert serving.memory.spare_seconds() is None
    assert other_host.spare_seconds() is None
    assert HostMemory(redis, HOST, "work").held(0) == Need(70, 7)


def test_without_redis_nobody_is_beside(log: list[str], tmp_path: Path) -> None:
    nowhere = Side(Redis.from_url("unix:///nowhere.sock"), log, "work", serves=False)

    use(nowhere.pool, spec(tmp_path, "new", size=40))
    nowhere.share()

    assert log == ["+new"]
