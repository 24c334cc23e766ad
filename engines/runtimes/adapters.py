"""LoRA adapters chosen per request: people with adapters of their own share one loaded base."""

from __future__ import annotations

import abc
import hashlib
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from engines.exceptions import AdapterMismatchError, ArtifactMissingError
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.header import GgufHeader
from engines.gguf.reader import read_header
from engines.runtimes.base import (
    BaseModelEngine,
    ChatMessage,
    EmbeddingBatch,
    Facts,
    ModelStatus,
)
from engines.runtimes.reading import TokenReading
from engines.runtimes.streaming import StreamingEngine
from engines.runtimes.text.generation import Generation, Piece
from engines.specs import AdapterSpec, EngineSpec

AdapterRef = tuple[str, str, float]
"""An adapter that may be loaded: SHA-256, path and scale."""


class AdaptableEngine(StreamingEngine):
    """An engine that loads its base once, and adapters in addition."""

    @abc.abstractmethod
    def load_adapters(self, adapters: Sequence[AdapterSpec]) -> None:
        """Load adapters for the next request; those already loaded cost nothing.

        Raises ArtifactMissingError, UnsafeModelFileError, AdapterMismatchError, LoadCrashed.
        """

    @abc.abstractmethod
    def stream_adapted(
        self,
        adapters: Sequence[AdapterSpec],
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        """As ``stream_pieces``, with exactly these adapters, loaded first where they are not yet."""

    def with_adapters(self, adapters: Sequence[AdapterSpec]) -> BaseModelEngine:
        return AdaptedEngine(self, tuple(adapters)) if adapters else self


class AdaptedEngine(StreamingEngine):
    """An engine with a person's adapters; loading and unloading are the base's.

    Its vectors are the base's own: an index is shared by people whose adapters differ.
    """

    def __init__(self, engine: AdaptableEngine, adapters: tuple[AdapterSpec, ...]) -> None:
        super().__init__(engine.engine_id, engine.model_name, engine.model_path)
        self._engine = engine
        self._adapters = adapters
        self.reads_literals = engine.reads_literals

    def load_model(self) -> bool:
        """Load the base and the adapters where they are not loaded yet."""
        self.is_loaded = self._engine.is_available() or self._engine.load_model()
        self._engine.load_adapters(self._adapters)
        self.status = self._engine.get_status()
        return True

    def unload_model(self) -> bool:
        self.is_loaded, self.status = False, ModelStatus.UNAVAILABLE
        return self._engine.unload_model()

    def stream_pieces(
        self,
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        return self._engine.stream_adapted(self._adapters, prompt, cancelled=cancelled, **kwargs)

    def embed(self, text: str) -> list[float]:
        return self._engine.embed(text)

    def embed_query(self, text: str) -> list[float]:
        return self._engine.embed_query(text)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        return self._engine.embed_documents(texts)

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading] | None:
        return self._engine.read_documents(texts)

    def count_tokens(self, text: str) -> int:
        return self._engine.count_tokens(text)

    def count_prompt_tokens(self, prompt: str | Sequence[ChatMessage]) -> int:
        return self._engine.count_prompt_tokens(prompt)

    def format_prompt(self, messages: Sequence[ChatMessage]) -> str:
        return self._engine.format_prompt(messages)

    def find_losses(self) -> list[str]:
        return self._engine.find_losses()

    def get_status(self) -> ModelStatus:
        return self._engine.get_status()

    def is_available(self) -> bool:
        return self._engine.is_available()

    def get_engine_info(self) -> Facts:
        return self._engine.get_engine_info()


class AdapterGate:
    """Which adapter files fit one base; each file is read and hashed once."""

    def __init__(self, spec: EngineSpec, base: GgufHeader) -> None:
        self._spec = spec
        self._base = base
        self._known: dict[tuple[str, int, int], str] = {}
        self.proven: set[str] = set()
        """SHA-256 of what the child has loaded before."""

    def admit(self, adapters: Sequence[AdapterSpec]) -> list[AdapterRef]:
        """Check all of ``adapters``, and return them as the child takes them.

        Raises AdapterMismatchError for one made for another model file, architecture or shape,
        ArtifactMissingError without its file or with another content, UnsafeModelFileError.
        """
        return [self._admit(adapter) for adapter in adapters]

    def _admit(self, adapter: AdapterSpec) -> AdapterRef:
        path = Path(adapter.path).absolute()
        self._check_base(adapter)
        key = _identity(path)
        # Hashing reads the whole file; a file of the same time and size is not read again.
        digest = self._known.get(key) or self._read_digest(path)
        if adapter.sha256 and digest != adapter.sha256:
            raise ArtifactMissingError(
                f"The adapter file {path.name} has SHA-256 {digest}, not the one it was stored "
                "with; upload the adapter again."
            )
        self._known[key] = digest
        return digest, str(path), adapter.scale

    def _check_base(self, adapter: AdapterSpec) -> None:
        # Equal shapes do not make it the model the adapter was trained on; only the digest says that.
        known = adapter.base_sha256 and self._spec.model_sha256
        if known and adapter.base_sha256 != self._spec.model_sha256:
            raise AdapterMismatchError(
                f"The adapter was made for the model file {adapter.base_sha256[:12]}… and engine "
                f"{self._spec.engine_id} is {self._spec.model_sha256[:12]}…; use the revision it "
                "was made for, or train it again on this one."
            )

    def _read_digest(self, path: Path) -> str:
        # Before native code sees it: llama.cpp aborts on some adapters of another shape.
        check_adapter_fits(read_header(path), self._base)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise ArtifactMissingError(
            f"The adapter {path.name} cannot be read ({error.strerror}); upload it again."
        ) from error
    return str(path), stat.st_mtime_ns, stat.st_size
