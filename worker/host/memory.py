"""How much of a host's memory its worker processes hold, shared through Redis.

Each process has its own pool of engines. The process that answers people goes first: it asks the others to end
idle engines, waits a little, and then loads in any case. A process that works on plans waits until there is
room beside all that is held; for it only engines are ended that nobody used for a while.
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

REPORT_SECONDS = 15.0
"""How long a process's report counts; a killed process holds nothing."""
ROOM_REQUEST_SECONDS = 5
KEEP_WARM_SECONDS = 300.0
"""How long the process that answers people keeps an idle engine although others want its memory."""
MAX_YIELD_SECONDS = 5.0
"""How long the process that answers people waits for the others."""
NOTHING = Need(0)

logger = logging.getLogger(__name__)


class HeldMemory(Struct, frozen=True, array_like=True):
    """What one process holds: bytes of memory and of GPUs, and until when that counts (Unix time)."""

    memory: int
    vram: int
    until: float


class OtherPools:
    """The pools of other processes; this base knows none, for a process that has its host to itself."""

    def held(self, waited: float) -> Need:
        """Return what others hold, as far as it counts for a request that waited so many seconds."""
        return NOTHING

    def request_room(self) -> None:
        """Ask the others for room."""

    def publish(self, held: Need) -> None:
        """Report what this process holds."""


class HostMemory(OtherPools):
    """The other worker processes of a host; without Redis none are known."""

    def __init__(self, redis: Redis, host_name: str, process: str, *, serves: bool = False) -> None:
        """``serves`` says whether this process answers people."""
        self.serves = serves
        self._redis = redis
        self._process = process
        self._held_key = memory_held_key(host_name)
        self._wanted_key = memory_wanted_key(host_name)

    def held(self, waited: float) -> Need:
        if self.serves and waited > MAX_YIELD_SECONDS:
            # People's answers must not depend on a plan's work; the system's own reserve has to do.
            return NOTHING
        others = self._others()
        return Need(sum(memory for memory, _ in others), sum(vram for _, vram in others))

    def _others(self) -> list[tuple[int, int]]:
        """Read what each other process holds of memory and of GPUs; expired reports are removed."""
        now, found = time.time(), []
        # Without Redis each process knows the host's whole room as its own, as one that is alone does.
        with suppress(RedisError):
            rows = cast("dict[bytes, bytes]", self._redis.hgetall(self._held_key))
            for name, row in rows.items():
                held = _parse_held(row)
                if held is None or held.until < now:
                    self._redis.hdel(self._held_key, name)
                elif name != self._process.encode():
                    found.append((held.memory, held.vram))
        return found

    def request_room(self) -> None:
        with suppress(RedisError):
            self._redis.set(self._wanted_key, self._process, ex=ROOM_REQUEST_SECONDS)

    def publish(self, held: Need) -> None:
        # The wall clock: all readers are processes of this host.
        report = json.encode(HeldMemory(held.memory, held.vram, time.time() + REPORT_SECONDS))
        with suppress(RedisError), self._redis.pipeline(transaction=True) as commands:
            commands.hset(self._held_key, self._process, report)
            commands.expire(self._held_key, int(REPORT_SECONDS))
            commands.execute()

    def spare_seconds(self) -> float | None:
        """Return how long an engine must be unused to be ended for another process; None if none asks."""
        with suppress(RedisError):
            asking = cast("bytes | None", self._redis.get(self._wanted_key))
            if asking is not None and asking != self._process.encode():
                return KEEP_WARM_SECONDS if self.serves else 0.0
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
    """Return this process's; ``worker.startup`` sets whether it serves."""
    redis = redis_client(settings.REDIS_URL)
    return HostMemory(redis, settings.SAM_HOST_NAME, process_name())
