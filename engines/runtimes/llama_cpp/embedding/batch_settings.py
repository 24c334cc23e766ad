"""Remembers which layout embeds fastest, per model and machine; measured once."""

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
from engines.runtimes.base import Facts
from engines.runtimes.child.messages import TrialSummary
from engines.runtimes.openvino.choice import PRECISIONS, openvino_version
from engines.specs import EngineSpec

logger = logging.getLogger(__name__)

LIBRARY = "llama-cpp-python"
PRESSURE = Path("/proc/pressure/cpu")
MAX_CPU_PRESSURE = 10.0
"""Percent of the last ten seconds in which a process waited for a core; above it times say nothing."""
MAX_CPU_LOAD = 0.5
"""Load per core in the last minute; used where the kernel has no pressure file."""


@dataclass(frozen=True, slots=True)
class BatchSetting:
    """How texts are embedded together; 0 means the default."""

    lanes: int = 0
    pack_tokens: int = 0
    openvino: str = ""
    """The precision in which OpenVINO computes; empty means that llama.cpp does."""


@dataclass(frozen=True, slots=True)
class BatchMeasurement:
    """A setting, and what was tried to find it."""

    setting: BatchSetting
    trials: list[TrialSummary]
    disturbed: bool = False
    """Other work took the cores meanwhile; the setting must not be stored."""


Measure = Callable[[], BatchMeasurement]


class BatchSettings:
    """A folder with one small file per model, way of embedding, and machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def setting(
        self,
        spec: EngineSpec,
        threads: int,
        measure: Measure,
        measure_beside: Measure | None = None,
    ) -> BatchSetting:
        """Return the stored setting, else what ``measure`` finds now, or ``measure_beside`` other work.

        The default, until the next load, while the machine is busy or when measuring fails. One
        measurement at a time runs on a machine, so that none disturbs another; a process that waited
        takes what the other found. A process killed meanwhile has stored nothing.
        """
        facts = _facts(spec, threads)
        path = self._folder / f"{_digest(facts)}.json"
        try:
            return _read(path) or self._find(path, facts, measure, measure_beside) or BatchSetting()
        except (SamError, OSError):
            logger.exception("how %s embeds fastest could not be measured", spec.engine_id)
            return BatchSetting()

    def _find(
        self, path: Path, facts: Facts, measure: Measure, measure_beside: Measure | None
    ) -> BatchSetting | None:
        with self._hold_lock():
            # Again under the lock: another process may have measured while this one waited.
            known = _read(path)
            chosen = measure if is_quiet() else measure_beside
            if known is not None or chosen is None:
                return known
            found = chosen()
            if found.disturbed:
                # Stored once, a wrong setting would slow this model down for good.
                return None
            with durable_file(path) as file:
                file.write(json.dumps({**asdict(found), "of": facts}, indent=1).encode())
            return found.setting

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        private_folder(self._folder)
        with (self._folder / ".lock").open("wb") as lock:
            # The kernel frees it with the process, so a killed measurement blocks nobody.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def is_quiet() -> bool:
    """Whether so little else runs that something can be timed."""
    try:
        averages = PRESSURE.read_text().partition("avg10=")[2].split()
        return float(averages[0]) <= MAX_CPU_PRESSURE
    except (OSError, ValueError, IndexError):
        return os.getloadavg()[0] <= MAX_CPU_LOAD * cores()


def _read(path: Path) -> BatchSetting | None:
    """Read a stored setting; None when there is none or it makes no sense."""
    try:
        setting = BatchSetting(**json.loads(path.read_bytes())["setting"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    numbers = (setting.lanes, setting.pack_tokens)
    # ``type`` and not isinstance: true is an int in Python.
    is_known = setting.openvino in ("", *PRECISIONS)
    return (
        setting if is_known and all(type(each) is int and each >= 0 for each in numbers) else None
    )


def _digest(facts: Facts) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _facts(spec: EngineSpec, threads: int) -> Facts:
    """Everything that can make another setting the fastest, the machine included: disks are moved."""
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
        "openvino": openvino_version(),
    }


def _file_identity(path: Path) -> list[Any]:
    stat = path.stat()
    return [path.name, stat.st_size, stat.st_mtime_ns]
