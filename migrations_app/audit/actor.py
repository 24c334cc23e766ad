"""Who acts: told to PostgreSQL before each write to a watched table, where triggers write it down."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from migrations_app.audit.rows import AuditDoor
from migrations_app.audit.watched import WATCHED
from migrations_app.local_caller import COMMAND_TYPED_BY

SYSTEM = "system"
_WATCHED_WRITE = re.compile(
    r'\s*(?:INSERT INTO|UPDATE|DELETE FROM) "?(?:' + "|".join(w.table for w in WATCHED) + r')"?\s'
)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, SAM itself, or nobody signed in (no name); and who typed, at the machine's command line."""

    name: str
    pk: int | None
    door: AuditDoor
    machine_user: str = ""


def _name_process() -> Actor:
    typed_by = COMMAND_TYPED_BY.get()
    door = AuditDoor.COMMAND_LINE if typed_by else AuditDoor.SYSTEM
    return Actor(SYSTEM, None, door, typed_by)


# A function: who asks over REST is known only when the view has read the token.
_acting: ContextVar[Callable[[], Actor]] = ContextVar("sam_acting", default=_name_process)


@contextmanager
def acting_as(who: Callable[[], Actor]) -> Iterator[None]:
    """Have what is changed inside recorded as done by whom ``who`` returns at that moment."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def name_actor(
    execute: Callable[..., Any],
    sql: Any,
    params: Any,
    many: bool,  # noqa: FBT001 - Django's signature
    context: dict[str, Any],
) -> Any:
    """Tell PostgreSQL who acts, before a write to a watched table; Django's ``execute_wrapper``."""
    if isinstance(sql, str) and _WATCHED_WRITE.match(sql):
        told = json.dumps(asdict(_acting.get()()))
        connection = context["connection"]
        with connection.wrap_database_errors:
            # Each time: a rollback takes the setting back, and the session may serve somebody else next.
            connection.connection.execute("SELECT set_config('sam.actor', %s, false)", [told])
    return execute(sql, params, many, context)


def watch_connection(connection: BaseDatabaseWrapper, **_signal: object) -> None:
    """Have a connection name the actor; a receiver of Django's ``connection_created``."""
    if name_actor not in connection.execute_wrappers:
        # In front: who adds a wrapper for a while takes the last one away.
        connection.execute_wrappers.insert(0, name_actor)
