"""Takes live requests and answers them; the other side of ``migrations_app.live``."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from engines.exceptions import InvalidRequestError, SamError
from migrations_app.live import REPLY_SECONDS, redis_client, reply_key, request_key, taken_key
from migrations_app.live_hosts import presence_key
from migrations_app.token_stream import error_event
from worker.answering import stream
from worker.guard import guarded
from worker.identity import process_name
from worker.live_handlers import LIVE_HANDLERS
from worker.token_writer import Beats, TokenWriter

TAKEN_SECONDS = 15
PRESENCE_SECONDS = 3.0
"""How often the lease of a request and the host's load are renewed."""
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


_running = _Running()
_beats = Beats()


def answer(kind: str, request_id: object) -> str:
    """Answer one request if its caller still waits and nobody else took it; returns a sentence."""
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise InvalidRequestError("The message carries no key of a live request.")
    redis = redis_client(settings.REDIS_URL)
    if not redis.set(taken_key(request_id), process_name(), nx=True, ex=TAKEN_SECONDS):
        return "Another worker answers this request."
    body = redis.get(request_key(request_id))
    if body is None:
        redis.delete(taken_key(request_id))
        return "The caller does not wait any more."
    if kind == "stream":
        with _running.include(request_id):
            return _stream(redis, request_id, body)
    with _running.include(request_id):
        reply, sentence = _reply(kind, body)
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.rpush(reply_key(request_id), json.dumps(reply))
        pipeline.expire(reply_key(request_id), REPLY_SECONDS)
        # The lease stays for a moment: until the caller has read the reply, nobody shall begin anew.
        pipeline.expire(taken_key(request_id), TAKEN_SECONDS)
        pipeline.execute()
    return sentence


def _reply(kind: str, body: bytes | str) -> tuple[dict[str, Any], str]:
    close_old_connections()
    try:
        return {"result": guarded(lambda: _handle(kind, body))}, f"Answered '{kind}'."
    except SamError as error:
        return {"error": {"code": error.code, "message": str(error)}}, f"Refused: {error}"
    finally:
        close_old_connections()


def _handle(kind: str, body: bytes | str) -> dict[str, Any]:
    return LIVE_HANDLERS[kind](_payload(kind, body))


def _payload(kind: str, body: bytes | str) -> dict[str, Any]:
    request = json.loads(body)
    if not isinstance(request, dict) or request.get("kind") != kind:
        raise InvalidRequestError("The request is of another kind than its message.")
    payload = request.get("payload")
    if not isinstance(payload, dict):
        raise InvalidRequestError("The request carries no payload.")
    return payload


def _stream(redis: Redis, request_id: str, body: bytes | str) -> str:
    """Write an answer into its stream while it comes; its error as well, if it can be written."""
    close_old_connections()
    writer = TokenWriter(redis, request_id)
    try:
        with _beats.include(writer):
            guarded(lambda: _write_all(writer, _payload("stream", body)))
    except SamError as error:
        with suppress(RedisError):
            writer.write(error_event(error))
        return f"Refused: {error}"
    finally:
        close_old_connections()
    return "The reader left." if writer.abandoned.is_set() else "Answered 'stream'."


def _write_all(writer: TokenWriter, payload: dict[str, Any]) -> None:
    writer.write({"type": "beat"})
    with closing(stream(payload, writer.abandoned)) as events:
        for event in events:
            writer.write(event)
            if writer.abandoned.is_set():
                break


def renew_presence() -> None:
    """Renew the leases of running requests and say how busy this host is."""
    redis = redis_client(settings.REDIS_URL)
    ids = _running.ids()
    with redis.pipeline(transaction=False) as pipeline:
        for request_id in ids:
            pipeline.set(taken_key(request_id), process_name(), ex=TAKEN_SECONDS)
        pipeline.set(presence_key(settings.SAM_HOST_NAME), len(ids), ex=TAKEN_SECONDS)
        pipeline.execute()
