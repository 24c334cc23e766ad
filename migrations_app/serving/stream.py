"""How an answer travels while it is being written: entries of one Redis stream for each request.

The worker numbers its entries ``1-1``, ``1-2`` …, so a repeated write is an error and a gap is seen.
The reader keeps a short lease; when it lapses, the client is gone and the worker stops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engines.exceptions import HostUnavailableError, SamError
from engines.services.answers.events import Event
from migrations_app.serving.wire import error_fields, error_from

BEAT_SECONDS = 1.0
"""A worker writes at least so often, also while it loads an engine or reads a long prompt."""
SILENCE_SECONDS = 5.0
"""A worker that was silent longer is taken for dead."""
LEASE_SECONDS = 3.0
"""A reader that was silent longer is taken for gone; it renews every second."""
STREAM_SECONDS = 60
MOST_ENTRIES = 100_000

FIELD = "event"


class StreamBrokenError(HostUnavailableError):
    """An answer broke off: its host, its Redis or a part of its stream is gone."""

    code = "stream_broken"


def stream_key(request_id: str) -> str:
    """Name the Redis stream of a request's events."""
    return f"sam:live:{request_id}:stream"


def reader_key(request_id: str) -> str:
    """Name the key that says that somebody still reads the answer."""
    return f"sam:live:{request_id}:reader"


def entry_id(number: int) -> str:
    """Return the explicit id of the event with this number, from 1."""
    return f"1-{number}"


def pack(event: Event) -> Mapping[Any, Any]:
    """Return an event as the fields of an entry."""
    return {FIELD: json.dumps(event, ensure_ascii=False)}


def unpack(fields: Mapping[bytes, bytes]) -> Event:
    """Return the event of an entry."""
    event: Event = json.loads(fields[FIELD.encode()])
    return event


def error_event(error: SamError) -> Event:
    """Return the event that ends a stream with an error."""
    return {"type": "error", **error_fields(error)}


def raise_error(event: Event) -> None:
    """Raise what an error event carries; other events pass."""
    if event["type"] == "error":
        raise error_from(event)
