"""The writing end of a token stream: numbered entries, a reader that is gone, beats."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from redis import Redis
from redis.exceptions import ResponseError

from engines.services.answers.messages import (
    BeginEvent,
    EndEvent,
    ReasoningEvent,
    StateEvent,
    TextEvent,
)
from migrations_app.serving.protocol import BeatEvent
from migrations_app.serving.redis_keys import reader_key, request_key, stream_key
from migrations_app.serving.streams.entries import entry_id
from tests.worker.processes import wait_until
from worker.live.requests import answer
from worker.live.stream_writer import TokenWriter

pytestmark = pytest.mark.django_db(transaction=True)

REQUEST = "0123456789abcdef" * 2
PIECES = 20
END = EndEvent(finish_reason="stop", prompt_tokens=1, completion_tokens=8)


def written(redis: Redis) -> list[tuple[str, dict[str, Any]]]:
    """The ids and events of the stream."""
    entries: Any = redis.xrange(stream_key(REQUEST))
    return [(name, json.loads(fields["event"])) for name, fields in entries]


def test_without_a_reader_the_writer_is_told_at_its_first_word(redis_client: Redis) -> None:
    writer = TokenWriter(Redis.from_url(settings.REDIS_URL), REQUEST)

    writer.write(BeatEvent())

    assert writer.abandoned.is_set()


def test_text_that_comes_fast_goes_out_together_and_none_is_lost(redis_client: Redis) -> None:
    redis_client.set(reader_key(REQUEST), 1)
    writer = TokenWriter(Redis.from_url(settings.REDIS_URL), REQUEST)

    for piece in "abcdefgh":
        writer.write(TextEvent(piece))
    writer.write(END)

    entries = written(redis_client)
    events = [event for _, event in entries]
    assert "".join(event.get("text", "") for event in events) == "abcdefgh"
    assert len(entries) < 9
    assert [name for name, _ in entries] == [entry_id(n + 1) for n in range(len(entries))]
    assert not writer.abandoned.is_set()
    assert 0 < redis_client.ttl(stream_key(REQUEST)) <= 60


def test_streams_that_write_at_once_lose_nothing_and_one_that_is_refused_stops_alone(
    redis_client: Redis,
) -> None:
    redis = Redis.from_url(settings.REDIS_URL)
    names = [f"{number:032x}" for number in range(6)]
    for name in names:
        redis_client.set(reader_key(name), 1)
    redis_client.xadd(stream_key(names[0]), {"event": "of another writer"}, id="9-9")
    writers = [TokenWriter(redis, name) for name in names]

    with ThreadPoolExecutor(len(names)) as pool:
        refused, *others = pool.map(_write_until_refused, writers)

    # Whoever sends for it raises or tells it.
    wait_until(lambda: refused or writers[0].abandoned.is_set(), "the refused one to stop")
    assert not any(others)
    for name in names[1:]:
        wait_until(partial(_is_whole, redis_client, name), "the end of a stream")
        entries: Any = redis_client.xrange(stream_key(name))
        events = [json.loads(fields["event"]) for _, fields in entries]
        assert [number for number, _ in entries] == [entry_id(n + 1) for n in range(2 * PIECES)]
        said = [event["text"] for event in events if event["type"] == "text"]
        assert said == list(map(str, range(PIECES)))
    assert redis_client.xlen(stream_key(names[0])) == 1
    assert not any(writer.abandoned.is_set() for writer in writers[1:])


def _is_whole(redis: Redis, name: str) -> bool:
    return redis.xlen(stream_key(name)) == 2 * PIECES


def _write_until_refused(writer: TokenWriter) -> bool:
    """Write pieces, each of them at once because of the beat behind it; True when Redis takes no more."""
    for number in range(PIECES):
        try:
            writer.write(TextEvent(str(number)))
            writer.write(BeatEvent())
        except ResponseError:
            return True
    return False


def test_a_request_that_cannot_be_read_ends_its_stream_with_an_error(redis_client: Redis) -> None:
    redis_client.set(request_key(REQUEST), "[]")
    redis_client.set(reader_key(REQUEST), 1)

    assert answer("stream", REQUEST).startswith("Refused: ")

    assert written(redis_client)[-1][1]["code"] == "invalid_request"


def test_beats_end_with_the_last_stream(redis_client: Redis) -> None:
    redis_client.set(request_key(REQUEST), "[]")

    answer("stream", REQUEST)
    wait_until(
        lambda: all(thread.name != "beats" for thread in threading.enumerate()), "beats to end"
    )


def test_reasoning_and_answer_are_never_joined(redis_client: Redis) -> None:
    redis_client.set(reader_key(REQUEST), 1)
    writer = TokenWriter(Redis.from_url(settings.REDIS_URL), REQUEST)

    for event in (ReasoningEvent("a"), ReasoningEvent("b"), TextEvent("c"), TextEvent("d")):
        writer.write(event)
    writer.write(END)

    events = [event for _, event in written(redis_client)]
    thought, said = (
        "".join(event["text"] for event in events if event["type"] == kind)
        for kind in ("reasoning", "text")
    )
    assert (thought, said, events[-1]["type"]) == ("ab", "cd", "end")


def test_what_comes_before_the_first_word_goes_out_with_it(redis_client: Redis) -> None:
    redis_client.set(reader_key(REQUEST), 1)
    writer = TokenWriter(Redis.from_url(settings.REDIS_URL), REQUEST)

    writer.write(StateEvent())
    writer.write(BeginEvent(engine_id="x", revision_id=1))
    before = written(redis_client)
    writer.write(TextEvent("a"))

    assert before == []
    assert [(name, event["type"]) for name, event in written(redis_client)] == [
        ("1-1", "state"),
        ("1-2", "begin"),
        ("1-3", "text"),
    ]


def test_what_waits_for_a_first_word_that_is_late_goes_out_with_the_beat(
    redis_client: Redis,
) -> None:
    redis_client.set(reader_key(REQUEST), 1)
    writer = TokenWriter(Redis.from_url(settings.REDIS_URL), REQUEST)

    writer.write(StateEvent())
    writer.beat()

    assert [event["type"] for _, event in written(redis_client)] == ["state", "beat"]
