"""What crosses Redis: as it was before it had types, and whatever else may lie there."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from engines.exceptions import InvalidRequestError, NotFoundError
from engines.models import FallbackIncident, TokenUsage
from engines.services.answers.messages import (
    AnswerRequest,
    BeginEvent,
    EndEvent,
    FallbackCause,
    StateEvent,
    TextEvent,
    ToolCallEvent,
)
from engines.services.knowledge.search_filters import SearchFilter
from migrations_app.serving.protocol import (
    EMBED,
    GENERATE,
    INFO,
    LIVE_KINDS,
    SEARCH,
    STREAM,
    WARM,
    BeatEvent,
    EmbedRequest,
    ErrorEvent,
    InfoRequest,
    SearchRequest,
    UnreadableReplyError,
    WarmReply,
    WarmRequest,
    error_body,
    parse_event,
    reply_body,
)
from migrations_app.serving.redis_keys import reply_key, request_key, stream_key, taken_key
from migrations_app.serving.streams.entries import FIELD, entry_id, pack
from migrations_app.serving.streams.reader import StreamReader
from worker.live.requests import TAKEN_SECONDS, answer

PROJECT = Path(__file__).resolve().parents[3]
REQUEST = "0123456789abcdef" * 2
OTHER = REQUEST[::-1]

BEFORE: list[tuple[Any, bytes, Any]] = [
    (
        STREAM,
        b'{"kind": "stream", "payload": {"messages": [{"role": "user", "content": "H\\u00e9"}], '
        b'"max_tokens": 7, "temperature": 0, "stop": "END", "knowledge": 3, '
        b'"knowledge_filter": {"bases": [3]}, "user_id": 5}}',
        AnswerRequest(
            user_id=5,
            messages=[{"role": "user", "content": "Hé"}],
            max_tokens=7,
            temperature=0.0,
            stop="END",
            knowledge=3,
            knowledge_filter=SearchFilter(bases=[3]),
        ),
    ),
    (
        GENERATE,
        b'{"kind": "generate", "payload": {"user_id": 5, "prompt": "Once", "revision_id": 8, '
        b'"fallback_for": {"engine_id": "a", "revision_id": 2, "reason": "Gone."}}}',
        AnswerRequest(
            user_id=5,
            prompt="Once",
            revision_id=8,
            fallback_for=FallbackCause("a", 2, "Gone."),
        ),
    ),
    (
        EMBED,
        b'{"kind": "embed", "payload": {"fingerprint_id": 4, "texts": ["a"], "as": "query"}}',
        EmbedRequest(fingerprint_id=4, texts=["a"], role="query"),
    ),
    (
        SEARCH,
        b'{"kind": "search", "payload": {"user_id": 5, "query": "w?", "k": 3}}',
        SearchRequest(user_id=5, query="w?", k=3),
    ),
    (
        WARM,
        b'{"kind": "warm", "payload": {"revision_id": 4, "user_id": null}}',
        WarmRequest(revision_id=4),
    ),
    (INFO, b'{"kind": "info", "payload": {}}', InfoRequest()),
    (
        WARM,
        b'{"kind": "warm", "payload": {"revision_id": 4, "of_a_later_version": [1]}}',
        WarmRequest(revision_id=4),
    ),
]
EVENTS_BEFORE = {
    b'{"type": "state", "state": "loading"}': StateEvent(),
    b'{"type": "beat"}': BeatEvent(),
    b'{"type": "begin", "engine_id": "x", "revision_id": 1, "adapters": 2}': BeginEvent(
        engine_id="x", revision_id=1, adapters=2
    ),
    b'{"type": "text", "text": "a"}': TextEvent("a"),
    b'{"type": "tool_call", "index": 0, "id": "1", "name": "f", "arguments": "{}"}': ToolCallEvent(
        index=0, id="1", name="f", arguments="{}"
    ),
    b'{"type": "end", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2}': EndEvent(
        finish_reason="stop", prompt_tokens=1, completion_tokens=2
    ),
    b'{"type": "error", "code": "not_found", "message": "No.", "transient": false, "at_load": true, '
    b'"host": "h"}': ErrorEvent(code="not_found", message="No.", at_load=True, host="h"),
}
DAMAGED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"kind": {}, "payload": {}}',
    b'{"payload": {}}',
    b'{"kind": "another", "payload": {}}',
]


def wrong_bodies(kind: str) -> list[bytes]:
    """What a worker may find in place of a request of this kind."""
    payloads = [
        b"3", b"[]", b'{"user_id": "1", "revision_id": "1", "texts": "x", "query": 7}',
        b'{"user_id": -1, "revision_id": 0, "texts": [7], "query": null}',
        b'{"user_id": true, "revision_id": 1e30, "texts": {}, "query": []}',
        b'{"user_id": 1, "texts": ["x"], "as": "root", "query": "x", "k": 0, "messages": [7], '
        b'"revision_id": []}',
    ]  # fmt: skip
    named = kind.encode()
    return [*DAMAGED, *(b'{"kind": "%b", "payload": %b}' % (named, each) for each in payloads)]


@pytest.mark.parametrize(("kind", "body", "request_"), BEFORE)
def test_requests_of_before_they_had_types_are_read(kind: Any, body: bytes, request_: Any) -> None:
    assert kind.parse_request(body) == request_
    assert kind.parse_request(kind.request_body(request_)) == request_


@pytest.mark.parametrize("body", EVENTS_BEFORE)
def test_events_of_before_they_had_types_are_read(body: bytes) -> None:
    event = EVENTS_BEFORE[body]

    assert parse_event(body) == event
    assert parse_event(pack(event)[FIELD]) == event


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [kind for kind in LIVE_KINDS if kind != INFO.name])
def test_a_request_of_unknown_shape_ends_with_a_sentence_and_changes_nothing(
    kind: str, redis_client: Redis
) -> None:
    redis = Redis.from_url(settings.REDIS_URL)
    for number, body in enumerate(wrong_bodies(kind)):
        request_id = f"{number:032x}"
        redis.set(request_key(request_id), body)

        said = answer(kind, request_id)

        assert said.startswith("Refused: The request "), (body, said)
        assert said.endswith("."), said
        if kind == STREAM.name:
            entries: Any = redis.xrange(stream_key(request_id))
            error = parse_event(entries[-1][1][FIELD])
            assert isinstance(error, ErrorEvent)
            assert error.code == InvalidRequestError.code
        else:
            reply: Any = redis.lpop(reply_key(request_id))
            with pytest.raises(InvalidRequestError):
                WARM.parse_reply(reply)
        assert 0 < int(str(redis.ttl(taken_key(request_id)))) <= TAKEN_SECONDS
    assert (TokenUsage.objects.count(), FallbackIncident.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        *DAMAGED,
        b"{}",
        b'{"result": 7}',
        b'{"result": {"engines": "many"}}',
        b'{"error": {}}',
        b'{"error": {"code": 7, "message": "No."}}',
    ],
)
def test_a_reply_that_cannot_be_read_is_an_error_with_a_sentence(body: bytes) -> None:
    with pytest.raises(UnreadableReplyError, match=r"reply to 'warm' cannot be read: .*\."):
        WARM.parse_reply(body)


def test_a_reply_is_read_as_it_was_written_and_an_error_as_itself() -> None:
    assert WARM.parse_reply(reply_body(WarmReply(3))) == WarmReply(3)
    with pytest.raises(NotFoundError, match="No"):
        WARM.parse_reply(b'{"error": {"code": "not_found", "message": "No.", "later": 1}}')


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"type": "later"}', b'{"type": "text", "text": 7}']
)
def test_an_entry_that_cannot_be_read_ends_its_stream_and_no_other(
    redis_client: Redis, body: bytes
) -> None:
    async def read_both() -> None:
        reader = StreamReader(settings.REDIS_URL)
        left = threading.Event()
        with reader.subscribe(REQUEST, left) as bad, reader.subscribe(OTHER, left) as good:
            reader.kick()
            redis_client.xadd(stream_key(REQUEST), {FIELD: body}, id=entry_id(1))
            with pytest.raises(UnreadableReplyError, match="part of the answer cannot be read"):
                await bad.next(30)
            redis_client.xadd(stream_key(OTHER), dict(pack(TextEvent("a"))), id=entry_id(1))
            assert await good.next(30) == TextEvent("a")

    asyncio.run(read_both())


def test_an_entry_without_an_event_ends_its_stream(redis_client: Redis) -> None:
    async def read() -> None:
        reader = StreamReader(settings.REDIS_URL)
        with reader.subscribe(REQUEST, threading.Event()) as subscription:
            reader.kick()
            redis_client.xadd(stream_key(REQUEST), {"other": 1}, id=entry_id(1))
            with pytest.raises(UnreadableReplyError, match="no event"):
                await subscription.next(30)

    asyncio.run(read())


def test_half_a_character_is_the_callers_error() -> None:
    with pytest.raises(InvalidRequestError, match="half of a character"):
        EMBED.request_body(EmbedRequest(revision_id=1, texts=["\ud800"]))


def test_an_error_about_a_file_whose_name_is_no_unicode_still_arrives() -> None:
    error = NotFoundError("There is no file /models/\udcff.gguf.")

    with pytest.raises(NotFoundError, match=r"There is no file /models/\?\.gguf\."):
        WARM.parse_reply(error_body(error))


def test_vectors_that_are_not_as_many_as_the_texts_are_refused() -> None:
    reply = EMBED.parse_reply(b'{"result": {"vectors": "AACAPw==", "dimension": 1, "errors": {}}}')

    assert reply.batch(1).vectors.tolist() == [[1.0]]
    with pytest.raises(UnreadableReplyError, match="4 bytes of vectors in place of 8"):
        reply.batch(2)


def test_every_key_in_redis_is_named_on_one_page() -> None:
    """A browser's events begin alike: scripts and templates hold no keys, and toasts are named here."""
    command = ["git", "grep", "--untracked", "-lP", r"f?['\"]sam:(?!toast['\"])"]
    packages = ["engines", "migrations_app", "worker", "samproject"]
    modules = [f":(glob){package}/**/*.py" for package in packages]
    found = subprocess.run(
        [*command, "--", *modules], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert set(found.stdout.split()) == {
        "migrations_app/serving/redis_keys.py",
        "samproject/configuration/celery.py",
    }


def test_every_queue_is_named_on_one_page() -> None:
    pattern = re.compile(r"f['\"]host\.\{")
    named = [
        path.relative_to(PROJECT).as_posix()
        for package in ("engines", "migrations_app", "worker", "samproject")
        for path in (PROJECT / package).rglob("*.py")
        if pattern.search(path.read_text())
    ]

    assert named == ["migrations_app/queues.py"]
