"""What engines made from a catalog entry share: their spec, and their runtime's own options."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, Generic, Self, TypeVar

from engines.runtimes.base import Facts
from engines.runtimes.streaming import StreamingEngine
from engines.specs import EngineSpec

OptionsT = TypeVar("OptionsT")


class SpecifiedEngine(StreamingEngine, Generic[OptionsT]):
    """An engine with a spec and options; without them it uses its three names and the defaults."""

    family: ClassVar[str] = ""
    options_kind: ClassVar[type[Any]]
    """The runtime's options; without arguments they are the defaults."""

    def __init__(
        self,
        engine_id: str,
        model_name: str,
        model_path: str,
        *,
        spec: EngineSpec | None = None,
        options: OptionsT | None = None,
    ) -> None:
        super().__init__(engine_id, model_name, model_path)
        self.spec = spec or EngineSpec(engine_id, model_name, model_path, family=self.family)
        self.options: OptionsT = options or self.options_kind()
        self._info: Facts = {}
        # Reentrant: unloading and closing call each other. Requests do not hold it while they run.
        self._lifecycle = threading.RLock()
        self._prepare()

    def _prepare(self) -> None:
        """Refuse a spec that this runtime cannot serve; nothing is loaded yet."""

    def check(self) -> None:
        """Refuse a model that cannot be used as it is now, without loading it."""

    @classmethod
    def from_spec(cls, spec: EngineSpec, options: OptionsT | None = None) -> Self:
        """Make the engine of a catalog entry."""
        return cls(spec.engine_id, spec.model_name, spec.model_path, spec=spec, options=options)
