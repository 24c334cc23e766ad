"""Ask a host's live worker for something a person is waiting for: vectors, an answer, a search.

The request lies in Redis under a key that ends with the caller's patience; the message carries its id and
is only a wake-up. A worker takes a request by setting a short lease beside it (``NX``) and renews that
while it works. So a request whose worker died, whose message was lost, or that was lost with all of Redis
is seen by its caller and sent again, and one whose caller gave up is dropped.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import cycle
from typing import Any, Literal

import numpy as np
from django.db import close_old_connections
from numpy.typing import NDArray
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from engines.exceptions import HostUnavailableError, SamError, TextNotEmbeddableError
from engines.runtimes.base import EmbeddingBatch
from migrations_app.live_hosts import hosts_for
from migrations_app.wakeups import live_queue, send

logger = logging.getLogger(__name__)

LiveKind = Literal["embed", "generate", "stream", "search", "warm", "unload", "info"]
LIVE_KINDS: tuple[LiveKind, ...] = (
    "embed", "generate", "stream", "search", "warm", "unload", "info",
)  # fmt: skip

READ_SECONDS = 1.0
"""The longest a read blocks: a longer one hides that the connection is dead."""
WAKE_SECONDS = 5.0
"""How long a message may lie before another host is called."""
REPLY_SECONDS = 60
TEXTS_PER_CALL = 64


def request_key(request_id: str) -> str:
    """Name the key of a request's JSON: kind and payload."""
    return f"sam:live:{request_id}"


def taken_key(request_id: str) -> str:
    """Name the key of the lease of whoever works on a request."""
    return f"sam:live:{request_id}:taken"


def reply_key(request_id: str) -> str:
    """Name the list into which the reply's JSON is pushed."""
    return f"sam:live:{request_id}:reply"


def progress_key(plan_id: object) -> str:
    """Name the key of a running plan's progress: JSON with step, progress (0 to 1), percentage, detail."""
    return f"sam:progress:{plan_id}"


@lru_cache(maxsize=4)
def redis_client(url: str) -> Redis:
    """Return this process's client of a Redis: short waits, and no retries that nobody sees."""
    return Redis.from_url(
        url,
        socket_timeout=5.0,
        socket_connect_timeout=5.0,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )


class LiveClient:
    """Calls live workers; safe to share between threads."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis_client(redis_url)

    def call(
        self,
        kind: LiveKind,
        payload: Mapping[str, Any],
        *,
        host: str | None = None,
        without: Collection[str] = (),
        timeout: float = 30.0,
    ) -> dict[str, Any]:
        """Return the reply of the named host, or of the least busy one that can, ``without`` some.

        ``timeout`` is in seconds. Raises HostUnavailableError (transient) when no host can, none
        answers in time or Redis is away, and whatever SamError the host answers with.
        """
        request_id = uuid.uuid4().hex
        try:
            hosts = (
                [host]
                if host
                else hosts_for(self._redis, kind, payload, request_id=request_id, without=without)
            )
            # The wait that follows may be long, and database connections are few.
            close_old_connections()
            return _Call(self._redis, kind, payload, timeout, request_id).run(cycle(hosts))
        except RedisError as error:
            raise HostUnavailableError(
                f"Redis does not answer, so no host can be asked ({error}); try again in a moment."
            ) from error


class _Call:
    """One request on its way: put, announced, waited for, cleared away."""

    def __init__(
        self,
        redis: Redis,
        kind: LiveKind,
        payload: Mapping[str, Any],
        timeout: float,
        request_id: str,
    ) -> None:
        self._redis = redis
        self._kind = kind
        self._id = request_id
        self._body = json.dumps({"kind": kind, "payload": dict(payload)})
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._next_wake = 0.0

    def run(self, hosts: Iterator[str]) -> dict[str, Any]:
        try:
            while self._left() > 0:
                self._send_unless_taken(hosts)
                wait = max(min(READ_SECONDS, self._left()), 0.01)
                reply = self._redis.blpop([reply_key(self._id)], timeout=wait)
                if reply is not None:
                    return _opened(reply[1])
        finally:
            # Also expires by itself; without Redis there is nothing to clear away.
            with contextlib.suppress(RedisError):
                self._redis.delete(request_key(self._id))
        raise HostUnavailableError(
            f"No host answered '{self._kind}' within {self._timeout:.0f} s; try again later."
        )

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _send_unless_taken(self, hosts: Iterator[str]) -> None:
        """Put the request, also again after Redis lost it, and wake one host after the other."""
        if self._redis.exists(taken_key(self._id)):
            return
        remaining = max(int(self._left() * 1000), 1)
        self._redis.set(request_key(self._id), self._body, px=remaining, nx=True)
        if time.monotonic() < self._next_wake:
            return
        queue = live_queue(next(hosts))
        sent = send(f"live.{self._kind}", self._id, queue=queue, expires=max(self._left(), 1.0))
        self._next_wake = time.monotonic() + (WAKE_SECONDS if sent else READ_SECONDS)


def _opened(reply: bytes | str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(reply)
    if "error" in content:
        raise error_from(content["error"])
    result: dict[str, Any] = content["result"]
    return result


def error_fields(error: SamError) -> dict[str, Any]:
    """Return an error as it travels from a host to who asked it."""
    return {
        "code": error.code,
        "message": str(error),
        "transient": error.transient,
        "at_load": error.at_load,
        "host": error.host,
    }


def error_from(fields: Mapping[str, Any]) -> SamError:
    """Return the error that ``error_fields`` described."""
    error = error_of(fields["code"], fields["message"])
    error.transient = fields["transient"]
    error.at_load = fields["at_load"]
    error.host = fields["host"]
    return error


def error_of(code: str, message: str) -> SamError:
    """Return the error a host reported, as the class that has its code."""
    pending: list[type[SamError]] = [SamError]
    for kind in pending:
        if kind.__dict__.get("code") == code:
            return kind(message)
        pending += kind.__subclasses__()
    return SamError(message)


def pack_vectors(vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return an (n, d) matrix as JSON: base64 of little-endian float32, and d."""
    data = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    return {"vectors": base64.b64encode(data).decode(), "dimension": int(vectors.shape[1])}


def unpack_batch(reply: Mapping[str, Any]) -> EmbeddingBatch:
    """Return the reply to ``embed`` as vectors (n, d) float32 and sentences by number of text."""
    flat = np.frombuffer(base64.b64decode(reply["vectors"]), "<f4").astype(np.float32)
    errors = {int(number): str(sentence) for number, sentence in reply["errors"].items()}
    return EmbeddingBatch(flat.reshape(-1, max(reply["dimension"], 1)), errors)


class RemoteEmbedder:
    """An embedder on whichever host has the model; what the control worker and the web embed with."""

    def __init__(
        self, live: LiveClient, target: Mapping[str, int], *, timeout: float = 60.0
    ) -> None:
        """``target`` is {"revision_id": …} or {"fingerprint_id": …}."""
        self._live = live
        self._target = dict(target)
        self._timeout = timeout

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Return vectors and errors in the order of the texts; raises HostUnavailableError."""
        parts: list[NDArray[np.float32]] = []
        errors: dict[int, str] = {}
        for batch in batched_texts(texts):
            answer = self._ask(batch, "document")
            errors |= {sum(map(len, parts)) + n: text for n, text in answer.errors.items()}
            parts.append(answer.vectors)
        vectors = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        return EmbeddingBatch(vectors, errors)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question; TextNotEmbeddableError when it has none."""
        answer = self._ask([text], "query")
        if answer.errors:
            raise TextNotEmbeddableError(answer.errors[0])
        vector: NDArray[np.float32] = answer.vectors[0]
        return vector

    def _ask(self, texts: Sequence[str], role: str) -> EmbeddingBatch:
        payload = {**self._target, "texts": list(texts), "as": role}
        return unpack_batch(self._live.call("embed", payload, timeout=self._timeout))


def batched_texts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut texts into pieces that one message's reply can carry."""
    for start in range(0, len(texts), TEXTS_PER_CALL):
        yield texts[start : start + TEXTS_PER_CALL]
