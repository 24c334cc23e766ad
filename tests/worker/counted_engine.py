"""A whole engine of a few lines, and pools that lend it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engines.exceptions import AdapterCrashed, EngineError, LoadCrashed
from engines.fit.engine_need import Need
from engines.fit.placement import Room
from engines.runtimes.base import BaseModelEngine, ModelStatus
from engines.specs import AdapterSpec, EngineSpec
from worker.host.engine_pool import EnginePool
from worker.host.memory import OtherPools


class CountedEngine(BaseModelEngine):
    """A whole engine of a few lines that tells how often it was loaded and unloaded."""

    log: list[str] = []
    gpus: list[str] = []
    resident_bytes = 0
    """Of an engine that OpenVINO computes; 0 for another one."""

    def get_engine_info(self) -> dict[str, Any]:
        own = {"openvino": "f32", "resident_bytes": self.resident_bytes}
        more = own if self.resident_bytes else {}
        return {**super().get_engine_info(), "gpus": self.gpus, **more}

    def load_model(self) -> bool:
        if self.engine_id == "broken":
            raise EngineError("This model cannot be loaded.")
        if self.engine_id == "crashing":
            self.log.append("!crashing")
            raise LoadCrashed("It crashed.")
        self.log.append(f"+{self.engine_id}")
        self.is_loaded, self.status = True, ModelStatus.READY
        return True

    def unload_model(self) -> bool:
        self.log.append(f"-{self.engine_id}")
        self.is_loaded, self.status = False, ModelStatus.UNAVAILABLE
        return True

    def with_adapters(self, adapters: Sequence[AdapterSpec]) -> BaseModelEngine:
        return OwnedEngine(self, adapters) if adapters else self

    def generate(self, prompt: str, **kwargs: Any) -> str:
        return prompt[::-1]

    def embed(self, text: str) -> list[float]:
        return [float(len(text)), 1.0]


class OwnedEngine(CountedEngine):
    def __init__(self, base: CountedEngine, adapters: Sequence[AdapterSpec]) -> None:
        super().__init__(base.engine_id, base.model_name, base.model_path)
        self._names = [Path(adapter.path).stem for adapter in adapters]

    def load_model(self) -> bool:
        self.log.append(f"{self.engine_id}+{self._names}")
        if "crashing" in self._names:
            raise AdapterCrashed("It crashed.")
        self.is_loaded, self.status = True, ModelStatus.READY
        return True


def make_pool(
    log: list[str],
    need: Callable[[EngineSpec, int], Need],
    vram: int = 0,
    other_pools: OtherPools | None = None,
) -> EnginePool:
    return EnginePool(
        Room(100, vram, int(vram > 0)),
        lambda spec: CountedEngine(spec.engine_id, spec.model_name, spec.model_path),
        lambda path, reason: log.append(f"unsafe {Path(path).name}: {reason}"),
        need,
        other_pools,
    )


def spec(folder: Path, name: str, size: int = 40, **values: Any) -> EngineSpec:
    path = folder / f"{name}.gguf"
    if not path.exists():
        path.write_bytes(b"x" * size)
    return EngineSpec(name, name, str(path), **values)


def use(pool: EnginePool, wanted: EngineSpec) -> None:
    with pool.acquire(wanted) as engine:
        assert engine.is_available()
