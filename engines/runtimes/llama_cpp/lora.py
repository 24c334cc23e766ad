"""The adapters loaded for a model; imported in an engine's child only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp as api

from engines.exceptions import AdapterMismatchError
from engines.runtimes.llama_cpp.native import LoadedModel, NativeContext

MAX_ADAPTERS = 8
MAX_ADAPTER_BYTES = 1024**3
"""Of adapter files. Both limits count all loaded adapters; those in use are never freed to keep them."""

AdapterRefs = Sequence[tuple[str, str, float]]
"""SHA-256, path and scale of each adapter of a request."""


@dataclass(frozen=True, slots=True)
class _LoadedAdapter:
    handle: Any
    size: int


class AdapterCache:
    """Adapters of one model, by SHA-256; the least recently used is freed first."""

    def __init__(self, model: LoadedModel, context: NativeContext) -> None:
        """``context`` is the only one that may use them: one in use is never freed."""
        self._model = model
        self._context = context
        self._loaded: OrderedDict[str, _LoadedAdapter] = OrderedDict()
        self._used: tuple[tuple[str, str, float], ...] = ()

    def __len__(self) -> int:
        return len(self._loaded)

    def use(self, wanted: AdapterRefs, needed_soon: Iterable[str] = ()) -> None:
        """Make the context use exactly these from now on; AdapterMismatchError changes nothing.

        ``needed_soon`` are the SHA-256 of adapters that other running answers use: they are not freed.
        """
        if tuple(wanted) == self._used:
            return
        # All are loaded before anything is freed, so a bad file leaves the context as it was.
        chosen = [(self._load_once(digest, path), scale) for digest, path, scale in wanted]
        surplus = self._surplus({digest for digest, _, _ in wanted} | set(needed_soon))
        if surplus:
            # llama.cpp may reuse a freed adapter's address: the context must not refer to it any more.
            self._context.use_adapters(())
            self._used = ()
        for digest in surplus:
            api.llama_adapter_lora_free(self._loaded.pop(digest).handle)
        self._context.use_adapters(chosen)
        self._used = tuple(wanted)

    def _surplus(self, needed: set[str]) -> list[str]:
        """What must be freed, least recently used first."""
        count, size = len(self._loaded), sum(kept.size for kept in self._loaded.values())
        surplus = []
        for digest, kept in self._loaded.items():
            if count <= MAX_ADAPTERS and size <= MAX_ADAPTER_BYTES:
                break
            if digest not in needed:
                surplus.append(digest)
                count, size = count - 1, size - kept.size
        return surplus

    def _load_once(self, digest: str, path: str) -> Any:
        if digest not in self._loaded:
            self._loaded[digest] = _LoadedAdapter(self._load(path), Path(path).stat().st_size)
        self._loaded.move_to_end(digest)
        return self._loaded[digest].handle

    def _load(self, path: str) -> Any:
        self._model.log.errors.clear()
        adapter = api.llama_adapter_lora_init(self._model.handle, path.encode())
        if not adapter:
            raise AdapterMismatchError(
                f"llama.cpp refuses the adapter {path} on this model "
                f"({self._model.log.reason}); use one trained on this model."
            )
        return adapter
