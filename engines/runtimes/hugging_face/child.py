"""What an engine's child does with transformers: one operation per method."""

from __future__ import annotations

import os
import time
from dataclasses import asdict

import torch

from engines.runtimes.base import Facts
from engines.runtimes.child.cpu_time import cpu_limit
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.handler import OWN_EMBEDDING_TOKENS, GenerationRequest, ModelHandler
from engines.runtimes.child.main import Job
from engines.runtimes.child.messages import GenerateParameters
from engines.runtimes.hugging_face.embedder import Embedder
from engines.runtimes.hugging_face.generator import Generator
from engines.runtimes.hugging_face.loading import Checkpoint, LoadSettings, load_checkpoint
from engines.runtimes.hugging_face.parameters import LoadParameters
from engines.runtimes.notation.families import family_of, notation_facts
from engines.specs import EmbeddingSpec


class HuggingFaceHandler(ModelHandler[Checkpoint, Generator, Embedder]):
    """transformers' handler; another model embeds when the entry names one."""

    _given: LoadParameters
    """Set when the model is loaded, which comes first."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0

    def _load(self, _job: Job, given: LoadParameters) -> Frame:
        started = time.monotonic()
        # torch takes all cores of the machine otherwise, also where a container may use two.
        torch.set_num_threads(given["threads"])
        self._given = given
        # A hostile file may keep native code busy for ever; SIGXCPU ends even that.
        with cpu_limit(given["cpu_seconds"]):
            generates = given["embedding"] is None or bool(given["embedding_path"])
            self._model = load_checkpoint(given["path"], self._load_settings(), generates=generates)
            if generates:
                self._generator = Generator(
                    self._model, given["context_length"], family_of(given["family"])
                )
            if given["embedding"] is not None or given["embedding_path"]:
                self._embedder = self._make_embedder(self._model)
        self._seconds = time.monotonic() - started
        return Frame({"info": self._info(self._model)})

    def _answer(self, job: Job, request: GenerationRequest, _given: GenerateParameters) -> Frame:
        generator = self._need_generator()
        tokens = generator.tokens(request.text, from_template=request.from_template)
        reader = generator.reader_of(
            request.text, request.options, from_template=request.from_template
        )
        generation = generator.run(tokens, request.options, reader, job.emit, job.cancelled.is_set)
        return Frame({"generation": asdict(generation)})

    def _tokens_of(self, model: Checkpoint, text: str) -> int:
        return model.count(text)

    def _load_settings(self) -> LoadSettings:
        given = self._given
        return LoadSettings(given["device"], given["quantization"], given["flash_attention"])

    def _make_embedder(self, model: Checkpoint) -> Embedder:
        path, given = self._given["embedding_path"], self._given["embedding"]
        if path:
            model = load_checkpoint(path, self._load_settings(), generates=False)
        spec = (
            EmbeddingSpec(**given)
            if given
            else EmbeddingSpec(dimension=model.dimension, max_tokens=OWN_EMBEDDING_TOKENS)
        )
        return Embedder(model, spec)

    def _info(self, model: Checkpoint) -> Facts:
        generator, embedder = self._generator, self._embedder
        return {
            "pid": os.getpid(),
            "load_seconds": round(self._seconds, 3),
            **model.facts(),
            "embedding_length": embedder.dimension if embedder else model.dimension,
            "context_length": generator.context_length if generator else 0,
            "embedding_limit": embedder.limit if embedder else 0,
            "chat_template": bool(generator and generator.has_template),
            **({"notation": notation_facts(generator.notation)} if generator else {}),
            "threads": torch.get_num_threads(),
        }
