"""Requests go to the host that has the engine and is least busy, exact to the request; the dead do not count."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from msgspec import structs
from redis import Redis

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import SamError
from engines.models import EnginePreference, Host, ModelRevision
from engines.runtimes.base import ChatMessage
from engines.services.answers.messages import AnswerRequest
from engines.services.catalog.copies import copy_of, mark_downloaded
from migrations_app.queues import live_queue
from migrations_app.serving import load as live_load
from migrations_app.serving.client import LiveClient
from migrations_app.serving.load import (
    NOT_LOADED,
    engine_mark,
    hold,
    let_go,
    order_hosts,
    running_on,
    tell_engines,
)
from migrations_app.serving.protocol import GENERATE, WARM, WarmRequest
from migrations_app.serving.redis_keys import engines_key, load_key
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import WorkerProcess, wait_until

HOSTS = ["h1", "h2", "h3"]
MARK = engine_mark("tiny", embeds=False)


@pytest.fixture
def redis(redis_client: Redis) -> Redis:
    """Three hosts, all with the engine loaded."""
    for name in HOSTS:
        tell_engines(redis_client, name, [MARK])
    return redis_client


def test_a_burst_is_spread_evenly_before_any_host_has_taken_anything(redis: Redis) -> None:
    first = [order_hosts(redis, HOSTS, MARK, f"request {number}")[0] for number in range(9)]

    assert first == HOSTS * 3
    assert [running_on(redis, name) for name in HOSTS] == [3, 3, 3]


def test_looking_alone_counts_nothing(redis: Redis) -> None:
    assert order_hosts(redis, HOSTS, MARK) == HOSTS
    assert redis.keys("sam:live-load:*") == []


def test_a_host_counts_a_request_until_it_ends(redis: Redis) -> None:
    hold(redis, "h1", ["a"])
    hold(redis, "h1", ["a"])
    assert order_hosts(redis, HOSTS, MARK) == ["h2", "h3", "h1"]

    let_go(redis, "h1", "a")

    assert order_hosts(redis, HOSTS, MARK) == HOSTS


def test_who_has_the_engine_loaded_is_asked_first_unless_much_busier(redis: Redis) -> None:
    tell_engines(redis, "h1", [])
    tell_engines(redis, "h3", [engine_mark("tiny", embeds=True)])
    hold(redis, "h2", map(str, range(NOT_LOADED - 1)))
    assert order_hosts(redis, HOSTS, MARK) == ["h2", "h1", "h3"]

    hold(redis, "h2", map(str, range(NOT_LOADED + 1)))

    assert order_hosts(redis, HOSTS, MARK) == ["h1", "h3", "h2"]


def test_a_host_that_says_nothing_is_asked_last(redis: Redis) -> None:
    redis.delete(engines_key("h1"))
    hold(redis, "h2", map(str, range(100)))

    assert order_hosts(redis, HOSTS, MARK) == ["h3", "h2", "h1"]


def test_what_the_dead_were_working_on_stops_counting(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_load, "WORKING_SECONDS", 0.2)
    monkeypatch.setattr(live_load, "PLACED_SECONDS", 0.2)
    hold(redis, "h1", ["of a killed worker"])
    order_hosts(redis, ["h2"], MARK, "in a message that was lost")
    assert order_hosts(redis, HOSTS, MARK) == ["h3", "h1", "h2"]

    wait_until(lambda: order_hosts(redis, HOSTS, MARK) == HOSTS, "nothing to count")

    assert 0 < redis.ttl(load_key("h1")) <= live_load.FORGET_SECONDS
    assert running_on(redis, "h1") == 0


@pytest.fixture
def two_hosts(transactional_db: None, tmp_path: Path) -> ModelRevision:
    """A model that talks for many seconds, on two hosts."""
    path = write_llama_chat(tmp_path / "long.gguf", context_length=16_384)
    hosts = [make_host(name, announces=["live.generate", "live.warm"]) for name in ("h1", "h2")]
    revision = make_revision(path, hosts[0])
    mark_downloaded(copy_of(revision, hosts[1]), path, revision.sha256)
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return revision


@pytest.mark.slow
@pytest.mark.proof
def test_two_hosts_share_the_requests_and_a_killed_one_leaks_none(
    two_hosts: ModelRevision, tmp_path: Path, redis_client: Redis
) -> None:
    user = User.objects.get()
    messages: list[ChatMessage] = [{"role": "user", "content": "Talk."}]
    request = AnswerRequest(user_id=user.pk, messages=messages, temperature=0.0)
    answered: list[str] = []

    def ask(limit: int) -> None:
        live = LiveClient(settings.REDIS_URL)
        try:
            live.call(GENERATE, structs.replace(request, max_tokens=limit), timeout=200)
            answered.append("yes")
        except SamError as error:
            answered.append(str(error))
        finally:
            connection.close()

    def ask_many(count: int, limit: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=ask, args=(limit,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def loads() -> list[int]:
        return [running_on(redis_client, name) for name in ("h1", "h2")]

    with host_worker("h1", tmp_path) as first, host_worker("h2", tmp_path):
        for name in ("h1", "h2"):
            LiveClient(settings.REDIS_URL).call(
                WARM, WarmRequest(revision_id=two_hosts.pk), host=name, timeout=60
            )
        wait_until(lambda: loads() == [0, 0], "both to be idle")
        threads = ask_many(4, 800)
        wait_until(lambda: loads() == [2, 2], "two requests on each")
        first.__exit__()
        wait_until(lambda: loads()[0] == 0, "the dead host to count nothing")
        Host.objects.filter(name="h1").update(status="lost")
        ask(8)
        for thread in threads:
            thread.join()
        wait_until(lambda: loads() == [0, 0], "all to have ended")

    assert answered == ["yes"] * 5


def host_worker(name: str, folder: Path) -> WorkerProcess:
    variables = {"SAM_HOST_NAME": name, "SAM_ENGINE_THREADS": "1"}
    return WorkerProcess(folder, live_queue(name), name=name, **variables)
