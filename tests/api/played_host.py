"""A host played by the test: it takes requests from the real Redis and answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from redis import Redis

from migrations_app.serving.redis_keys import reply_key

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]


@contextmanager
def played_host(redis: Redis, answer: Answer) -> Iterator[list[dict[str, Any]]]:
    """Answer every live request while the block runs; yields what was asked."""
    asked: list[dict[str, Any]] = []
    done = Event()

    def serve() -> None:
        seen: set[str] = set()
        while not done.wait(0.02):
            for key in redis.scan_iter("sam:live:*"):
                request_id = key.split(":")[2]
                if key.count(":") != 2 or request_id in seen:
                    continue
                body = redis.get(key)
                if body is None:
                    continue
                seen.add(request_id)
                request = json.loads(body)
                asked.append(request["payload"])
                reply = {"result": answer(request["kind"], request["payload"])}
                redis.rpush(reply_key(request_id), json.dumps(reply))

    thread = Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join()
