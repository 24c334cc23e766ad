"""Live messages are read without acknowledgement, and Celery confirms none of them."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request
from django.conf import settings
from kombu.message import Message
from kombu.utils.imports import symbol_by_name
from redis import Redis

from migrations_app.queues import live_queue
from migrations_app.serving.protocol import LIVE_KINDS, STREAM, TASK_PREFIX
from migrations_app.wakeups import send
from samproject.celery import app
from samproject.configuration.celery import SWEEP_TASK

PATIENCE = 60.0


def test_a_live_message_is_gone_once_it_is_read_and_never_confirmed(redis_client: Redis) -> None:
    taken: list[Message] = []
    confirmed: list[object] = []
    queue = app.amqp.queues[live_queue(settings.SAM_HOST_NAME)]
    send(STREAM.task_name, "0" * 32, queue=queue.name)
    with app.connection_for_read() as connection, connection.channel() as channel:
        with app.amqp.TaskConsumer(channel, queues=[queue], on_message=taken.append):
            connection.drain_events(timeout=PATIENCE)
        request = _request(taken[0], lambda *given: confirmed.append(given))
        request.acknowledge()
        waiting = redis_client.keys("*unacked*")
    assert request.acknowledged
    assert confirmed == []
    assert waiting == []


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
