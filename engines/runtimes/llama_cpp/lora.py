"""Adapters beside a loaded model; imported in an engine's child only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp as api

from engines.exceptions import AdapterMismatchError
from engines.runtimes.llama_cpp.native import LoadedModel, NativeContext

MOST_ADAPTERS = 8
MOST_BYTES = 1024**3
"""Of adapter files; both limits hold for what the request at hand does not use."""

Wanted = Sequence[tuple[str, str, float]]
"""SHA-256, path and scale of each adapter of a request."""


@dataclass(frozen=True, slots=True)
class _Kept:
    handle: Any
    size: int


class AdapterShelf:
    """Adapters of one model, by SHA-256; the longest unused goes first."""

    def __init__(self, model: LoadedModel, context: NativeContext) -> None:
        """``context`` is the only one that may use them: one in use is never freed."""
        self._model = model
        self._context = context
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._used: tuple[tuple[str, str, float], ...] = ()

    def __len__(self) -> int:
        return len(self._kept)

    def use(self, wanted: Wanted, soon: Iterable[str] = ()) -> None:
        """Have the context use exactly these from now on; AdapterMismatchError changes nothing.

        ``soon`` are the SHA-256 of those that others will ask for next.
        """
        if tuple(wanted) == self._used:
            return
        chosen = [(self._take(digest, path), scale) for digest, path, scale in wanted]
        surplus = self._surplus({digest for digest, _, _ in wanted} | set(soon))
        if surplus:
            # A freed adapter's address may come back as another's: the context must not know it.
            self._context.use_adapters(())
            self._used = ()
        for digest in surplus:
            api.llama_adapter_lora_free(self._kept.pop(digest).handle)
        self._context.use_adapters(chosen)
        self._used = tuple(wanted)

    def _surplus(self, needed: set[str]) -> list[str]:
        """What must go, longest unused first."""
        count, size = len(self._kept), sum(kept.size for kept in self._kept.values())
        surplus = []
        for digest, kept in self._kept.items():
            if count <= MOST_ADAPTERS and size <= MOST_BYTES:
                break
            if digest not in needed:
                surplus.append(digest)
                count, size = count - 1, size - kept.size
        return surplus

    def _take(self, digest: str, path: str) -> Any:
        if digest not in self._kept:
            self._kept[digest] = _Kept(self._load(path), Path(path).stat().st_size)
        self._kept.move_to_end(digest)
        return self._kept[digest].handle

    def _load(self, path: str) -> Any:
        self._model.log.errors.clear()
        adapter = api.llama_adapter_lora_init(self._model.handle, path.encode())
        if not adapter:
            raise AdapterMismatchError(
                f"llama.cpp refuses the adapter {path} on this model "
                f"({self._model.log.reason}); use one trained on this model."
            )
        return adapter
