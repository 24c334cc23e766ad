"""The runtimes: the built-in ones and those of installed plugins."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any, TypeGuard
from weakref import WeakValueDictionary

from engines.addresses import parse_endpoint
from engines.exceptions import InvalidRequestError, NotFoundError
from engines.runtime_names import BUILT_IN, installed_plugins
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.llama_cpp.engine import (
    DeepSeekEngine,
    LlamaCppEngine,
    LlamaEngine,
    LlamaOptions,
    QwenEngine,
)
from engines.runtimes.notation.families import family_of
from engines.runtimes.openvino.engine import OpenVinoEngine, OpenVinoOptions
from engines.runtimes.programs.host import HostPrograms
from engines.runtimes.servers.base import RemoteEngine
from engines.runtimes.specified import SpecifiedEngine
from engines.specs import EngineSpec, ModelSource

logger = logging.getLogger(__name__)

PROJECT = "sam-engine-upgrade"
INSTALL_IT = "Install its plugin or correct the catalog entry."

EngineFactory = Callable[[EngineSpec], BaseModelEngine]
FAMILIES: dict[str, type[LlamaCppEngine]] = {
    kind.family: kind for kind in (LlamaEngine, DeepSeekEngine, QwenEngine)
}


@dataclass(frozen=True, slots=True)
class Backend:
    """One runtime as a list of them shows it."""

    name: str
    source: str
    """``built in``, or the plugin's package."""
    problem: str = ""
    """Why it cannot be used here; empty when it can."""


class EngineRegistry:
    """Makes engines by their runtime's name, and finds those it made.

    A plugin that cannot be used is named in ``problems`` with its reason; the others work.
    """

    def __init__(
        self,
        keys: Mapping[str, str] | None = None,
        llama: LlamaOptions | None = None,
        programs: HostPrograms | None = None,
    ) -> None:
        """``keys`` are the API keys of servers by their address; each goes to its server only.

        ``llama`` is how the engines of the runtimes llama_cpp and openvino are run on this host, ``programs`` what
        those of llama_server and vllm are run with.
        """
        self._programs = programs or HostPrograms()
        self._llama = llama or LlamaOptions()
        self._keys = {parse_endpoint(place): key for place, key in (keys or {}).items()}
        self._kinds: dict[str, Callable[[], type[BaseModelEngine]]] = {}
        self._sources: dict[str, str] = {}
        # Weak: the pool decides how long an engine lives; a reference here would keep its memory.
        self._made: WeakValueDictionary[str, BaseModelEngine] = WeakValueDictionary()
        self.problems: list[str] = []
        # Not imported yet: torch alone takes seconds, and most hosts need few of them.
        for name in BUILT_IN:
            self._add(name, partial(_load_built_in, name), "built in")
        for point in installed_plugins():
            self._add_plugin(point)

    @property
    def runtimes(self) -> list[str]:
        """Names that ``create`` knows, sorted."""
        return sorted(self._kinds)

    def backends(self) -> list[Backend]:
        """Every runtime, with the reason where it cannot be used on this host."""
        return [Backend(name, self._sources[name], self._problem(name)) for name in self.runtimes]

    def register(self, runtime: str, kind: type[BaseModelEngine], source: str = "code") -> None:
        """Add a runtime; InvalidRequestError when the name is taken or ``kind`` is not an engine class."""
        checked = _require_engine_class(kind)
        self._add(runtime, lambda: checked, source)

    def require(self, runtime: str) -> None:
        """Refuse a name that is no runtime, with those that are and why its plugin is none; imports nothing."""
        if runtime in self._kinds:
            return
        broken = f"Engine plugin {runtime!r} "
        why = next((p for p in self.problems if p.startswith(broken)), INSTALL_IT)
        raise InvalidRequestError(
            f"There is no runtime {runtime[:100]!r}; known are {', '.join(self.runtimes)}. {why}"
        )

    def create(self, spec: EngineSpec) -> BaseModelEngine:
        """An engine that is not loaded yet.

        InvalidRequestError for a runtime that is unknown or lacks its packages.
        """
        engine = self._make(self._kind(spec.runtime), spec)
        self._made[spec.engine_id] = engine
        return engine

    def check(self, spec: EngineSpec) -> None:
        """Refuse a model that is not there, or a server that does not list it; nothing is loaded.

        Raises what ``create`` raises, and the runtime's own errors.
        """
        engine = self._make(self._kind(spec.runtime), spec)
        if isinstance(engine, SpecifiedEngine):
            engine.check()

    def sources(self, runtime: str) -> frozenset[ModelSource]:
        """Where a runtime's models may be in a catalog; InvalidRequestError names the known ones."""
        if runtime in BUILT_IN:
            return frozenset({BUILT_IN[runtime].source})
        if _is_elsewhere(self._kind(runtime)):
            return frozenset({ModelSource.SERVER})
        return frozenset({ModelSource.FILE, ModelSource.FOLDER})

    def get(self, engine_id: str) -> BaseModelEngine:
        """The engine of this id that was made last and is still in use; NotFoundError."""
        engine = self._made.get(engine_id)
        if engine is None:
            raise NotFoundError(f"No engine {engine_id!r} is in use here; create it first.")
        return engine

    def models(self, runtime: str, place: str) -> list[str]:
        """Models a runtime finds at a place: a folder, or a server's address.

        Raises what ``create`` raises, and for a server HostUnavailableError or EngineError.
        """
        kind = self._kind(runtime)
        if _is_elsewhere(kind):
            return kind.list_models(place, kind.options_kind(api_key=self._key_of(place)))
        return kind.list_models(place)

    def _kind(self, runtime: str) -> type[BaseModelEngine]:
        self.require(runtime)
        return self._kinds[runtime]()

    def _make(self, kind: type[BaseModelEngine], spec: EngineSpec) -> BaseModelEngine:
        options = self._programs.options_of(kind)
        if options is not None and issubclass(kind, SpecifiedEngine):
            return kind.from_spec(spec, options)
        if _is_elsewhere(kind):
            # By address and not by entry: a key must never reach a server it was not given for.
            key = self._key_of(spec.endpoint or kind.default_endpoint)
            return kind.from_spec(spec, kind.options_kind(api_key=key))
        if kind is LlamaCppEngine:
            family = FAMILIES.get(family_of(spec.family).name, LlamaCppEngine)
            return family.from_spec(spec, self._llama)
        if kind is OpenVinoEngine:
            return kind.from_spec(spec, OpenVinoOptions(precision=self._llama.openvino))
        from_spec: EngineFactory | None = getattr(kind, "from_spec", None)
        if from_spec is not None:
            return from_spec(spec)
        return kind(spec.engine_id, spec.model_name, spec.model_path)

    def _key_of(self, endpoint: str) -> str:
        return self._keys.get(parse_endpoint(endpoint), "")

    def _problem(self, runtime: str) -> str:
        try:
            self._programs.require_program(self._kind(runtime))
        except InvalidRequestError as error:
            return str(error)
        return ""

    def _add(self, runtime: str, loader: Callable[[], type[BaseModelEngine]], source: str) -> None:
        if runtime in self._kinds:
            raise InvalidRequestError(f"There is a runtime named {runtime!r} already.")
        self._kinds[runtime] = loader
        self._sources[runtime] = source

    def _add_plugin(self, point: EntryPoint) -> None:
        source = point.dist.name if point.dist else "plugin"
        try:
            self.register(point.name, point.load(), source)
        except (Exception, SystemExit) as error:
            # A plugin is foreign code: whatever it raises must not stop the others.
            logger.exception("engine plugin %s cannot be used", point.name)
            self.problems.append(
                f"Engine plugin {point.name!r} ({point.value}) of {source} cannot be used: "
                f"{type(error).__name__}: {error}"
            )


def _is_elsewhere(kind: type[BaseModelEngine]) -> TypeGuard[type[RemoteEngine[Any]]]:
    """Whether a server that somebody else runs has the models."""
    return issubclass(kind, RemoteEngine) and not kind.is_ours


def _require_engine_class(kind: object) -> type[BaseModelEngine]:
    if isinstance(kind, type) and issubclass(kind, BaseModelEngine):
        return kind
    raise InvalidRequestError("it is not a subclass of BaseModelEngine")


def _load_built_in(name: str) -> type[BaseModelEngine]:
    module, _, kind = BUILT_IN[name].kind.partition(":")
    try:
        found: type[BaseModelEngine] = getattr(importlib.import_module(module), kind)
    except ModuleNotFoundError as error:
        extra = BUILT_IN[name].extra
        if not extra:
            raise
        raise InvalidRequestError(
            f"The runtime {name!r} needs the package {error.name!r}; install '{PROJECT}[{extra}]' "
            "on this host."
        ) from error
    return found
