"""How Celery takes a live message: it is gone from Redis once it is read, so there is nothing to confirm."""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.worker.request import Request


class UnconfirmedRequest(Request):
    """A request of a queue that is read without acknowledgement (``Queue(no_ack=True)``).

    Celery would confirm it all the same: another transaction in Redis, in the loop that brings the next
    message, just while the answer begins.
    """

    def acknowledge(self) -> None:
        self.acknowledged = True


class LiveTask(Task[Any, str]):
    """A task whose messages are of such a queue."""

    Request = f"{UnconfirmedRequest.__module__}:{UnconfirmedRequest.__name__}"
