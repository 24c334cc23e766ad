"""What hosts are doing at this moment, as their workers say it in Redis."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError

from engines.models import Host, HostStatus
from migrations_app.serving.load import PRESENT, are_loaded, engine_mark
from migrations_app.serving.redis_keys import engines_key, load_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostState:
    """Requests that count for a host now, and the engines it has loaded."""

    requests: int
    engines: tuple[str, ...]


def read_host_states(redis: Redis, names: Sequence[str]) -> dict[str, HostState]:
    """Return the state of each host in one way there and back; empty while Redis is away."""
    if not names:
        return {}
    with redis.pipeline(transaction=False) as asked:
        asked.time()
        for name in names:
            asked.zrange(load_key(name), 0, -1, withscores=True)
            asked.smembers(engines_key(name))
        try:
            (seconds, _), *answers = asked.execute()
        except RedisError as error:
            logger.warning("Redis does not say what hosts do: %s", error)
            return {}
    pairs = zip(names, answers[::2], answers[1::2], strict=True)
    return {name: _state(held, marks, seconds) for name, held, marks in pairs}


def find_loaded(redis: Redis, names: Collection[str], *, embeds: bool = False) -> set[str]:
    """Return which of these engines some host has in memory; none while Redis is away."""
    hosts = list(Host.objects.filter(status=HostStatus.ACTIVE).values_list("name", flat=True))
    marks = [engine_mark(name, embeds=embeds) for name in names]
    try:
        found = are_loaded(redis, hosts, marks)
    except RedisError:
        # Nobody can be answered then, and that is told to whoever asks.
        return set()
    return {name for name, is_there in zip(names, found, strict=True) if is_there}


def _state(held: list[tuple[bytes, float]], marks: set[bytes | str], seconds: int) -> HostState:
    living = sum(until > seconds * 1000 for _, until in held)
    texts = {mark.decode() if isinstance(mark, bytes) else mark for mark in marks}
    names = sorted({text.partition(":")[2] for text in texts - {PRESENT}})
    return HostState(living, tuple(names))
