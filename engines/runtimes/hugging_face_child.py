"""What an engine's child does with transformers: one operation per method."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from engines.exceptions import EngineError
from engines.runtimes.child_main import Job
from engines.runtimes.families import family_of
from engines.runtimes.frames import Frame
from engines.runtimes.generation import GenerationOptions
from engines.runtimes.hugging_face_embed import Embedder
from engines.runtimes.hugging_face_generate import Generator
from engines.runtimes.hugging_face_load import Loaded, Placement, load
from engines.runtimes.sandbox import cpu_limit
from engines.specs import EmbeddingSpec

OWN_EMBEDDING_TOKENS = 512
"""Limit of a chat model that is asked for a vector although nothing says how it embeds."""


class HuggingFaceHandler:
    """Holds one model, and another that embeds when the entry names one; made anew in each child."""

    def __init__(self) -> None:
        self._given: dict[str, Any] = {}
        self._model: Loaded | None = None
        self._generator: Generator | None = None
        self._embedder: Embedder | None = None
        self._seconds = 0.0
        self._operations: dict[str, Callable[[Job, dict[str, Any]], Frame]] = {
            "load": self._load,
            "generate": self._generate,
            "embed": self._embed,
            "count": self._count,
            "format": self._format,
        }

    def handle(self, job: Job) -> Frame:
        operation = self._operations.get(job.request.header["op"])
        if operation is None:
            raise EngineError(f"This engine has no operation {job.request.header['op']!r}.")
        return operation(job, job.request.header["parameters"])

    def _load(self, _job: Job, given: dict[str, Any]) -> Frame:
        started = time.monotonic()
        torch.set_num_threads(given["threads"])
        self._given = given
        with cpu_limit(given["cpu_seconds"]):
            generates = given["embedding"] is None or bool(given["embedding_path"])
            self._model = load(given["path"], self._placement(), generates=generates)
            if generates:
                self._generator = Generator(
                    self._model, given["context_length"], family_of(given["family"])
                )
            if given["embedding"] is not None or given["embedding_path"]:
                self._embedder = self._make_embedder(self._model)
        self._seconds = time.monotonic() - started
        return Frame({"info": self._info(self._model)})

    def _generate(self, job: Job, given: dict[str, Any]) -> Frame:
        generator = self._need_generator()
        options = GenerationOptions(**given["options"])
        text, templated = given["prompt"], False
        if given["messages"] is not None:
            text, templated = generator.format(given["messages"], thinking=options.thinking), True
        tokens = generator.tokens(text, from_template=templated)
        opened = generator.opens_reasoning(text)
        answer = generator.run(
            tokens, options, job.emit, job.cancelled.is_set, opens_reasoning=opened
        )
        return Frame({"generation": asdict(answer)})

    def _embed(self, _job: Job, given: dict[str, Any]) -> Frame:
        result = self._need_embedder().embed(given["texts"], query=given["query"])
        errors = {str(number): sentence for number, sentence in result.errors.items()}
        header = {"dimension": result.vectors.shape[1], "errors": errors}
        return Frame(header, result.vectors.tobytes())

    def _count(self, _job: Job, given: dict[str, Any]) -> Frame:
        return Frame({"counts": [self._need_model().count(text) for text in given["texts"]]})

    def _format(self, _job: Job, given: dict[str, Any]) -> Frame:
        return Frame({"prompt": self._need_generator().format(given["messages"])})

    def _placement(self) -> Placement:
        given = self._given
        return Placement(given["device"], given["quantization"], given["flash_attention"])

    def _need_model(self) -> Loaded:
        if self._model is None:
            raise EngineError("No model is loaded in this engine's process.")
        return self._model

    def _need_generator(self) -> Generator:
        if self._generator is None:
            raise EngineError("This engine only embeds text; choose a chat engine to generate.")
        return self._generator

    def _need_embedder(self) -> Embedder:
        """A chat engine's own embedder is made when it is first asked for a vector."""
        if self._embedder is None:
            self._embedder = self._make_embedder(self._need_model())
        return self._embedder

    def _make_embedder(self, model: Loaded) -> Embedder:
        path, given = self._given["embedding_path"], self._given["embedding"]
        if path:
            model = load(path, self._placement(), generates=False)
        spec = (
            EmbeddingSpec(**given)
            if given
            else EmbeddingSpec(dimension=model.dimension, max_tokens=OWN_EMBEDDING_TOKENS)
        )
        return Embedder(model, spec)

    def _info(self, model: Loaded) -> dict[str, Any]:
        generator, embedder = self._generator, self._embedder
        return {
            "pid": os.getpid(),
            "load_seconds": round(self._seconds, 3),
            **model.facts(),
            "embedding_length": embedder.dimension if embedder else model.dimension,
            "context_length": generator.context_length if generator else 0,
            "embedding_limit": embedder.limit if embedder else 0,
            "chat_template": bool(generator and generator.has_template),
            "threads": torch.get_num_threads(),
        }
