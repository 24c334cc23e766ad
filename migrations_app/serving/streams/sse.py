"""Server-sent events: how they are written, and the answer that carries them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from django.http import StreamingHttpResponse
from msgspec import Struct, json

BEAT = b": beat\n\n"
"""A comment: it says that the stream lives, to proxies and to whoever waits."""
BEAT_SECONDS = 10.0
"""A stream of an answer is never silent for longer; proxies end one after 15 to 60 seconds."""
MEDIA_TYPE = "text/event-stream"


def data_event(body: Struct) -> bytes:
    """Return a message without a name, as OpenAI's clients read them."""
    return b"data: " + json.encode(body) + b"\n\n"


def named_event(name: str, body: Struct, event_id: str = "") -> bytes:
    """Return a message of a named event; with an id it can be resumed after."""
    head = f"id: {event_id}\nevent: {name}\n" if event_id else f"event: {name}\n"
    return head.encode() + data_event(body)


def retry_after(milliseconds: int) -> bytes:
    """Return the field that tells when to connect again."""
    return f"retry: {milliseconds}\n\n".encode()


class EventStream(StreamingHttpResponse):
    """An answer that goes out event by event; nothing between here and the reader shall gather it."""

    def __init__(self, body: AsyncIterator[bytes] | AsyncGenerator[bytes]) -> None:
        super().__init__(
            body,
            content_type=f"{MEDIA_TYPE}; charset=utf-8",
            headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
        )
