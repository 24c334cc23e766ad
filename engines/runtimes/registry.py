"""Which runtimes there are: the built-in ones and those of installed plugins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.llama_cpp import DeepSeekEngine, LlamaCppEngine, LlamaEngine, QwenEngine
from engines.specs import EngineSpec

logger = logging.getLogger(__name__)

GROUP = "sam.engines"
"""Entry point group of plugins: the runtime's name, and a BaseModelEngine class."""

EngineFactory = Callable[[EngineSpec], BaseModelEngine]
FAMILIES: dict[str, type[LlamaCppEngine]] = {
    kind.family: kind for kind in (LlamaEngine, DeepSeekEngine, QwenEngine)
}


class EngineRegistry:
    """Makes engines by their runtime's name.

    A plugin that cannot be used is named in ``problems`` with its reason; the others work.
    """

    def __init__(self) -> None:
        self._factories: dict[str, EngineFactory] = {"llama_cpp": _make_llama_cpp}
        self.problems: list[str] = []
        for point in entry_points(group=GROUP):
            self._add_plugin(point)

    @property
    def runtimes(self) -> list[str]:
        """Names that ``create`` accepts, sorted."""
        return sorted(self._factories)

    def register(self, runtime: str, factory: EngineFactory) -> None:
        """Add a runtime; InvalidRequestError when the name is taken."""
        if runtime in self._factories:
            raise InvalidRequestError(f"There is a runtime named {runtime!r} already.")
        self._factories[runtime] = factory

    def create(self, spec: EngineSpec) -> BaseModelEngine:
        """An engine that is not loaded yet; InvalidRequestError for an unknown runtime."""
        factory = self._factories.get(spec.runtime)
        if factory is None:
            raise InvalidRequestError(
                f"There is no runtime {spec.runtime!r}; known are {', '.join(self.runtimes)}. "
                "Install its plugin or correct the catalog entry."
            )
        return factory(spec)

    def _add_plugin(self, point: EntryPoint) -> None:
        try:
            self.register(point.name, _plugin_factory(point.load()))
        except Exception as error:
            # A plugin is foreign code: whatever it raises must not stop the others.
            logger.exception("engine plugin %s cannot be used", point.name)
            self.problems.append(
                f"Engine plugin {point.name!r} ({point.value}) cannot be used: "
                f"{type(error).__name__}: {error}"
            )


def _make_llama_cpp(spec: EngineSpec) -> BaseModelEngine:
    return FAMILIES.get(spec.family, LlamaCppEngine).from_spec(spec)


def _plugin_factory(kind: object) -> EngineFactory:
    if not (isinstance(kind, type) and issubclass(kind, BaseModelEngine)):
        raise InvalidRequestError("it is not a subclass of BaseModelEngine")

    def make(spec: EngineSpec) -> BaseModelEngine:
        return kind(spec.engine_id, spec.model_name, spec.model_path)

    return make
