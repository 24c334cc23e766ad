"""How an answer travels while it is being written: entries of one Redis stream for each request.

The worker numbers its entries ``1-1``, ``1-2`` …, so a repeated write is an error and a gap is seen.
The reader keeps a short lease; when it lapses, the client is gone and the worker stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.exceptions import HostUnavailableError
from migrations_app.serving.protocol import StreamEvent, UnreadableReplyError, encode, parse_event

STREAM_BEAT_SECONDS = 1.0
"""A worker writes at least so often, also while it loads an engine or reads a long prompt."""
SILENCE_SECONDS = 5.0
"""A worker that was silent longer is taken for dead."""
READER_LEASE_SECONDS = 3.0
"""A reader that was silent longer is taken for gone; it renews every second."""
STREAM_SECONDS = 60
MAX_ENTRIES = 100_000

FIELD = b"event"


class StreamBrokenError(HostUnavailableError):
    """An answer broke off: its host, its Redis or a part of its stream is gone."""

    code = "stream_broken"


def entry_id(number: int) -> str:
    """Return the explicit id of the event with this number, from 1."""
    return f"1-{number}"


def pack(event: StreamEvent) -> Mapping[Any, Any]:
    """Return an event as the fields of an entry."""
    return {FIELD: encode(event)}


def unpack(fields: Mapping[bytes, bytes]) -> StreamEvent:
    """Return the event of an entry; UnreadableReplyError for an entry that is none of ours."""
    try:
        return parse_event(fields[FIELD])
    except KeyError:
        raise UnreadableReplyError("A part of the answer has no event; ask again.") from None
