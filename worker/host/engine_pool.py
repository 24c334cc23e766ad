"""The loaded engines of this process: one child each, kept while there is room, never ended while in use.

Locks: ``_changed`` guards the entries and is held for a moment only; ``entry.loading`` is held while a model
loads, which takes minutes. ``loading`` may be held when ``_changed`` is taken, never the other way round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from django.conf import settings

from engines.exceptions import (
    AdapterCrashed,
    ArtifactMissingError,
    EngineError,
    HostUnavailableError,
    LoadCrashed,
    SamError,
    UnsafeModelFileError,
)
from engines.fit.engine_need import Need, need_of
from engines.fit.model_shape import ModelShape
from engines.fit.placement import Room, room_of
from engines.gguf.parts import part_paths, read_model_header
from engines.host_runtimes import engine_registry
from engines.machine import Machine, measure
from engines.runtime_names import GGUF_RUNTIMES
from engines.runtimes.base import BaseModelEngine, Facts
from engines.runtimes.openvino.folder import read_folder
from engines.services.catalog.copies import mark_unsafe
from engines.specs import AdapterSpec, EngineSpec
from engines.transfer.folders import folder_files
from worker.host.memory import OtherPools, host_memory
from worker.process.database import retry_database

logger = logging.getLogger(__name__)

ROOM_SECONDS = 120.0
"""How long a request waits for room."""
ASK_FIRST_SECONDS = 2.5
"""How long other processes have to free memory before idle engines of this one are ended."""
LOOK_AGAIN_SECONDS = 0.25
"""Another process does not tell when it frees memory, so it is looked for again."""

Key = tuple[EngineSpec, int]
"""An engine without adapters, and when its file was written."""
Adapters = tuple[AdapterSpec, ...]


@dataclass(slots=True)
class _Entry:
    engine: BaseModelEngine
    spec: EngineSpec
    need: Need
    users: int = 0
    used_at: float = 0.0
    doomed: bool = False
    """To be ended when its last user leaves."""
    loading: threading.Lock = field(default_factory=threading.Lock)
    failures: list[Exception] = field(default_factory=list)
    """The error of each attempt to load it."""


class EnginePool:
    """Lends loaded engines; equal specs with unchanged files share one."""

    def __init__(
        self,
        room: Room,
        create: Callable[[EngineSpec], BaseModelEngine],
        on_unsafe: Callable[[str, str], None],
        need: Callable[[EngineSpec, int], Need],
        other_pools: OtherPools | None = None,
    ) -> None:
        """``room`` is what all engines may take; ``need`` returns what one takes, from the spec and the
        bytes of its files. ``on_unsafe`` is called with the path of a model file that crashed its engine
        while loading, and the reason. ``other_pools`` are the pools of
        other processes on this host.
        """
        self._whole_room = self._room = room
        self._create = create
        self._on_unsafe = on_unsafe
        self._need = need
        self._other_pools = other_pools or OtherPools()
        self._crashed: dict[tuple[Key, Adapters], str] = {}
        self._entries: dict[Key, _Entry] = {}
        self._changed = threading.Condition()

    def limit_memory(self, most: int) -> None:
        """Lend from now on as if the host had no more memory; 0 is no limit. What is lent stays."""
        limited = room_of(Machine(0, most)).memory if most else self._whole_room.memory
        with self._changed:
            self._room = replace(self._whole_room, memory=min(limited, self._whole_room.memory))
            self._changed.notify_all()

    @contextmanager
    def acquire(
        self, spec: EngineSpec, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[BaseModelEngine]:
        """Lend an engine, loaded at first use, idle ones ended to make room.

        All who use a model share one engine, whatever adapters each brings. ``waiting`` is called
        repeatedly while there is no room; what it raises ends the wait. Raises
        ArtifactMissingError without its file, UnsafeModelFileError for adapters that crashed it,
        AdapterMismatchError for those of another model, EngineError when it is larger than the host,
        HostUnavailableError (transient) when those in use leave no room, and the engine's own errors.
        """
        # Without the adapters: people with adapters of their own share the base's weights.
        key, size = _key(replace(spec, adapters=()))
        # Before the engine is claimed: one person's bad adapter must not crash it again for all others.
        self._refuse_crashed(key, spec.adapters)
        entry = self._claim_entry(key, size, waiting)
        try:
            yield self._ready_engine(entry, spec.adapters)
        except LoadCrashed as error:
            self._remember_crash(key, spec.adapters, error)
            raise
        finally:
            self._release_entry(key, entry)

    def _refuse_crashed(self, key: Key, adapters: Adapters) -> None:
        reason = self._crashed.get((key, adapters))
        if reason is not None:
            raise UnsafeModelFileError(
                f"{key[0].engine_id} crashed with these adapters and is not loaded with them again: "
                f"{reason} Remove the adapters that were added last."
            )

    def _remember_crash(self, key: Key, adapters: Adapters, error: LoadCrashed) -> None:
        """Blame the model's file, unless an adapter crashed it: an adapter is one person's own."""
        logger.error("%s crashed while loading: %s", key[0].engine_id, error)
        if isinstance(error, AdapterCrashed):
            self._crashed[key, adapters] = str(error)
        else:
            self._on_unsafe(key[0].model_path, str(error))

    def _claim_entry(self, key: Key, size: int, waiting: Callable[[], None]) -> _Entry:
        begun = time.monotonic()
        need: Need | None = None
        while True:
            with self._changed:
                entry = self._entries.get(key)
                if entry is not None:
                    # Counted under the lock, so that nobody can choose it as a victim from now on.
                    entry.users += 1
                    return entry
            # Outside the lock: it reads the model's header, and others must not wait for a disk.
            need = need or self._require_need(key[0], size)
            waited = time.monotonic() - begun
            others = self._other_pools.held(waited)
            with self._changed:
                # People's engines that idle here go only when the other processes had time to make room.
                may_end = not others.takes_anything or waited > ASK_FIRST_SECONDS
                # Looked up again: another thread may have made the entry while the lock was free. Then the
                # loop starts over and joins it.
                is_new = key not in self._entries
                victims = self._choose_victims(need, others, may_end=may_end) if is_new else []
                if victims is None:
                    self._wait_for_room(key[0], begun + ROOM_SECONDS)
                elif is_new:
                    # Entered before it is loaded: its memory is spoken for, and no second thread loads it.
                    self._entries[key] = _Entry(self._create(key[0]), key[0], need)
            if victims is None:
                self._other_pools.request_room()
                waiting()
            else:
                # Outside the lock, since ending a child takes seconds. They are out of the table already,
                # so nobody can claim them meanwhile.
                self._unload_all(victims)

    def _require_need(self, spec: EngineSpec, size: int) -> Need:
        need = self._need(spec, size)
        if need.memory > self._room.memory:
            raise EngineError(
                f"{spec.engine_id} needs {_gib(need.memory)} and this host lends engines "
                f"{_gib(self._room.memory)}; choose a smaller model or another host."
            )
        return need

    def _wait_for_room(self, spec: EngineSpec, deadline: float) -> None:
        self._changed.wait(LOOK_AGAIN_SECONDS)
        if time.monotonic() > deadline:
            raise HostUnavailableError(
                f"The engines in use leave no room for {spec.engine_id}; try again later."
            )

    def _choose_victims(self, need: Need, others: Need, *, may_end: bool) -> list[_Entry] | None:
        """Remove the idle engines that must go, least recently used first; None if that is not enough."""
        kept = dict(self._entries)
        idle = sorted(
            (key for key, entry in kept.items() if entry.users == 0 and may_end),
            key=lambda key: kept[key].used_at,
        )
        chosen = []
        for key in idle:
            if self._have_room(kept.values(), need, others):
                break
            # One that frees nothing of the wanted kind would be ended for nothing.
            if _frees_wanted(kept[key].need, need):
                del kept[key]
                chosen.append(key)
        if not self._have_room(kept.values(), need, others):
            # Nothing is ended unless it is enough: the wait goes on, and the engines stay warm.
            return None
        return [self._entries.pop(key) for key in chosen]

    def _have_room(self, kept: Iterable[_Entry], need: Need, others: Need) -> bool:
        needs = [need, others, *(entry.need for entry in kept)]
        memory, vram = sum(each.memory for each in needs), sum(each.vram for each in needs)
        # An engine that takes nothing of one kind never waits for it.
        has_memory = not need.memory or memory <= self._room.memory
        return has_memory and (not need.vram or vram <= self._room.vram)

    def _release_entry(self, key: Key, entry: _Entry) -> None:
        with self._changed:
            entry.users -= 1
            entry.used_at = time.monotonic()
            # An engine that failed to load, or died, holds nothing worth keeping.
            ends = entry.users == 0 and (entry.doomed or not entry.engine.is_loaded)
            # The key may have a newer entry by now: ``unload`` took this one out.
            if ends and self._entries.get(key) is entry:
                del self._entries[key]
            self._changed.notify_all()
        if ends:
            self._unload_all([entry])

    def _ready_engine(self, entry: _Entry, adapters: Adapters) -> BaseModelEngine:
        """Load what is missing; return the engine with these adapters."""
        engine = entry.engine.with_adapters(adapters)
        # Before the lock: failures that come while this thread waits for it count as its own.
        known = len(entry.failures)
        with entry.loading:
            if not entry.engine.is_available():
                self._load(entry, known)
        if adapters:
            engine.load_model()
        return engine

    def _load(self, entry: _Entry, known: int) -> None:
        """Load the engine, unless another thread failed to while this one waited: it gets that error."""
        # Otherwise ten people who wait for a broken file would load it ten times, one after the other.
        if len(entry.failures) > known:
            raise entry.failures[-1]
        try:
            entry.engine.load_model()
        except Exception as error:
            entry.failures.append(error)
            raise
        self._correct_need(entry)

    def _correct_need(self, entry: _Entry) -> None:
        """Count an engine as it turned out: without a GPU it was meant for, or with OpenVINO's weights."""
        info = entry.engine.get_engine_info()
        need = entry.need
        if need.vram and not info.get("gpus"):
            need = Need(need.without_gpus)
        if info.get("openvino"):
            # Only its first load decides who computes, so what is planned for is llama.cpp's need.
            need = replace(need, memory=max(need.memory, info["resident_bytes"]))
        if need != entry.need:
            with self._changed:
                entry.need = need
            self.publish()

    def unload(self, path: str) -> int:
        """End the engines of a model file, those in use after their last user; return how many."""
        with self._changed:
            chosen = [key for key, entry in self._entries.items() if entry.spec.model_path == path]
            for key in chosen:
                # In use: whoever has it finishes, and nobody new gets it after that.
                self._entries[key].doomed = True
            idle = [self._entries.pop(key) for key in chosen if self._entries[key].users == 0]
            self._changed.notify_all()
        self._unload_all(idle)
        return len(chosen)

    def unload_idle(self, seconds: float) -> int:
        """End the engines that nobody used for ``seconds``; return how many."""
        before = time.monotonic() - seconds
        with self._changed:
            old = [k for k, e in self._entries.items() if e.users == 0 and e.used_at < before]
            idle = [self._entries.pop(key) for key in old]
            self._changed.notify_all()
        self._unload_all(idle)
        return len(idle)

    def _unload_all(self, entries: Iterable[_Entry]) -> None:
        """End engines that were removed from the table, and publish what is still held."""
        for entry in entries:
            logger.info("unloading %s", entry.engine.engine_id)
            entry.engine.close()
        self.publish()

    def publish(self) -> None:
        """Tell the pools of other processes what this one holds."""
        with self._changed:
            needs = [entry.need for entry in self._entries.values()]
        self._other_pools.publish(Need(sum(n.memory for n in needs), sum(n.vram for n in needs)))

    def loaded(self) -> list[EngineSpec]:
        """Return the specs of the engines that need no loading."""
        with self._changed:
            return [entry.spec for entry in self._entries.values() if entry.engine.is_loaded]

    def in_use(self) -> list[EngineSpec]:
        """Return the specs of the engines that somebody has now, or waits for while they load."""
        with self._changed:
            return [entry.spec for entry in self._entries.values() if entry.users]

    def describe(self) -> list[Facts]:
        """Return each engine's facts for JSON, with its present number of users."""
        with self._changed:
            entries = list(self._entries.values())
        return [{**entry.engine.get_engine_info(), "users": entry.users} for entry in entries]


def _frees_wanted(held: Need, wanted: Need) -> bool:
    """Whether ending an engine frees any of what is wanted."""
    return bool((held.memory and wanted.memory) or (held.vram and wanted.vram))


def _key(spec: EngineSpec) -> tuple[Key, int]:
    """Return an engine's key and the bytes of its files; a server's engine costs nothing here."""
    if spec.endpoint:
        return (spec, 0), 0
    path = Path(spec.model_path)
    try:
        stats = [
            file.stat() for file in (folder_files(path) if path.is_dir() else part_paths(path))
        ]
    except OSError as error:
        raise ArtifactMissingError(
            f"A file of {spec.engine_id} cannot be read ({error.strerror}: {error.filename}); "
            "download it again."
        ) from error
    return (spec, max((s.st_mtime_ns for s in stats), default=0)), sum(s.st_size for s in stats)


def _gib(size: int) -> str:
    return f"{size / 1024**3:.2f} GiB"


@cache
def engine_pool() -> EnginePool:
    """Return the pool of this process."""
    machine = measure(settings.SAM_MODELS_DIR)

    def need(spec: EngineSpec, size: int) -> Need:
        own = _folder_need(spec) if spec.runtime == "openvino" else None
        return own or need_of(spec, _shape(spec, size), size, machine)

    room = room_of(machine)
    return EnginePool(room, engine_registry().create, _mark_unsafe, need, host_memory())


def _shape(spec: EngineSpec, size: int) -> ModelShape | None:
    """Read what decides a model file's memory; None where its runtime or its header hides that."""
    if not size or spec.runtime not in GGUF_RUNTIMES:
        return None
    try:
        return ModelShape.from_header(read_model_header(Path(spec.model_path)))
    except SamError:
        # Loading will report what is wrong to the request that asks for it.
        return None


def _folder_need(spec: EngineSpec) -> Need | None:
    """Read what an embedder's folder will take while it is loaded; None where loading will say what is wrong."""
    try:
        taken = read_folder(Path(spec.model_path)).resident_bytes
    except SamError:
        return None
    return Need(taken, without_gpus=taken)


def _mark_unsafe(path: str, reason: str) -> None:
    retry_database(lambda: mark_unsafe(path, settings.SAM_HOST_NAME, reason))
