"""Secrets: none is written to a table that is read, to Redis or to a log; and what Redis keeps, ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Model
from redis import Redis

from engines.models import HostEvent, ModelCopy, Notice
from engines.parsing import UNREADABLE, decode
from migrations_app.audit.rows import AuditEntry
from migrations_app.invariants.findings import PAGE, Finding, Surroundings
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.serving.progress import PlanProgress
from migrations_app.serving.redis_keys import EVERY_KEY, EVERY_PROGRESS, PASSING

MIN_CHARS = 8
"""A shorter value would be found in any text."""

TOKENS = re.compile(r"\b(sam_[A-Za-z0-9_-]{43}|hf_[A-Za-z0-9]{30,})")
"""Tokens of ours and of the Hub, whosesoever they are."""

READ: tuple[tuple[type[Model], tuple[str, ...]], ...] = (
    (PlanEvent, ("why",)),
    (HostEvent, ("why",)),
    (Plan, ("error_message", "warning")),
    (Step, ("error", "detail", "result")),
    (ModelCopy, ("error",)),
    (Notice, ("title", "text")),
    (AuditEntry, ("name", "changes")),
)
"""What people and operators read of what SAM says, by table."""

WHOLE = 100.0
MAX_VALUE = 64 * 1024
MAX_MEMBERS = 100
"""Bytes of a value, members of a list or stream: what is looked at in one key of Redis."""


def known_secrets() -> dict[str, str]:
    """Return the secrets of this installation, by the name of their setting."""
    database = settings.DATABASES["default"]
    named: dict[str, object] = {
        "SECRET_KEY": settings.SECRET_KEY,
        "SAM_BACKUP_KEY": settings.SAM_BACKUP_KEY,
        "SAM_JOIN_TOKEN": settings.SAM_JOIN_TOKEN,
        "HF_TOKEN": settings.HF_TOKEN,
        "DATABASE_URL": database.get("PASSWORD"),
        "REDIS_URL": urlsplit(settings.REDIS_URL).password,
        "SAM_EMAIL_URL": settings.EMAIL_HOST_PASSWORD,
    }
    named |= {f"SAM_BACKUP_OLD_KEYS {n}": key for n, key in enumerate(settings.SAM_BACKUP_OLD_KEYS)}
    named |= {f"SAM_ENGINE_KEYS of {at}": key for at, key in settings.SAM_ENGINE_KEYS.items()}
    return {name: str(value) for name, value in named.items() if value}


def find_secrets_in_tables(around: Surroundings) -> Iterator[Finding]:
    """What people read of plans, hosts and changes holds no secret."""
    for model, fields in READ:
        rows = model._default_manager.order_by("pk").values_list("pk", *fields)
        for pk, *texts in rows.iterator(chunk_size=PAGE):
            for name in _secrets_of(around, " ".join(map(str, texts))):
                yield Finding(
                    f"{model._meta.db_table} {pk}",
                    f"It shows {name}.",
                    "Make that secret worthless: give the setting another value, or end the token. "
                    "Then overwrite the row.",
                )


def find_secrets_in_redis(around: Surroundings) -> Iterator[Finding]:
    """No message and no key of Redis holds a secret."""
    for key in _keys(around.redis):
        for name in _secrets_of(around, f"{key} {_value(around.redis, key)}"):
            yield Finding(
                f"Redis {key}",
                f"It shows {name}.",
                "Give the setting another value, then delete it.",
            )


def find_secrets_in_logs(around: Surroundings) -> Iterator[Finding]:
    """No log of this machine holds a secret."""
    for path in sorted(around.logs.glob("*.log*")) if around.logs else []:
        with path.open(encoding="utf-8", errors="replace") as log:
            for number, line in enumerate(log, start=1):
                for name in _secrets_of(around, line):
                    yield Finding(
                        f"{path}:{number}",
                        f"It shows {name}.",
                        "Give the setting another value, or end the token; then delete the log.",
                    )


def find_keys_without_end(around: Surroundings) -> Iterator[Finding]:
    """What Redis keeps for one request, plan or person goes away by itself."""
    for key in _keys(around.redis):
        if around.redis and key.startswith(PASSING) and around.redis.ttl(key) == -1:
            yield Finding(
                f"Redis {key}", "It would stay for ever.", "Delete it, and report what wrote it."
            )


def find_unreadable_progress(around: Surroundings) -> Iterator[Finding]:
    """The progress that pages show is a share of a whole."""
    for key in _keys(around.redis, EVERY_PROGRESS):
        content = around.redis.get(key) if around.redis else None
        if content is not None and not _is_progress(content):
            yield Finding(
                f"Redis {key}", "Nobody can read this progress.", "Delete it; the next one comes."
            )


def _is_progress(content: Any) -> bool:
    try:
        told = decode(content, PlanProgress)
    except UNREADABLE:
        return False
    return 0 <= told.percentage <= WHOLE and 0 <= told.progress <= 1


def _secrets_of(around: Surroundings, text: str) -> list[str]:
    """Name the secrets in a text, never showing them."""
    known = [
        n for n, secret in around.secrets.items() if len(secret) >= MIN_CHARS and secret in text
    ]
    return known or ["a token"] * (TOKENS.search(text) is not None)


def _keys(redis: Redis | None, pattern: str = EVERY_KEY) -> Iterator[str]:
    for key in redis.scan_iter(match=pattern, count=PAGE) if redis else ():
        yield key.decode(errors="replace") if isinstance(key, bytes) else str(key)


def _value(redis: Redis | None, key: str) -> str:
    """Return what a key holds as text, as far as it is looked at."""
    if redis is None:
        return ""
    kind = redis.type(key)
    name = kind.decode() if isinstance(kind, bytes) else str(kind)
    readers: dict[str, Callable[[], Any]] = {
        "string": lambda: redis.getrange(key, 0, MAX_VALUE),
        "list": lambda: redis.lrange(key, 0, MAX_MEMBERS),
        "hash": lambda: redis.hscan(key, count=MAX_MEMBERS),
        "set": lambda: redis.sscan(key, count=MAX_MEMBERS),
        "zset": lambda: redis.zrange(key, 0, MAX_MEMBERS),
        "stream": lambda: redis.xrange(key, count=MAX_MEMBERS),
    }
    return str(readers[name]()) if name in readers else ""
