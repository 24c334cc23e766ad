"""What an engine's child does with llama.cpp: one operation per method."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError, SamError
from engines.fit.embedding import default_lanes
from engines.runtimes.base import Facts
from engines.runtimes.child.cpu_time import cpu_limit
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.handler import OWN_EMBEDDING_TOKENS, GenerationRequest, ModelHandler
from engines.runtimes.child.main import Job
from engines.runtimes.child.messages import (
    BatchSettingFields,
    GenerateParameters,
    Header,
    RankParameters,
)
from engines.runtimes.llama_cpp.devices import devices, gpu_names
from engines.runtimes.llama_cpp.embedding.autotune import find_fastest_layout
from engines.runtimes.llama_cpp.embedding.embedder import Embedder, EmbedLayout, Ranker
from engines.runtimes.llama_cpp.embedding.token_embedder import TokenEmbedder
from engines.runtimes.llama_cpp.generator import ContextLayout, Generator
from engines.runtimes.llama_cpp.native import MAX_REASON_CHARS, LoadedModel, load_model
from engines.runtimes.llama_cpp.parameters import (
    AdaptParameters,
    LayoutFields,
    LoadParameters,
    MeasureParameters,
)
from engines.runtimes.llama_cpp.prompts import Prompt
from engines.runtimes.notation.families import family_of, notation_facts
from engines.runtimes.offload import Offload
from engines.runtimes.text.generation import GenerationOptions
from engines.runtimes.text.printable import make_printable
from engines.runtimes.turns import Turns
from engines.specs import RANK_POOLING, EmbeddingSpec

if TYPE_CHECKING:
    from engines.runtimes.llama_cpp.embedding.openvino_embedder import (
        OpenVinoMaker,
        PrecisionResult,
    )

logger = logging.getLogger("engine")

OPENVINO = "engines.runtimes.llama_cpp.embedding.openvino_embedder"

READ_THREADS = 4
"""Long texts that are tokenized at the same time; another one waits for them, short ones do not."""
READ_AT_ONCE_CHARS = 32 * 1024
"""A longer text is tokenized in a thread: some take llama.cpp half a minute for each megabyte."""


@dataclass(frozen=True, slots=True)
class _OwnEmbedder:
    """llama.cpp's embedder of the loaded file."""

    path: Path
    spec: EmbeddingSpec
    embedder: Embedder


class LlamaHandler(ModelHandler[LoadedModel, Generator, TokenEmbedder]):
    """llama.cpp's handler; adapters are loaded in addition to the model and chosen per request."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = EmbedLayout(threads=1, lanes=1, pack_tokens=0)
        self._gpus: list[str] = []
        self._seconds = 0.0
        self._own: _OwnEmbedder | None = None
        self._openvino = self._openvino_problem = ""
        self._turns = Turns()
        self._read_threads = ThreadPoolExecutor(READ_THREADS, "read")
        self._operations["adapt"] = self._adapt
        self._operations["measure"] = self._measure
        self._operations["rank"] = self._rank

    def _load(self, _job: Job, given: LoadParameters) -> Frame:
        # A hostile file may keep native code busy for ever; SIGXCPU ends even that.
        with cpu_limit(given["cpu_seconds"]):
            return self._load_files(given)

    def _load_files(self, given: LoadParameters) -> Frame:
        started = time.monotonic()
        self._model = load_model(
            given["path"],
            Offload(**given["offload"]),
            flash_attention=given["flash_attention"],
        )
        self._gpus = gpu_names(Offload(**given["offload"]))
        self._layout = _layout(on_gpu=bool(self._gpus), given=given["layout"])
        if given["embedding"] is None:
            threads = self._layout.threads
            family = family_of(given["family"])
            context = ContextLayout(
                length=given["context_length"],
                parallel=given["parallel"],
                on_gpu=bool(self._gpus),
                apart=given["batch_invariant"],
            )
            self._generator = Generator(self._model, context, threads, family)
        else:
            spec = EmbeddingSpec(**given["embedding"])
            self._embedder = (
                Ranker(self._model, spec, self._layout)
                if spec.pooling == RANK_POOLING
                else self._fastest_embedder(self._model, spec, given)
            )
            self._embedder.turns = self._turns
        # Modules and a model are no garbage, and looking through them takes as long as some tokens.
        gc.freeze()
        self._seconds = time.monotonic() - started
        return Frame({"info": self._info(self._model)})

    def _fastest_embedder(
        self, model: LoadedModel, spec: EmbeddingSpec, given: LoadParameters
    ) -> TokenEmbedder:
        """llama.cpp's, or the one over OpenVINO where that was chosen and gives the same vectors."""
        self._own = _OwnEmbedder(Path(given["path"]), spec, Embedder(model, spec, self._layout))
        precision = given["layout"]["openvino"]
        if not precision or self._gpus:
            absent = given["layout"]["openvino_absent"]
            self._openvino_problem = make_printable(absent, MAX_REASON_CHARS)
            return self._own.embedder
        try:
            found = self._openvino_maker(model, self._own).make(precision)
        except (SamError, ImportError) as error:
            # Whatever the reason, llama.cpp's vectors are of the same space.
            self._openvino_problem = make_printable(str(error), MAX_REASON_CHARS)
            logger.warning("llama.cpp embeds: %s", self._openvino_problem)
            return self._own.embedder
        self._openvino = precision
        return found

    def _openvino_maker(self, model: LoadedModel, own: _OwnEmbedder) -> OpenVinoMaker:
        """Import OpenVINO, which takes half a second and memory that most engines have no use for."""
        module = importlib.import_module(OPENVINO)
        maker: OpenVinoMaker = module.OpenVinoMaker(own.path, model, own.spec, own.embedder)
        return maker

    def _adapt(self, _job: Job, given: AdaptParameters) -> Frame:
        with cpu_limit(given["cpu_seconds"]):
            self._need_generator().load_adapters(given["adapters"])
        return Frame({"adapters": self._need_generator().adapter_count})

    def _measure(self, _job: Job, given: MeasureParameters) -> Frame:
        """Who embeds fastest here, and in which layout; this child goes on as it was."""
        if self._own is None:
            raise EngineError("This engine's process was not loaded to embed.")
        raced = self._race(given["precisions"], self._own)
        if raced is not None and raced.precision:
            won: BatchSettingFields = {
                "lanes": 0,
                "pack_tokens": 0,
                "openvino": raced.precision,
            }
            return Frame({"setting": won, "trials": raced.trials, "disturbed": False})
        usual: BatchSettingFields = {"lanes": 0, "pack_tokens": 0, "openvino": ""}
        if not given["layouts"]:
            return Frame({"setting": usual, "trials": [], "disturbed": True})
        found = find_fastest_layout(self._own.embedder, on_gpu=bool(self._gpus))
        setting: BatchSettingFields = {
            "lanes": found.layout.lanes,
            "pack_tokens": found.layout.pack_tokens,
            "openvino": "",
        }
        return Frame({"setting": setting, "trials": found.trials, "disturbed": found.disturbed})

    def _race(self, precisions: Sequence[str], own: _OwnEmbedder) -> PrecisionResult | None:
        """Time OpenVINO against llama.cpp; None where it cannot compute."""
        if not precisions or self._gpus:
            return None
        try:
            maker = self._openvino_maker(self._need_model(), own)
        except ImportError as error:
            logger.warning("OpenVINO cannot be imported: %s", error)
            return None
        found: PrecisionResult = importlib.import_module(OPENVINO).find_fastest_precision(
            maker, precisions
        )
        return found

    def _rank(self, _job: Job, given: RankParameters) -> Frame:
        ranker = self._need_embedder()
        if not isinstance(ranker, Ranker):
            raise EngineError("This engine ranks no texts; choose a rank model.")
        found = ranker.rank(given["question"], given["texts"])
        header: Header = {"tokens": found.tokens, "cut": sorted(found.cut)}
        return Frame(header, found.scores.astype("<f4").tobytes())

    def handle(self, job: Job) -> Frame | None:
        """Handle a request; vectors are computed in another thread, with contexts of their own."""
        operation = job.request.header["op"]
        if operation in ("embed", "rank"):
            work = partial(job.answer, partial(super().handle, job))
            self._turns.submit(work, len(job.request.header["parameters"]["texts"]))
            return None
        if operation == "generate":
            # Not through super(): it would report the request as begun while it waits for a slot.
            return self._generate(job, job.request.header["parameters"])
        return super().handle(job)

    def proceed(self) -> bool:
        return self._generator is not None and self._generator.proceed()

    def _answer(self, job: Job, request: GenerationRequest, given: GenerateParameters) -> None:
        generator = self._need_generator()
        begin = partial(self._begin, job, request.options, given)
        read = partial(generator.read, request.text, from_template=request.from_template)
        if len(request.text) <= READ_AT_ONCE_CHARS:
            begin(read())
            return
        # The scheduler belongs to the main thread.
        self._read_apart(job, len(request.text), lambda: job.continue_with(partial(begin, read())))

    def _begin(
        self, job: Job, options: GenerationOptions, given: GenerateParameters, prompt: Prompt
    ) -> None:
        # JSON has no tuples, and slots with equal adapters are found by comparing them.
        adapters = tuple((digest, path, scale) for digest, path, scale in given["adapters"])
        self._need_generator().begin(job, prompt, options, adapters)

    def _read_apart(self, job: Job, chars: int, work: Callable[[], Frame | None]) -> Frame | None:
        """Tokenize a long text in a thread; ctypes lets the others go on meanwhile."""
        if chars <= READ_AT_ONCE_CHARS:
            return work()
        self._read_threads.submit(job.answer, work)
        return None

    def _tokens_of(self, model: LoadedModel, text: str) -> int:
        return len(model.tokenize(text, add_special=False, parse_special=False))

    def _make_embedder(self, model: LoadedModel) -> TokenEmbedder:
        spec = EmbeddingSpec(dimension=model.dimension, max_tokens=OWN_EMBEDDING_TOKENS)
        embedder = Embedder(model, spec, self._layout)
        embedder.turns = self._turns
        return embedder

    def _info(self, model: LoadedModel) -> Facts:
        generator, embedder = self._generator, self._embedder
        return {
            "pid": os.getpid(),
            "load_seconds": round(self._seconds, 3),
            "architecture": model.description(),
            "parameters": int(api.llama_model_n_params(model.handle)),
            "size_bytes": int(api.llama_model_size(model.handle)),
            "vocabulary": int(api.llama_vocab_n_tokens(model.vocab)),
            "embedding_length": model.dimension,
            "context_length": generator.context_length if generator else 0,
            "batch_invariant": generator is not None and generator.is_batch_invariant,
            "training_context_length": model.context_limit,
            "embedding_limit": embedder.limit if embedder else 0,
            "chat_template": generator is not None and generator.has_template,
            **({"notation": notation_facts(generator.notation)} if generator else {}),
            "gpu_offload": bool(api.llama_supports_gpu_offload()),
            "offloaded_layers": model.log.offloaded or "0",
            "devices": [device.name for device in devices()],
            "gpus": self._gpus,
            "threads": self._layout.threads,
            "embedding_lanes": self._layout.lanes,
            "openvino": self._openvino,
            "openvino_problem": self._openvino_problem,
            "pack_tokens": self._layout.pack_tokens,
        }


def _layout(*, on_gpu: bool, given: LayoutFields) -> EmbedLayout:
    lanes = 1 if given["by_pieces"] else default_lanes(given["threads"], on_gpu=on_gpu)
    return EmbedLayout(
        threads=given["threads"],
        lanes=given["lanes"] or lanes,
        pack_tokens=given["pack_tokens"],
        by_pieces=given["by_pieces"],
    )
