"""Remembers how each model embeds fastest on this machine; what is not known is measured once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engines.exceptions import SamError
from engines.files.durable import durable_file
from engines.files.private import private_folder
from engines.machine import cores, cpu_name, gpus
from engines.specs import EngineSpec

logger = logging.getLogger(__name__)

LIBRARY = "llama-cpp-python"
PRESSURE = Path("/proc/pressure/cpu")
MOST_WAITING = 10.0
"""Percent of the last ten seconds in which something waited for a core; beside that, times say nothing."""
MOST_LOAD = 0.5
"""Of the cores, in the last minute; where the kernel does not tell who waited."""


@dataclass(frozen=True, slots=True)
class BatchSetting:
    """How texts are embedded together; 0 means the usual."""

    lanes: int = 0
    pack_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A setting, and what was tried to find it."""

    setting: BatchSetting
    trials: list[dict[str, Any]]
    disturbed: bool = False
    """Something else took the cores meanwhile; the setting is not to be relied on."""


class BatchSettings:
    """A folder with one small file per model, way of embedding, and machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def setting(
        self, spec: EngineSpec, threads: int, measure: Callable[[], Measured]
    ) -> BatchSetting:
        """What was found before, else what ``measure`` finds now.

        The usual, until the next time, while the machine is busy or when measuring fails. One
        measurement at a time runs on a machine, so that none disturbs another, and who waited takes
        what the other found. Whoever is killed meanwhile has remembered nothing.
        """
        facts = _facts(spec, threads)
        path = self._folder / f"{_digest(facts)}.json"
        try:
            return _read(path) or self._find(path, facts, measure) or BatchSetting()
        except (SamError, OSError):
            logger.exception("how %s embeds fastest could not be measured", spec.engine_id)
            return BatchSetting()

    def _find(
        self, path: Path, facts: dict[str, Any], measure: Callable[[], Measured]
    ) -> BatchSetting | None:
        with self._alone():
            known = _read(path)
            if known is not None or not is_quiet():
                return known
            found = measure()
            if found.disturbed:
                return None
            with durable_file(path) as file:
                file.write(json.dumps({**asdict(found), "of": facts}, indent=1).encode())
            return found.setting

    @contextmanager
    def _alone(self) -> Iterator[None]:
        private_folder(self._folder)
        with (self._folder / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def is_quiet() -> bool:
    """Whether so little else runs that something can be timed."""
    try:
        told = PRESSURE.read_text().partition("avg10=")[2].split()
        return float(told[0]) <= MOST_WAITING
    except (OSError, ValueError, IndexError):
        return os.getloadavg()[0] <= MOST_LOAD * cores()


def _read(path: Path) -> BatchSetting | None:
    """A remembered setting; None when there is none, or no sense in it."""
    try:
        setting = BatchSetting(**json.loads(path.read_bytes())["setting"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    numbers = (setting.lanes, setting.pack_tokens)
    return setting if all(type(each) is int and each >= 0 for each in numbers) else None


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _facts(spec: EngineSpec, threads: int) -> dict[str, Any]:
    """Whatever may make another setting the fastest; a disk may move to another machine."""
    return {
        "model": spec.model_sha256 or _file_identity(Path(spec.model_path)),
        "embedding": asdict(spec.embedding) if spec.embedding else None,
        "placement": [spec.device, spec.gpu_layers, spec.split_mode, spec.main_gpu],
        "flash_attention": spec.use_flash_attention,
        "threads": threads,
        "cores": cores(),
        "cpu": cpu_name(),
        "gpus": [gpu.name for gpu in gpus()],
        "library": version(LIBRARY),
    }


def _file_identity(path: Path) -> list[Any]:
    stat = path.stat()
    return [path.name, stat.st_size, stat.st_mtime_ns]
