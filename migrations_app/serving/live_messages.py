"""Messages of live requests, composed by Celery once and then sent with other ids.

kombu makes a client of Redis for each message it sends and composes again what is always the same, which takes
ten times as long as Redis takes the message. What a worker finds is what Celery would have sent.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import uuid4

from celery import current_app
from kombu import Connection, Queue
from kombu.transport import memory

TASK_ID = "00000000-0000-0000-0000-000000000000"
ARGUMENT = "00000000-0000-0000-0000-000000000001"
EXPIRES_SECONDS = 1000.0
"""Stand in what is composed once for what each message has of its own."""
KEPT = 256
"""Tasks and queues; a host has nine."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """A message as it is pushed to the left of a list in Redis."""

    key: str
    text: str


class _Recorder(memory.Channel):
    """A channel that keeps the last message instead of sending it."""

    last: dict[str, Any]

    def _put(self, queue: str, message: dict[str, Any], **_options: object) -> None:
        self.last = message


class _RecordingTransport(memory.Transport):
    Channel = _Recorder


@dataclass(frozen=True, slots=True)
class _Composed:
    """A message of one task and queue, its own parts still those that stand in for them."""

    key: str
    text: str
    body: str
    """Within ``text`` in base64."""
    encoded: str
    expires: str
    expiration: str
    tag: str

    def with_own(self, argument: str, expires: float) -> str:
        until = (datetime.now(UTC) + timedelta(seconds=expires)).isoformat()
        body = b64encode(self.body.replace(ARGUMENT, argument).encode()).decode()
        return (
            self.text.replace(self.encoded, body)
            .replace(TASK_ID, str(uuid4()))
            .replace(ARGUMENT, argument)
            .replace(self.expires, until)
            .replace(f'"{self.expiration}"', f'"{int(expires * 1000)}"')
            .replace(self.tag, str(uuid4()))
        )


def compose(name: str, argument: str, *, queue: str, expires: float) -> LiveMessage:
    """Return a message of a task with one argument, a key of ours; ``expires`` is in seconds from now."""
    composed = _composed(name, queue)
    return LiveMessage(composed.key, composed.with_own(argument, expires))


@lru_cache(KEPT)
def _composed(name: str, queue: str) -> _Composed:
    """Have Celery send a message to nobody, and return it."""
    with Connection(transport=_RecordingTransport) as connection:
        route: Any = Queue(queue, routing_key=queue)
        current_app.send_task(
            name,
            args=[ARGUMENT],
            queue=route,
            task_id=TASK_ID,
            root_id=TASK_ID,
            expires=EXPIRES_SECONDS,
            connection=connection,
        )
        message = cast("_Recorder", connection.default_channel).last
    # Within a task, Celery makes what is sent its child; the next one is sent by another task, or by none.
    message["headers"]["parent_id"] = None
    prefix = current_app.conf.broker_transport_options["global_keyprefix"]
    return _Composed(
        key=f"{prefix}{queue}",
        text=json.dumps(message),
        body=b64decode(message["body"]).decode(),
        encoded=message["body"],
        expires=message["headers"]["expires"],
        expiration=message["properties"]["expiration"],
        tag=message["properties"]["delivery_tag"],
    )
