"""What routes share that answer with server-sent events."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from migrations_app.serving.streams.sse import MEDIA_TYPE


def describe_events(description: str) -> OpenApiResponse:
    """Describe a stream for the OpenAPI document, where (before 3.2) a schema is that of each event."""
    fields = {name: {"type": "string"} for name in ("id", "event", "data")}
    return OpenApiResponse(
        {"type": "object", "properties": fields, "required": ["event", "data"]},
        description=f"{description} Each event's data is JSON.",
    )


class EventStreamRenderer(BaseRenderer):
    """Lets a client ask for a stream by its media type; the stream writes itself."""

    media_type = MEDIA_TYPE
    format = "events"
    render_style = "binary"


def wants_stream(request: Request) -> bool:
    """Whether a client asked for server-sent events by its Accept header."""
    return getattr(request.accepted_renderer, "media_type", "") == MEDIA_TYPE
