"""The llama.cpp runtime: GGUF files, computed in a supervised child process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import (
    AdapterCrashed,
    ArtifactMissingError,
    EngineNotLoadedError,
    InvalidRequestError,
    LoadCrashed,
    UnsafeModelFileError,
)
from engines.fit.model_shape import looks_back
from engines.gguf.header import GgufHeader
from engines.gguf.parts import find_misnomer, part_paths, read_model_header
from engines.runtimes.adapters import AdaptableEngine, AdapterGate, AdapterRef
from engines.runtimes.base import ChatMessage, Ranking
from engines.runtimes.child.engine import (
    MAX_EMBED_CHARS,
    ChildEngine,
    ChildOptions,
    blame_on_load,
)
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.messages import GenerateParameters
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.llama_cpp.adapter_folder import AdapterFolder
from engines.runtimes.llama_cpp.embedding.batch_settings import (
    BatchMeasurement,
    BatchSetting,
    BatchSettings,
)
from engines.runtimes.llama_cpp.memory_limit import memory_limit
from engines.runtimes.llama_cpp.parameters import LoadParameters
from engines.runtimes.offload import Offload
from engines.runtimes.openvino.choice import PRECISIONS, judge_model
from engines.runtimes.text.generation import Generation, Piece
from engines.runtimes.vector_rules import split_batches
from engines.specs import ANSWERS_AT_ONCE, RANK_POOLING, AdapterSpec

logger = logging.getLogger(__name__)

HANDLER = "engines.runtimes.llama_cpp.child:LlamaHandler"
NEVER = "never"
"""Of the option ``openvino``."""


@dataclass(frozen=True, slots=True)
class LlamaOptions(ChildOptions):
    """Also how requests share the engine, and how texts are embedded."""

    parallel: int = ANSWERS_AT_ONCE
    """Answers computed at the same time; they share one KV cache, and the youngest waits when it is full."""
    embedding_lanes: int = 0
    """Contexts that embed side by side; 0 means one per core without a GPU, at most eight."""
    pack_tokens: int = 0
    """Short texts are embedded together up to this many tokens; 0 means one by one."""
    openvino: str = ""
    """Who computes vectors of models that OpenVINO can: a precision of its, ``never``, or empty for the
    faster one by measuring."""
    batch_settings: str = ""
    """Folder that remembers how each model embeds fastest here, found by measuring at its first load;
    empty means never to measure. Lanes or tokens given above are taken as they are."""
    adapter_folders: str = ""
    """Folder in which each engine has one with links to its adapters; empty means a temporary one."""
    measure_seconds: float = 120.0
    """Longest wait for that; it takes a few seconds where nothing disturbs it."""


class LlamaCppEngine(AdaptableEngine, ChildEngine[LlamaOptions]):
    """A GGUF model, loaded once for all who use it with adapters of their own."""

    handler = HANDLER
    options_kind = LlamaOptions
    _gate: AdapterGate
    """Made with each child."""
    _adapters: AdapterFolder | None = None
    _counted_bytes = 0
    _setting = BatchSetting()
    """Of the last load."""
    _precisions: tuple[str, ...] = ()
    """In which OpenVINO may compute this model."""
    _openvino_crashed = False
    _openvino_absent = ""
    _by_pieces = False
    """Whether texts may be embedded piece by piece."""

    @classmethod
    def list_models(cls, place: str) -> list[str]:
        """GGUF models of a folder, sorted; one in parts is named by the first."""
        paths = sorted(Path(place).glob("*.gguf"))
        return [str(path) for path in paths if find_misnomer(path.name) is None]

    def stream_pieces(
        self,
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        """As the contract says, with the adapters of the engine's own spec."""
        return self.stream_adapted(self.spec.adapters, prompt, cancelled=cancelled, **kwargs)

    def stream_adapted(
        self,
        adapters: Sequence[AdapterSpec],
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        return self._answer(adapters, self._parse_request(prompt, kwargs), cancelled)

    def rank(self, question: str, texts: Sequence[str]) -> Ranking:
        """How well each text answers a question; InvalidRequestError where it is not a rank model."""
        embedding = self.spec.embedding
        if embedding is None or embedding.pooling != RANK_POOLING:
            return super().rank(question, texts)
        if any(len(text) > MAX_EMBED_CHARS for text in (question, *texts)):
            raise InvalidRequestError(
                f"A text has more than {MAX_EMBED_CHARS} characters; send a part of it."
            )
        parts: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        tokens, cut = 0, set[int]()
        for batch in split_batches(texts):
            reply = self._request("rank", question=question, texts=[text for _, text in batch])
            parts.append(np.frombuffer(reply.payload, np.float32))
            tokens += reply.header["tokens"]
            cut.update(batch[position][0] for position in reply.header["cut"])
        return Ranking(np.concatenate(parts), tokens, frozenset(cut))

    def load_adapters(self, adapters: Sequence[AdapterSpec]) -> None:
        with self._watch_child() as child:
            self._admit(child, adapters)

    def _answer(
        self,
        adapters: Sequence[AdapterSpec],
        parameters: GenerateParameters,
        cancelled: threading.Event | None,
    ) -> Generator[Piece, None, Generation]:
        with self._watch_child() as child:
            refs = self._admit(child, adapters)
        return (yield from self._stream({**parameters, "adapters": refs}, cancelled))

    def _admit(self, child: ChildProcess, adapters: Sequence[AdapterSpec]) -> list[AdapterRef]:
        """Check adapters and load new ones in a request of their own, so that a crash is theirs."""
        refs = self._place(self._gate.admit(adapters))
        fresh = {digest for digest, _, _ in refs} - self._gate.proven
        if fresh:
            with blame_on_load(
                AdapterCrashed, f"An adapter of {self.engine_id}", "go on without it"
            ):
                reply = child.request(
                    "adapt",
                    self.options.load_seconds,
                    adapters=refs,
                    cpu_seconds=self.options.load_cpu_seconds,
                )
            self._gate.proven |= fresh
            self._info["adapters"] = reply.header["adapters"]
        return refs

    def _place(self, refs: Sequence[AdapterRef]) -> list[AdapterRef]:
        """Put adapters where the child may read them."""
        if not refs:
            return []
        if self._adapters is None:
            raise EngineNotLoadedError(f"Engine {self.engine_id} was unloaded meanwhile.")
        try:
            return [
                (digest, self._adapters.add(digest, Path(path)), scale)
                for digest, path, scale in refs
            ]
        except OSError as error:
            raise ArtifactMissingError(
                f"An adapter of {self.engine_id} cannot be read ({error.strerror}); upload it again."
            ) from error

    def _generate_parameters(self, parameters: GenerateParameters) -> GenerateParameters:
        return {**parameters, "adapters": []}

    def _readable(self) -> tuple[str, ...]:
        if self._adapters is None:
            self._adapters = AdapterFolder(self.options.adapter_folders)
        # llama.cpp is given the first part and opens the others by name.
        parts = [str(path) for path in part_paths(Path(self.model_path).absolute())]
        return (*parts, str(self._adapters.path))

    def _memory_bytes(self) -> int:
        return self.options.memory_bytes or self._counted_bytes

    def _drop_child(self, patience: float) -> None:
        super()._drop_child(patience)
        folder, self._adapters = self._adapters, None
        if folder is not None:
            folder.close()

    def _start(self) -> None:
        try:
            super()._start()
        except LoadCrashed as crash:
            if self._openvino_crashed or not self._setting.openvino:
                raise
            # The file is to blame only if llama.cpp alone crashes at it as well.
            logger.warning("%s is loaded once more, without OpenVINO: %s", self.engine_id, crash)
            self._openvino_crashed = True
            super()._start()

    def _load(self, child: ChildProcess) -> Frame:
        reply = super()._load(child)
        self._admit(child, self.spec.adapters)
        return Frame({"info": {"adapters": 0, **reply.header["info"], **self._info}})

    def _check_files(self) -> None:
        """Refuse contradictory settings, and malformed files before native code reads them."""
        Offload.of(self.spec)
        if self.spec.quantization:
            raise InvalidRequestError(
                "A GGUF file is quantised already; choose one of another quantisation instead."
            )
        base = read_model_header(Path(self.model_path))
        if base.is_adapter:
            raise UnsafeModelFileError(
                f"{Path(self.model_path).name} is an adapter, not a model; choose the base model."
            )
        self._counted_bytes = memory_limit(
            self.spec,
            base,
            sum(part.stat().st_size for part in part_paths(Path(self.model_path))),
            self._threads(),
            self.options.pack_tokens,
        )
        embedding = self.spec.embedding
        is_ranker = embedding is not None and embedding.pooling == RANK_POOLING
        # A pair is judged at its end, by what was read in one piece.
        self._by_pieces = looks_back(base) and not is_ranker
        self._consider_openvino(base)
        self._gate = AdapterGate(self.spec, base)
        # Before the child starts: an adapter that does not fit must not cost a load.
        self._gate.admit(self.spec.adapters)

    def _load_parameters(self) -> Mapping[str, Any]:
        self._setting = self._batch_setting()
        return self._parameters_with(self._setting)

    def _parameters_with(self, setting: BatchSetting) -> LoadParameters:
        embedding = self.spec.embedding
        return {
            "path": str(Path(self.model_path).absolute()),
            "cpu_seconds": self.options.load_cpu_seconds,
            "family": self.spec.family,
            "offload": asdict(Offload.of(self.spec)),
            "flash_attention": self.spec.use_flash_attention,
            "context_length": self.spec.context_length,
            "parallel": self.options.parallel,
            "batch_invariant": self.spec.batch_invariant,
            "embedding": asdict(embedding) if embedding else None,
            "layout": {
                "threads": self._threads(),
                "lanes": setting.lanes,
                "pack_tokens": setting.pack_tokens,
                "openvino": setting.openvino,
                "openvino_absent": self._openvino_absent,
                "by_pieces": self._by_pieces,
            },
        }

    def _batch_setting(self) -> BatchSetting:
        """The setting given, else the measured one; a chat engine's own embedder is never measured."""
        precision = self.options.openvino if self.options.openvino in self._precisions else ""
        given = BatchSetting(self.options.embedding_lanes, self.options.pack_tokens, precision)
        embedding = self.spec.embedding
        if given != BatchSetting() or not self.options.batch_settings or not embedding:
            return given
        if embedding.pooling == RANK_POOLING:
            # Hits are few, and as long as each other: nothing to be won by measuring.
            return given
        remembered = BatchSettings(Path(self.options.batch_settings))
        # By processor time, which other work hardly changes; how lanes share the cores it does change.
        beside = partial(self._measure, layouts=False) if self._precisions else None
        found = remembered.setting(self.spec, self._threads(), self._measure, beside)
        return found if found.openvino in ("", *self._precisions) else BatchSetting()

    def _consider_openvino(self, header: GgufHeader) -> None:
        """Note whether OpenVINO could embed with this model, and what memory that takes."""
        shape, self._openvino_absent = None, ""
        wanted = self.options.openvino != NEVER and not self._openvino_crashed
        if wanted and self.spec.device in ("auto", "cpu"):
            shape, self._openvino_absent = judge_model(header, self.spec.embedding)
        self._precisions = PRECISIONS if shape else ()
        if shape and self._counted_bytes:
            self._counted_bytes += shape.memory_bytes

    def _measure(self, *, layouts: bool = True) -> BatchMeasurement:
        """Measure in a child of its own: memory it leaves behind, or a crash, ends with it."""
        child = ChildProcess(self._child_spec())
        try:
            child.wait_ready()
            child.request(
                "load", self.options.load_seconds, **self._parameters_with(BatchSetting())
            )
            found = child.request(
                "measure",
                self.options.measure_seconds,
                precisions=self._precisions,
                layouts=layouts,
            ).header
        finally:
            child.stop(0)
        setting = BatchSetting(**found["setting"])
        return BatchMeasurement(setting, found["trials"], disturbed=found["disturbed"])


class LlamaEngine(LlamaCppEngine):
    family = "llama"


class DeepSeekEngine(LlamaCppEngine):
    family = "deepseek"


class QwenEngine(LlamaCppEngine):
    family = "qwen"
