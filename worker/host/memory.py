"""What the worker processes of one host hold in its memory, told to each other through Redis.

Each process has a pool of engines of its own. Who answers people goes first: it asks the others to end
what they do not use just then, waits a little, and goes on in any case. Who does a plan's work waits for
room beside all that is held, and has ended only what nobody asked for a while.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import cache
from typing import cast

from django.conf import settings
from msgspec import Struct, json
from redis import Redis
from redis.exceptions import RedisError

from engines.fit.engine_need import Need
from engines.parsing import UNREADABLE, fault_of
from migrations_app.serving.redis_keys import memory_held_key, memory_wanted_key, redis_client
from worker.process.identity import process_name

TOLD_SECONDS = 15.0
"""How long what a process told counts: a killed one holds nothing."""
WANTED_SECONDS = 5
IDLE_SECONDS = 300.0
"""Who answers people keeps an engine so long for the next question, though others want its room."""
YIELD_SECONDS = 5.0
"""How long who answers people waits for the others."""
NOTHING = Need(0)

logger = logging.getLogger(__name__)


class HeldMemory(Struct, frozen=True, array_like=True):
    """What one process holds: bytes of memory and of GPUs, and until when that counts (Unix time)."""

    memory: int
    vram: int
    until: float


class Beside:
    """Nobody: for a process that has its host to itself."""

    def held(self, waited: float) -> Need:
        """Return what others hold and must be left to who has waited so many seconds."""
        return NOTHING

    def ask(self) -> None:
        """Ask the others for room."""

    def tell(self, held: Need) -> None:
        """Say what this process holds."""


class HostMemory(Beside):
    """The other worker processes of a host; without Redis nobody is known."""

    def __init__(self, redis: Redis, host_name: str, process: str, *, serves: bool = False) -> None:
        """``serves`` says whether this process answers people."""
        self.serves = serves
        self._redis = redis
        self._process = process
        self._held_key = memory_held_key(host_name)
        self._wanted_key = memory_wanted_key(host_name)

    def held(self, waited: float) -> Need:
        if self.serves and waited > YIELD_SECONDS:
            return NOTHING
        told = self._others()
        return Need(sum(memory for memory, _ in told), sum(vram for _, vram in told))

    def _others(self) -> list[tuple[int, int]]:
        """Read bytes of memory and of GPUs of each other process; those that ended are forgotten."""
        now, found = time.time(), []
        with suppress(RedisError):
            rows = cast("dict[bytes, bytes]", self._redis.hgetall(self._held_key))
            for name, row in rows.items():
                held = _parse_held(row)
                if held is None or held.until < now:
                    self._redis.hdel(self._held_key, name)
                elif name != self._process.encode():
                    found.append((held.memory, held.vram))
        return found

    def ask(self) -> None:
        with suppress(RedisError):
            self._redis.set(self._wanted_key, self._process, ex=WANTED_SECONDS)

    def tell(self, held: Need) -> None:
        told = json.encode(HeldMemory(held.memory, held.vram, time.time() + TOLD_SECONDS))
        with suppress(RedisError), self._redis.pipeline(transaction=True) as commands:
            commands.hset(self._held_key, self._process, told)
            commands.expire(self._held_key, int(TOLD_SECONDS))
            commands.execute()

    def spare_seconds(self) -> float | None:
        """Return how long an engine must be unused to be ended for another process; None if none asks."""
        with suppress(RedisError):
            asking = cast("bytes | None", self._redis.get(self._wanted_key))
            if asking is not None and asking != self._process.encode():
                return IDLE_SECONDS if self.serves else 0.0
        return None


_HELD = json.Decoder(HeldMemory)


def _parse_held(row: bytes) -> HeldMemory | None:
    """Return what a process told; None for what cannot be read, which counts as nothing."""
    try:
        return _HELD.decode(row)
    except UNREADABLE as error:
        logger.warning("a process's memory in Redis is left out: %s", fault_of(error))
        return None


@cache
def host_memory() -> HostMemory:
    """Return this process's; its start says whether it serves."""
    redis = redis_client(settings.REDIS_URL)
    return HostMemory(redis, settings.SAM_HOST_NAME, process_name())
