"""How busy hosts are and what they have loaded, exact to the request: kept in Redis under Redis's own clock.

Each request that is under way counts for a host in that host's sorted set, with the time until which it counts.
Who places a request counts it for a moment, who works on it renews that, and who ends it takes it out. So a
killed worker's requests and messages that nobody took stop counting by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from redis import Redis
from redis.commands.core import Script

from migrations_app.serving.redis_keys import engines_key, load_key, request_key, taken_key

PLACED_SECONDS = 5.0
"""How long a request counts before its worker has taken it."""
WORKING_SECONDS = 15.0
"""How long it counts between two renewals of its worker."""
FORGET_SECONDS = 60
NOT_LOADED = 4
"""A host that must load the engine first is taken when all that have it are so many requests busier."""
UNKNOWN = 10_000
"""What is added for a host whose live worker has not said what it has, as after Redis was emptied."""
PRESENT = "-"
"""A member of every host's set of engines: Redis keeps no empty sets."""
KEPT_SCRIPTS = 8

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_PLACE = f"""{_NOW}
local best, loads = 1, {{}}
for number = 1, #KEYS / 2 do
  local load, engines = KEYS[2 * number - 1], KEYS[2 * number]
  loads[number] = redis.call('ZCOUNT', load, '(' .. now, '+inf')
  if redis.call('EXISTS', engines) == 0 then
    loads[number] = loads[number] + {UNKNOWN}
  elseif ARGV[4] ~= '' and redis.call('SISMEMBER', engines, ARGV[4]) == 0 then
    loads[number] = loads[number] + {NOT_LOADED}
  end
  if loads[number] < loads[best] then best = number end
end
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[2 * best - 1], now + ARGV[2], ARGV[1])
  redis.call('EXPIRE', KEYS[2 * best - 1], ARGV[3])
end
return loads
"""
_HOLD = f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for number = 3, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[number]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
_TAKE = f"""{_NOW}
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return {{0}} end
local body = redis.call('GET', KEYS[2])
if not body then
  redis.call('DEL', KEYS[1])
  return {{1}}
end
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[5])
return {{1, body}}
"""


@lru_cache(KEPT_SCRIPTS)
def _script(redis: Redis, text: str) -> Script:
    """Return a script of every request; to make one costs more than to run it."""
    return redis.register_script(text)


def engine_mark(model_id: str, *, embeds: bool) -> str:
    """Return how a loaded engine is named in a host's set."""
    return f"{'embed' if embeds else 'chat'}:{model_id}"


def order_hosts(redis: Redis, names: Sequence[str], mark: str, request_id: str = "") -> list[str]:
    """Return hosts in the order to ask them; a request with an id counts for the first one at once.

    Those that have the engine loaded come first, unless they are much busier; then the least busy.
    """
    keys = [key for name in names for key in (load_key(name), engines_key(name))]
    given: list[str | int] = [request_id, int(PLACED_SECONDS * 1000), FORGET_SECONDS, mark]
    loads = cast("list[int]", _script(redis, _PLACE)(keys=keys, args=given))
    order = sorted(range(len(names)), key=loads.__getitem__)
    return [names[number] for number in order]


class TakeOutcome(NamedTuple):
    """What became of the wish to take a request."""

    is_free: bool
    """Whether nobody else has it."""
    body: bytes | None
    """Its JSON; None when its caller does not wait any more."""


def take(redis: Redis, host_name: str, request_id: str, *, owner: str, seconds: int) -> TakeOutcome:
    """Lease a request for its owner, so many seconds at first, in one way there and back.

    It counts for the host from now on.
    """
    keys = [taken_key(request_id), request_key(request_id), load_key(host_name)]
    counted = int(WORKING_SECONDS * 1000)
    given: list[str | int] = [owner, seconds, counted, request_id, FORGET_SECONDS]
    is_free, *body = cast("list[Any]", _script(redis, _TAKE)(keys=keys, args=given))
    return TakeOutcome(bool(is_free), body[0] if body else None)


def hold(redis: Redis, host_name: str, request_ids: Iterable[str]) -> Any:
    """Count requests for the host that works on them for some seconds more, also in a pipeline."""
    given: list[str | int] = [int(WORKING_SECONDS * 1000), FORGET_SECONDS, *request_ids]
    return redis.register_script(_HOLD)(keys=[load_key(host_name)], args=given)


def let_go(redis: Redis, host_name: str, request_id: str) -> None:
    """Count a request no longer, as part of a pipeline or at once."""
    redis.zrem(load_key(host_name), request_id)


def tell_engines(redis: Redis, host_name: str, marks: Iterable[str]) -> None:
    """Say what a host has loaded, as part of a transaction: a set half written would mislead."""
    redis.delete(engines_key(host_name))
    redis.sadd(engines_key(host_name), PRESENT, *marks)
    redis.expire(engines_key(host_name), int(WORKING_SECONDS))


def running_on(redis: Redis, host_name: str) -> int:
    """Return how many requests count for a host now."""
    return int(hold(redis, host_name, ()))


def are_loaded(redis: Redis, names: Sequence[str], marks: Sequence[str]) -> list[bool]:
    """Return of each engine whether one of these hosts has said that it has it in memory."""
    with redis.pipeline(transaction=False) as commands:
        for mark in marks:
            for name in names:
                commands.sismember(engines_key(name), mark)
        found = commands.execute()
    width = len(names)
    return [any(found[number * width : (number + 1) * width]) for number in range(len(marks))]
