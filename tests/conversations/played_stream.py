"""A host's live worker played by the test: it takes a stream's request and writes what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from migrations_app.serving.redis_keys import stream_key
from worker.live.stream_writer import TokenWriter

Play = Callable[[dict[str, Any], TokenWriter], None]
"""Is given what was asked, and writes the answer."""


@contextmanager
def played_streams(redis: Redis, play: Play) -> Iterator[list[dict[str, Any]]]:
    """Answer every stream while the block runs; yields what was asked."""
    asked: list[dict[str, Any]] = []
    done = threading.Event()
    seen: set[str] = set()

    def serve() -> None:
        while not done.wait(0.02):
            for raw in redis.scan_iter("sam:live:*"):
                key = raw.decode()
                request_id = key.split(":")[2]
                # An earlier play may have answered it, and its reader not yet have cleared it away.
                is_new = request_id not in seen and not redis.exists(stream_key(request_id))
                body = redis.get(key) if key.count(":") == 2 and is_new else None
                if body is not None:
                    seen.add(request_id)
                    asked.append(json.loads(body)["payload"])
                    play(asked[-1], TokenWriter(redis, request_id))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join()
