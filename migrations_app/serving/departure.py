"""Tells the workers that write an answer that its client has gone."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from redis.exceptions import RedisError

from migrations_app.serving.redis_keys import reader_key, redis_client, request_key

logger = logging.getLogger(__name__)


class Departure(threading.Event):
    """Set when an answer's client has gone; a worker then stops within a tenth of a second, or at its next beat."""

    def __init__(self) -> None:
        super().__init__()
        self._unread: set[str] = set()

    def follow(self, request_id: str) -> None:
        """Note a request whose answer is to be read."""
        self._unread.add(request_id)

    def end(self, request_id: str) -> None:
        """Note that an answer was read to its end."""
        self._unread.discard(request_id)

    def tell(self) -> None:
        """Note that the client has gone, and take its lease from whatever it has not read; needs a thread.

        Otherwise a worker would go on until the lease ends, and so would one that nobody renews: the
        generators that read may end much later than their client, or never when the process ends first.
        """
        self.set()
        keys = [key(one) for one in tuple(self._unread) for key in (request_key, reader_key)]
        if not keys:
            return
        try:
            redis_client(settings.REDIS_URL).delete(*keys)
        except RedisError as error:
            logger.warning("an answer that was left ends with its reader's lease: %s", error)
