"""Loaded engines of this process: one child each, kept while there is room, never ended while used."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from engines.exceptions import (
    AdapterCrashed,
    ArtifactMissingError,
    EngineError,
    HostUnavailableError,
    LoadCrashed,
    UnsafeModelFileError,
)
from engines.machine import memory_bytes
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.registry import EngineRegistry
from engines.services.copies import mark_unsafe
from engines.specs import AdapterSpec, EngineSpec
from worker.guard import with_database

logger = logging.getLogger(__name__)

MEMORY_SHARE = 0.8
"""Of the host's memory, by the sizes of the files; the rest is for contexts and everything else."""
ROOM_SECONDS = 120.0
"""How long a request waits for others to let go of engines."""

Key = tuple[EngineSpec, int]
"""An engine without adapters, and when its file was written."""
Adapters = tuple[AdapterSpec, ...]


@dataclass(slots=True)
class _Entry:
    engine: BaseModelEngine
    path: str
    size: int
    users: int = 0
    used_at: float = 0.0
    doomed: bool = False
    """To be ended by its last user."""
    loading: threading.Lock = field(default_factory=threading.Lock)


class EnginePool:
    """Lends loaded engines; those of an equal spec and unchanged files are one."""

    def __init__(
        self,
        budget: int,
        create: Callable[[EngineSpec], BaseModelEngine],
        on_unsafe: Callable[[str, str], None],
    ) -> None:
        """``budget`` is in bytes of model files.

        ``on_unsafe`` is told the path of a model file that crashed its engine while loading, and
        the sentence of that.
        """
        self._budget = budget
        self._create = create
        self._on_unsafe = on_unsafe
        self._crashed: dict[tuple[Key, Adapters], str] = {}
        self._entries: dict[Key, _Entry] = {}
        self._changed = threading.Condition()

    @contextmanager
    def acquire(self, spec: EngineSpec) -> Iterator[BaseModelEngine]:
        """Lend an engine, loaded at first use, idle ones ended to make room.

        All who use a model share one engine, whatever adapters each brings. Raises
        ArtifactMissingError without its file, UnsafeModelFileError for adapters that crashed it,
        AdapterMismatchError for those of another model, EngineError when it is larger than the host,
        HostUnavailableError (transient) when those in use leave no room, and the engine's own errors.
        """
        key, size = _key(replace(spec, adapters=()))
        self._refuse_crashed(key, spec.adapters)
        entry = self._enter(key, size)
        try:
            yield _loaded(entry, spec.adapters)
        except LoadCrashed as error:
            self._remember_crash(key, spec.adapters, error)
            raise
        finally:
            self._leave(key, entry)

    def _refuse_crashed(self, key: Key, adapters: Adapters) -> None:
        reason = self._crashed.get((key, adapters))
        if reason is not None:
            raise UnsafeModelFileError(
                f"{key[0].engine_id} crashed with these adapters and is not loaded with them again: "
                f"{reason} Remove the adapters that were added last."
            )

    def _remember_crash(self, key: Key, adapters: Adapters, error: LoadCrashed) -> None:
        """The model's file is to blame, unless its adapters were: those are one person's own."""
        logger.error("%s crashed while loading: %s", key[0].engine_id, error)
        if isinstance(error, AdapterCrashed):
            self._crashed[key, adapters] = str(error)
        else:
            self._on_unsafe(key[0].model_path, str(error))

    def _enter(self, key: Key, size: int) -> _Entry:
        if size > self._budget:
            raise EngineError(
                f"{key[0].engine_id} needs {_gib(size)} and this host lends engines "
                f"{_gib(self._budget)}; choose a smaller model or another host."
            )
        deadline = time.monotonic() + ROOM_SECONDS
        while True:
            with self._changed:
                entry = self._entries.get(key)
                victims = [] if entry else self._make_room(size)
                if victims is None:
                    self._wait_for_room(key[0], deadline)
                    continue
                if entry is None:
                    entry = _Entry(self._create(key[0]), key[0].model_path, size)
                    self._entries[key] = entry
                entry.users += 1
            _end_all(victims)
            return entry

    def _wait_for_room(self, spec: EngineSpec, deadline: float) -> None:
        if not self._changed.wait(max(deadline - time.monotonic(), 0.0)):
            raise HostUnavailableError(
                f"The engines in use leave no room for {spec.engine_id}; try again later."
            )

    def _make_room(self, size: int) -> list[_Entry] | None:
        """Take out the idle engines that must go, longest unused first; None if that is not enough."""
        used = sum(entry.size for entry in self._entries.values())
        idle = sorted(
            (key for key, entry in self._entries.items() if entry.users == 0),
            key=lambda key: self._entries[key].used_at,
        )
        chosen = []
        for key in idle:
            if used + size <= self._budget:
                break
            used -= self._entries[key].size
            chosen.append(key)
        if used + size > self._budget:
            return None
        return [self._entries.pop(key) for key in chosen]

    def _leave(self, key: Key, entry: _Entry) -> None:
        with self._changed:
            entry.users -= 1
            entry.used_at = time.monotonic()
            ends = entry.users == 0 and (entry.doomed or not entry.engine.is_loaded)
            if ends and self._entries.get(key) is entry:
                del self._entries[key]
            self._changed.notify_all()
        if ends:
            _end_all([entry])

    def unload(self, path: str) -> int:
        """End the engines of a model file, those in use after their last user; return how many."""
        with self._changed:
            chosen = [key for key, entry in self._entries.items() if entry.path == path]
            for key in chosen:
                self._entries[key].doomed = True
            idle = [self._entries.pop(key) for key in chosen if self._entries[key].users == 0]
            self._changed.notify_all()
        _end_all(idle)
        return len(chosen)

    def unload_idle(self, seconds: float) -> int:
        """End the engines that nobody used for so long; return how many."""
        before = time.monotonic() - seconds
        with self._changed:
            old = [k for k, e in self._entries.items() if e.users == 0 and e.used_at < before]
            idle = [self._entries.pop(key) for key in old]
            self._changed.notify_all()
        _end_all(idle)
        return len(idle)

    def describe(self) -> list[dict[str, Any]]:
        """Return each engine's facts for JSON, with its present number of users."""
        with self._changed:
            entries = list(self._entries.values())
        return [{**entry.engine.get_engine_info(), "users": entry.users} for entry in entries]


def _loaded(entry: _Entry, adapters: Adapters) -> BaseModelEngine:
    """Load the engine, or what is missing of it; as the owner of ``adapters`` hears it."""
    engine = entry.engine.with_adapters(adapters)
    with entry.loading:
        if not entry.engine.is_available():
            entry.engine.load_model()
    if adapters:
        engine.load_model()
    return engine


def _end_all(entries: list[_Entry]) -> None:
    for entry in entries:
        logger.info("unloading %s", entry.engine.engine_id)
        entry.engine.close()


def _key(spec: EngineSpec) -> tuple[Key, int]:
    """Return what tells engines apart, and the bytes of their file."""
    try:
        stat = Path(spec.model_path).stat()
    except OSError as error:
        raise ArtifactMissingError(
            f"A file of {spec.engine_id} cannot be read ({error.strerror}: {error.filename}); "
            "download it again."
        ) from error
    return (spec, stat.st_mtime_ns), stat.st_size


def _gib(size: int) -> str:
    return f"{size / 1024**3:.2f} GiB"


@cache
def engine_pool() -> EnginePool:
    """Return the pool of this process."""
    return EnginePool(int(memory_bytes() * MEMORY_SHARE), EngineRegistry().create, _mark_unsafe)


def _mark_unsafe(path: str, reason: str) -> None:
    with_database(lambda: mark_unsafe(path, settings.SAM_HOST_NAME, reason))
