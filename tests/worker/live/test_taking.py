"""Live messages are read without acknowledgement, and Celery confirms none of them."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from celery.worker.request import Request
from django.conf import settings
from kombu.message import Message
from kombu.utils.imports import symbol_by_name
from redis import Redis

from migrations_app.queues import live_queue
from migrations_app.serving.live_messages import compose
from migrations_app.serving.protocol import LIVE_KINDS, STREAM, TASK_PREFIX
from migrations_app.wakeups import send
from samproject.celery import app
from samproject.configuration.celery import SWEEP_TASK

PATIENCE = 60.0


def test_a_live_message_is_gone_once_it_is_read_and_never_confirmed(redis_client: Redis) -> None:
    taken: list[Message] = []
    confirmed: list[object] = []
    queue = app.amqp.queues[live_queue(settings.SAM_HOST_NAME)]
    message = compose(STREAM.task_name, "0" * 32, queue=queue.name, expires=PATIENCE)
    redis_client.lpush(message.key, message.text)
    with app.connection_for_read() as connection, connection.channel() as channel:
        with app.amqp.TaskConsumer(channel, queues=[queue], on_message=taken.append):
            connection.drain_events(timeout=PATIENCE)
        request = _request(taken[0], lambda *given: confirmed.append(given))
        request.acknowledge()
        waiting = redis_client.keys("*unacked*")
    assert (request.args, request.expires is None) == (["0" * 32], False)
    assert request.acknowledged
    assert confirmed == []
    assert waiting == []


def test_a_composed_message_is_what_celery_sends_with_ids_of_its_own(redis_client: Redis) -> None:
    queue, request_id = live_queue("elsewhere"), "0123456789abcdef" * 2
    send(STREAM.task_name, request_id, queue=queue, expires=30.0)
    composed = [
        compose(STREAM.task_name, given, queue=queue, expires=30.0)
        for given in (request_id, request_id, "f" * 32)
    ]
    assert {message.key for message in composed} == {f"sam:{queue}"}
    [text] = redis_client.lrange(composed[0].key, 0, -1)
    sent, *ours = (json.loads(each) for each in (text, *(message.text for message in composed)))
    now = datetime.now(UTC)
    for message in ours:
        until = datetime.fromisoformat(message["headers"].pop("expires"))
        assert timedelta(seconds=25) < until - now <= timedelta(seconds=30)
    sent["headers"].pop("expires")
    own = [
        [message["headers"].pop("id"), message["properties"].pop("delivery_tag")]
        for message in (sent, *ours)
    ]
    assert len({*chain(*own)}) == 2 * len(own)
    for (task_id, _), message in zip(own, (sent, *ours), strict=True):
        assert message["headers"].pop("root_id") == task_id
        assert message["properties"].pop("correlation_id") == task_id
        del message["properties"]["reply_to"], message["headers"]["origin"]
    assert ours[0] == ours[1] == sent != ours[2]
    assert json.loads(b64decode(ours[2]["body"]))[0] == ["f" * 32]


def test_every_live_task_takes_messages_so_and_no_other_one() -> None:
    kinds = {name: task.Request for name, task in _tasks().items()}
    live = {kinds.pop(f"{TASK_PREFIX}{kind}") for kind in LIVE_KINDS}
    assert len(live) == 1
    assert not live & set(kinds.values())
    assert kinds[SWEEP_TASK] == "celery.worker.request:Request"


def _tasks() -> Any:
    """Return the tasks as a worker has them."""
    app.loader.import_default_modules()
    return app.tasks


def _request(message: Message, on_ack: Any) -> Request:
    """Make of a message what Celery makes of it."""
    task = _tasks()[message.headers["task"]]
    kind = symbol_by_name(task.Request)
    made: Request = kind(message, on_ack=on_ack, app=app, task=task, hostname="here")
    return made
