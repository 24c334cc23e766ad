"""What a check finds, and where it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from redis import Redis

from engines.files.artifacts import ArtifactStore

MAX_FINDINGS = 100
"""Of one rule: whoever has more has one cause, and memory stays bounded."""

PAGE = 500
"""Rows read in one statement."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where it is, what is wrong with it, and what to do."""

    where: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the database that is looked at."""

    store: ArtifactStore
    host_name: str
    redis: Redis | None = None
    """None leaves Redis out."""
    logs: Path | None = None
    """The folder of this machine's logs; None leaves it out."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """What must be written nowhere, by the name of its setting."""
    read_files: bool = True
    """Compare the bytes of artifacts and texts with their digests; without it only the sizes of artifacts."""


Rule = Callable[[Surroundings], Iterator[Finding]]
"""Says what breaks it; its name is ``find_`` and the damage, its docstring what holds otherwise."""


@contextmanager
def read_only() -> Iterator[None]:
    """Refuse every write of what runs inside; each statement sees what is committed by then."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        yield


def select(statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Return at most ``MAX_FINDINGS`` rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} LIMIT {MAX_FINDINGS}", values or {})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
