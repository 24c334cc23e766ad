"""Takes live requests and answers them; the other side of ``migrations_app.serving.client``."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, cast

from django.conf import settings
from django.db import close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from engines.exceptions import InvalidRequestError, SamError
from engines.services.answers.messages import AnswerRequest
from engines.specs import EngineSpec
from migrations_app.serving.client import REPLY_SECONDS
from migrations_app.serving.hosts import needed_file
from migrations_app.serving.load import engine_mark, hold, let_go, take, tell_engines
from migrations_app.serving.protocol import (
    EMBED,
    GENERATE,
    SEARCH,
    STREAM,
    WARM,
    ErrorEvent,
    RequestKind,
    error_body,
    person_of,
    reply_body,
)
from migrations_app.serving.redis_keys import redis_client, reply_key, request_key, taken_key
from worker.host.engine_pool import engine_pool
from worker.live.answer import stream
from worker.live.handlers import LIVE_HANDLERS
from worker.live.stream_writer import Beats, TokenWriter
from worker.live.turns import HOUSE, Asker, Turns
from worker.process.errors import translate_errors
from worker.process.identity import process_name

TAKEN_SECONDS = 15
PRESENCE_SECONDS = 3.0
"""How often the lease of a request, and what counts for this host, are renewed."""
REQUEST_ID = re.compile(r"[0-9a-f]{32}")


class _Running:
    """The requests this process is working on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()

    @contextmanager
    def include(self, request_id: str) -> Iterator[None]:
        with self._lock:
            self._ids.add(request_id)
        try:
            yield
        finally:
            with self._lock:
                self._ids.discard(request_id)

    def ids(self) -> list[str]:
        with self._lock:
            return list(self._ids)


ORDERED: dict[str, RequestKind[Any]] = {
    kind.name: kind for kind in (STREAM, GENERATE, SEARCH, EMBED, WARM)
}
"""What takes long enough to wait in turn for."""

_running = _Running()
_beats = Beats()
_turns = Turns(lambda: _marks(engine_pool().in_use()))


def answer(kind: str, request_id: object) -> str:
    """Answer one request if its caller still waits and nobody else took it; returns a sentence."""
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise InvalidRequestError("The message carries no key of a live request.")
    redis = redis_client(settings.REDIS_URL)
    if kind not in ORDERED:
        return _answer_in_turn(redis, kind, request_id)
    if not _turns.wait(request_id, lambda: _read_asker(redis, kind, request_id)):
        return "Not now: it is here already, its person has too many waiting, or this worker ends."
    try:
        return _answer_in_turn(redis, kind, request_id)
    finally:
        _turns.leave(request_id)


def _read_asker(redis: Redis, kind: str, request_id: str) -> Asker:
    """Return whose a waiting request is; nobody's when its caller has left or it cannot be read."""
    body = cast("bytes | None", redis.get(request_key(request_id)))
    if body is None:
        return Asker()
    person = person_of(body) or HOUSE
    close_old_connections()
    try:
        needed = translate_errors(lambda: needed_file(ORDERED[kind].parse_request(body)))
    except SamError:
        # Whoever answers it says what is wrong with it.
        return Asker(person)
    finally:
        close_old_connections()
    return Asker(person, needed.mark if needed else "")


def _answer_in_turn(redis: Redis, kind: str, request_id: str) -> str:
    host, owner = settings.SAM_HOST_NAME, process_name()
    taken = take(redis, host, request_id, owner=owner, seconds=TAKEN_SECONDS)
    if not taken.is_free:
        return "Another worker answers this request."
    if taken.body is None:
        return "The caller does not wait any more."
    try:
        return _answer_taken(redis, kind, request_id, taken.body)
    finally:
        _count_no_more(redis, request_id)


def _answer_taken(redis: Redis, kind: str, request_id: str, body: bytes) -> str:
    if kind in ORDERED:
        _turns.tell(request_id, person_of(body) or HOUSE)
    if kind == STREAM.name:
        with _running.include(request_id):
            return _stream(redis, request_id, body)
    with _running.include(request_id):
        reply, sentence = _reply(kind, body)
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.rpush(reply_key(request_id), reply)
        pipeline.expire(reply_key(request_id), REPLY_SECONDS)
        # The lease stays for a moment: until the caller has read the reply, nobody shall begin anew.
        pipeline.expire(taken_key(request_id), TAKEN_SECONDS)
        pipeline.execute()
    return sentence


def _count_no_more(redis: Redis, request_id: str) -> None:
    """Take a request out of this host's load; without Redis it stops counting by itself."""
    with suppress(RedisError), redis.pipeline(transaction=True) as pipeline:
        let_go(pipeline, settings.SAM_HOST_NAME, request_id)
        tell_engines(pipeline, settings.SAM_HOST_NAME, loaded_marks())
        pipeline.execute()


def loaded_marks() -> set[str]:
    """Return the names of the engines this process has loaded, as hosts are chosen by them."""
    return _marks(engine_pool().loaded())


def _marks(specs: Iterable[EngineSpec]) -> set[str]:
    return {engine_mark(spec.engine_id, embeds=spec.embedding is not None) for spec in specs}


def _reply(kind: str, body: bytes) -> tuple[bytes, str]:
    close_old_connections()
    try:
        return translate_errors(
            lambda: reply_body(LIVE_HANDLERS[kind](body))
        ), f"Answered '{kind}'."
    except SamError as error:
        return error_body(_own(error)), f"Refused: {error}"
    finally:
        close_old_connections()


def _own(error: SamError) -> SamError:
    """Return an error as this host's: what another one could not load is for it to say."""
    error.at_load = error.at_load and error.host == settings.SAM_HOST_NAME
    error.host = settings.SAM_HOST_NAME
    return error


def _stream(redis: Redis, request_id: str, body: bytes) -> str:
    """Write an answer into its stream while it comes; its error as well, if it can be written."""
    close_old_connections()
    writer = TokenWriter(redis, request_id)
    try:
        with _beats.include(writer):
            translate_errors(lambda: _write_all(writer, STREAM.parse_request(body)))
    except SamError as error:
        with suppress(RedisError):
            writer.write(ErrorEvent.of(_own(error)))
        return f"Refused: {error}"
    finally:
        close_old_connections()
    return "The reader left." if writer.abandoned.is_set() else "Answered 'stream'."


def _write_all(writer: TokenWriter, request: AnswerRequest) -> None:
    with closing(stream(request, writer.abandoned)) as events:
        for event in events:
            writer.write(event)
            if writer.abandoned.is_set():
                break


def renew_presence() -> None:
    """Renew the leases of running requests, and say how busy this host is and what it has loaded."""
    redis, name = redis_client(settings.REDIS_URL), settings.SAM_HOST_NAME
    ids = _running.ids()
    with redis.pipeline(transaction=True) as pipeline:
        for request_id in ids:
            pipeline.set(taken_key(request_id), process_name(), ex=TAKEN_SECONDS)
        hold(pipeline, name, ids)
        tell_engines(pipeline, name, loaded_marks())
        pipeline.execute()
