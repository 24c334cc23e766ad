"""Token streams: a real worker writes, an event loop reads; either of them, and Redis, may go away."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from redis import Redis

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import HostUnavailableError, InvalidRequestError
from engines.models import EnginePreference, ModelRevision, TokenUsage
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.answers.messages import (
    AnswerRequest,
    BeginEvent,
    EndEvent,
    Event,
    StateEvent,
    TextEvent,
)
from engines.services.catalog.copies import engine_spec
from migrations_app.serving.departure import Departure
from migrations_app.serving.protocol import ErrorEvent, StreamEvent
from migrations_app.serving.redis_keys import reader_key, request_key, stream_key
from migrations_app.serving.streams.client import stream_answer
from migrations_app.serving.streams.entries import (
    StreamBrokenError,
    entry_id,
    pack,
)
from migrations_app.serving.streams.reader import StreamReader
from samproject.supervisor.embedded import EmbeddedServices
from tests.redis_admin import admin_redis
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import LIVE, PATIENCE, WorkerProcess, wait_until
from tests.world.workers import kill

pytestmark = pytest.mark.django_db(transaction=True)

LONG_CONTEXT = 16_384
REQUEST = "0123456789abcdef" * 2
MESSAGES: list[ChatMessage] = [{"role": "user", "content": "Say something."}]
ANNOUNCED = ["live.stream", "live.info", "live.generate"]


@pytest.fixture
def ada(tiny_llama: Path) -> User:
    """A person whose engine lies on this host."""
    revision = make_revision(tiny_llama, make_host(announces=ANNOUNCED))
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return user


@pytest.fixture
def long_winded(tmp_path: Path) -> User:
    """A person whose engine talks for many seconds."""
    path = write_llama_chat(tmp_path / "long.gguf", context_length=LONG_CONTEXT)
    revision = make_revision(path, make_host(announces=ANNOUNCED))
    user = User.objects.create(username="grace")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return user


def worker(folder: Path, name: str = "w") -> WorkerProcess:
    return WorkerProcess(folder, LIVE, name=name, SAM_ENGINE_THREADS="1")


def asked(
    user: User, *, max_tokens: int = 24, messages: list[ChatMessage] = MESSAGES
) -> AnswerRequest:
    return AnswerRequest(user_id=user.pk, messages=messages, temperature=0.0, max_tokens=max_tokens)


async def events_of(request: AnswerRequest) -> list[Event]:
    return [event async for event in stream_answer(request) if not isinstance(event, StateEvent)]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextEvent))


def engine_text(revision: ModelRevision, path: Path, max_tokens: int) -> tuple[str, int, int]:
    """What the engine says by itself, and its counts of tokens."""
    with LlamaCppEngine.from_spec(engine_spec(revision, str(path))) as engine:
        engine.load_model()
        prompt = engine.format_prompt([{"role": "user", "content": "Say something."}])
        said = engine.complete(prompt, temperature=0.0, max_tokens=max_tokens)
    return said.text, said.prompt_tokens, len(said.tokens)


def test_a_stream_is_what_the_engine_says_and_is_counted(
    ada: User, tiny_llama: Path, tmp_path: Path, redis_client: Redis
) -> None:
    said, tokens_in, tokens_out = engine_text(ModelRevision.objects.get(), tiny_llama, 24)

    async def until_all_is_cleared_away() -> list[Event]:
        events = await events_of(asked(ada))
        while redis_client.keys("sam:live:*:stream"):
            await asyncio.sleep(0.01)
        return events

    with worker(tmp_path):
        events = asyncio.run(until_all_is_cleared_away())

    assert events[0] == BeginEvent(
        engine_id="tiny-llama", revision_id=ModelRevision.objects.get().pk, adapters=0
    )
    assert text_of(events) == said
    assert events[-1] == EndEvent(
        finish_reason="length",
        prompt_tokens=tokens_in,
        completion_tokens=tokens_out,
        reused_tokens=0,
    )
    usage = TokenUsage.objects.get()
    assert (usage.user, usage.tokens_in, usage.tokens_out) == (ada, tokens_in, tokens_out)
    assert usage.requests == 1


@pytest.mark.slow
def test_many_streams_at_once_are_each_as_if_alone(ada: User, tmp_path: Path) -> None:
    async def many() -> list[list[Event]]:
        return await asyncio.gather(*(events_of(asked(ada)) for _ in range(8)))

    with worker(tmp_path):
        alone = asyncio.run(events_of(asked(ada)))
        together = asyncio.run(many())

    assert [text_of(events) for events in together] == [text_of(alone)] * 8


@pytest.mark.slow
def test_a_client_that_leaves_stops_the_engine(
    long_winded: User, tmp_path: Path, redis_client: Redis
) -> None:
    async def leave_early() -> None:
        async with aclosing(stream_answer(asked(long_winded, max_tokens=0))) as events:
            async for event in events:
                if isinstance(event, TextEvent):
                    break
        while redis_client.keys("sam:live:*:reader"):
            await asyncio.sleep(0.01)

    with worker(tmp_path) as running:
        asyncio.run(leave_early())
        wait_until(lambda: "The reader left." in running.log.read_text(), "the worker to stop")

    assert redis_client.keys("sam:live:????????????????????????????????") == []
    usage = TokenUsage.objects.get()
    assert usage.tokens_in > 0
    assert 0 < usage.tokens_out < LONG_CONTEXT // 2


@pytest.mark.slow
def test_an_error_of_the_engine_is_the_callers(ada: User, tmp_path: Path) -> None:
    long: list[ChatMessage] = [{"role": "user", "content": "word " * 600}]

    with worker(tmp_path), pytest.raises(InvalidRequestError, match=r"too long: \d+ tokens"):
        asyncio.run(events_of(asked(ada, messages=long)))

    assert TokenUsage.objects.count() == 0


@pytest.mark.slow
def test_a_host_that_dies_before_the_first_token_is_replaced(ada: User, tmp_path: Path) -> None:
    async def begin_with_a_frozen_worker() -> list[Event]:
        reading = asyncio.create_task(events_of(asked(ada)))
        while not admin_redis().keys("sam:live:*:taken"):
            await asyncio.sleep(0.01)
        frozen.signal(signal.SIGKILL)
        frozen.process.wait()
        with worker(tmp_path, "second"):
            return await reading

    with worker(tmp_path, "first") as frozen:
        events = asyncio.run(begin_with_a_frozen_worker())

    assert isinstance(events[-1], EndEvent)
    assert text_of(events)


Play = Callable[[Redis, str], Awaitable[None]]


async def played(play: Play, request: AnswerRequest) -> list[Event]:
    """Collect an answer whose host the test plays; what came before an error is its note."""
    redis = admin_redis(decode_responses=True)
    seen: list[Event] = []

    async def collect() -> None:
        async for event in stream_answer(request):
            if not isinstance(event, StateEvent):
                seen.append(event)  # noqa: PERF401 - what came before an error is wanted

    reading = asyncio.create_task(collect())
    while not (keys := redis.keys("sam:live:*:reader")):
        await asyncio.sleep(0.01)
    await play(redis, str(keys[0]).split(":")[2])
    try:
        await reading
    except HostUnavailableError as error:
        error.add_note(text_of(seen))
        raise
    return seen


def write(redis: Redis, request_id: str, number: int, event: StreamEvent) -> None:
    redis.xadd(stream_key(request_id), dict(pack(event)), id=entry_id(number))


BEGIN = BeginEvent(engine_id="x", revision_id=1)
END = EndEvent(finish_reason="stop", prompt_tokens=1, completion_tokens=0)


def test_a_host_that_falls_silent_after_the_first_token_is_an_error(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations_app.serving.streams.client.SILENCE_SECONDS", 1.0)

    async def silent(redis: Redis, request_id: str) -> None:
        write(redis, request_id, 1, BEGIN)
        write(redis, request_id, 2, TextEvent("Once"))

    with pytest.raises(StreamBrokenError, match="fell silent") as caught:
        asyncio.run(played(silent, asked(ada)))

    assert caught.value.__notes__ == ["Once"]


def test_a_part_that_is_missing_is_an_error(ada: User) -> None:
    async def with_a_gap(redis: Redis, request_id: str) -> None:
        write(redis, request_id, 1, BEGIN)
        write(redis, request_id, 2, TextEvent("Once"))
        write(redis, request_id, 4, TextEvent("a time"))

    with pytest.raises(StreamBrokenError, match="part of the answer was lost") as caught:
        asyncio.run(played(with_a_gap, asked(ada)))

    assert caught.value.__notes__ == ["Once"]


def test_a_second_writer_of_the_same_entry_is_refused(redis_client: Redis) -> None:
    write(redis_client, REQUEST, 1, BEGIN)

    with pytest.raises(Exception, match="equal or smaller"):
        write(redis_client, REQUEST, 1, BEGIN)


@pytest.mark.slow
def test_redis_gone_in_mid_stream_is_an_error_within_seconds(
    long_winded: User, tmp_path: Path, services: EmbeddedServices
) -> None:
    redis = next(server for server in services.servers if server.name == "redis")

    async def lose_redis() -> None:
        async with aclosing(stream_answer(asked(long_winded, max_tokens=0))) as events:
            async for event in events:
                if isinstance(event, TextEvent) and redis.running():
                    kill([redis.pid])

    try:
        with worker(tmp_path) as running:
            with pytest.raises(StreamBrokenError, match="Redis does not answer"):
                asyncio.run(asyncio.wait_for(lose_redis(), PATIENCE))
            wait_until(
                lambda: "was interrupted" in running.log.read_text(), "the worker to give up"
            )
    finally:
        wait_until(lambda: not redis.running(), "Redis to be dead")
        redis.start()


def test_what_passes_by_itself_is_tried_again_before_the_first_word(ada: User) -> None:

    async def interrupted_once(redis: Redis, request_id: str) -> None:
        error = StreamBrokenError("PostgreSQL was interrupted.")
        write(redis, request_id, 1, ErrorEvent.of(error))
        while (keys := redis.keys("sam:live:*:reader")) in ([], [reader_key(request_id)]):
            await asyncio.sleep(0.01)
        (second,) = {str(key).split(":")[2] for key in keys} - {request_id}
        write(redis, second, 1, END)

    assert asyncio.run(played(interrupted_once, asked(ada))) == [END]


def test_a_host_that_nobody_wakes_is_unavailable(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations_app.serving.streams.client.START_SECONDS", 1.0)
    monkeypatch.setattr("migrations_app.serving.streams.client.WAKE_SECONDS", 0.4)

    with pytest.raises(HostUnavailableError, match="No host took the request in time"):
        asyncio.run(events_of(asked(ada)))


def test_without_a_host_the_caller_is_told_and_the_log_once(
    ada: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("migrations_app.serving.streams.client.START_SECONDS", 1.2)
    caplog.set_level("INFO", logger="migrations_app.serving.streams.client")
    make_host(status="draining")
    with pytest.raises(HostUnavailableError, match="No active host has tiny-llama"):
        asyncio.run(events_of(asked(ada)))
    assert caplog.text.count("asked for again") == 1


def test_who_leaves_takes_the_lease_along(
    ada: User, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the lease's end nor the reader's next round may be what stops the worker.
    monkeypatch.setattr("migrations_app.serving.streams.reader.READER_LEASE_SECONDS", 600.0)
    monkeypatch.setattr("migrations_app.serving.redis_keys.READER_SECONDS", 600.0)
    monkeypatch.setattr("migrations_app.serving.streams.reader.BLOCK_MILLISECONDS", 500_000)
    departure = Departure()

    async def leave_in_the_middle() -> tuple[int, int]:
        async with aclosing(stream_answer(asked(ada), departure)) as events:
            first = asyncio.ensure_future(anext(events))
            while not (keys := redis_client.keys("sam:live:*:reader")):
                await asyncio.sleep(0.01)
            request_id = str(keys[0]).split(":")[2]
            write(redis_client, request_id, 1, BEGIN)
            assert await first == BEGIN
            mine = reader_key(request_id), request_key(request_id)
            before = redis_client.exists(*mine)
            await asyncio.to_thread(departure.tell)
            return int(before), int(redis_client.exists(*mine))

    assert asyncio.run(leave_in_the_middle()) == (2, 0)


@pytest.mark.parametrize("turns", range(4))
def test_who_leaves_just_when_a_word_comes_has_left(turns: int) -> None:
    async def cancel_with_the_word() -> bool:
        reader = StreamReader(settings.REDIS_URL)
        subscription = reader.subscribe(REQUEST, threading.Event())
        waiting = asyncio.create_task(subscription.next(PATIENCE))
        await asyncio.sleep(0)
        subscription.push(1, BEGIN)
        for _ in range(turns):
            await asyncio.sleep(0)
        was_asked = waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled() == was_asked

    assert asyncio.run(cancel_with_the_word())


def test_a_reader_that_takes_nothing_loses_its_lease(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations_app.serving.streams.reader.UNREAD_SECONDS", 0.0)

    async def sleep_over_it() -> int:
        reader = StreamReader(settings.REDIS_URL)
        with reader.subscribe(REQUEST, threading.Event()):
            reader.put(REQUEST, b"{}", 60_000)
            reader.kick()
            left = int(redis_client.pttl(reader_key(REQUEST)))
            while redis_client.exists(reader_key(REQUEST)):
                await asyncio.sleep(0.05)
            return left

    assert asyncio.run(sleep_over_it()) > 0


def test_connections_to_redis_are_kept_for_the_next_stream(redis_client: Redis) -> None:
    def opened() -> int:
        return int(redis_client.info()["total_connections_received"])

    async def two_streams() -> tuple[int, int]:
        reader = StreamReader(settings.REDIS_URL)
        counts = []
        for request_id in (REQUEST, REQUEST[::-1]):
            with reader.subscribe(request_id, threading.Event()) as subscription:
                reader.put(request_id, b"{}", 60_000)
                reader.kick()
                write(redis_client, request_id, 1, BEGIN)
                await subscription.next(10)
            while redis_client.exists(stream_key(request_id)):
                await asyncio.sleep(0.01)
            counts.append(opened())
        return counts[0], counts[1]

    first, second = asyncio.run(two_streams())

    assert first == second
