"""News for whoever listens: one short Redis stream that every web process reads.

News only say where to look or repeat what is kept elsewhere; losing one loses seconds. A new kind of news
is a new ``Struct`` here, a member of ``News``, and a line in ``live.hub`` that says who is told.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from msgspec import Struct, json
from redis import Redis
from redis.exceptions import RedisError

from engines.parsing import UNREADABLE
from migrations_app.serving.progress import KEEP_SECONDS, PlanProgress
from migrations_app.serving.redis_keys import NEWS_KEY, progress_key, redis_client

logger = logging.getLogger(__name__)

MAX_NEWS = 2000
NEWS_SECONDS = 60
SILENT_SECONDS = 5.0
"""After Redis failed nothing is sent to it for so long: who works must not wait for it each time."""
FIELD = b"news"


class PlanNews(Struct, frozen=True, kw_only=True, tag_field="type", tag="plan"):
    """A plan's rows changed; what there is to say is in the database."""

    plan: str


class ProgressNews(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="progress"
):
    """How far a plan is, and whose it is."""

    plan: str
    user: int | None = None
    created_by: int | None = None
    progress: PlanProgress


class PersonNews(Struct, frozen=True, kw_only=True, tag_field="type", tag="person"):
    """Something else of a person changed; what there is to say is in the database."""

    user: int


News = PlanNews | ProgressNews | PersonNews

_NEWS: json.Decoder[News] = json.Decoder(News)


class _Sender:
    """Sends to Redis, and leaves it alone for a while after it failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent_until = 0.0

    def send(self, news: News) -> None:
        if time.monotonic() < self._silent_until:
            return
        try:
            with redis_client(settings.REDIS_URL).pipeline(transaction=False) as commands:
                _add(commands, news)
                commands.execute()
        except RedisError as error:
            with self._lock:
                self._silent_until = time.monotonic() + SILENT_SECONDS
            logger.warning("Redis did not take the news, pages hear it later: %s", error)


def _add(commands: Redis, news: News) -> None:
    if isinstance(news, ProgressNews):
        commands.set(progress_key(news.plan), json.encode(news.progress), ex=KEEP_SECONDS)
    entry: dict[Any, Any] = {FIELD: json.encode(news)}
    commands.xadd(NEWS_KEY, entry, maxlen=MAX_NEWS, approximate=True)
    commands.expire(NEWS_KEY, NEWS_SECONDS)


_sender = _Sender()


def tell(news: News) -> None:
    """Tell all web processes now; what Redis does not take is logged, never an error."""
    _sender.send(news)


def tell_on_commit(news: News) -> None:
    """Tell all web processes once the rows are there for them to see."""
    transaction.on_commit(partial(tell, news), robust=True)


def parse_news(fields: dict[bytes, bytes]) -> News | None:
    """Return the news of an entry; None for what a program of another version wrote."""
    try:
        return _NEWS.decode(fields[FIELD])
    except (KeyError, *UNREADABLE):
        return None
