"""What an engine's child does with a folder's embedder: one operation per method."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from engines.exceptions import EngineError
from engines.runtimes.base import Facts
from engines.runtimes.child.cpu_time import cpu_limit
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.handler import OWN_EMBEDDING_TOKENS, GenerationRequest, ModelHandler
from engines.runtimes.child.main import Job
from engines.runtimes.child.messages import GenerateParameters
from engines.runtimes.openvino.embedder import FolderEmbedder
from engines.runtimes.openvino.folder import TOKENIZER, EmbedderFolder, read_folder
from engines.runtimes.openvino.network import Network
from engines.runtimes.openvino.parameters import LoadParameters
from engines.runtimes.openvino.precision import make_fastest
from engines.runtimes.openvino.tokenizer import TextTokenizer
from engines.runtimes.turns import Turns
from engines.specs import DEFAULT_POOLING, EmbeddingSpec


@dataclass(frozen=True, slots=True)
class LoadedFolder:
    """A model that is ready to embed."""

    folder: EmbedderFolder
    tokenizer: TextTokenizer
    network: Network
    precision: str


class OpenVinoHandler(ModelHandler[LoadedFolder, NoReturn, FolderEmbedder]):
    """The handler of a model that only embeds."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = Turns()

    def _load(self, _job: Job, given: LoadParameters) -> Frame:
        started = time.monotonic()
        # A hostile file may keep native code busy for ever; SIGXCPU ends even that.
        with cpu_limit(given["cpu_seconds"]):
            folder = read_folder(Path(given["path"]))
            spec = EmbeddingSpec(**given["embedding"]) if given["embedding"] else _own_spec(folder)
            tokenizer = TextTokenizer(folder.path / TOKENIZER, folder.shape.vocabulary)
            stated = folder.shape.pooling or DEFAULT_POOLING
            network, precision = make_fastest(
                folder,
                stated if spec.pooling == "model" else spec.pooling,
                precision=given["precision"],
                limit=folder.limit,
                threads=given["threads"],
            )
            self._model = LoadedFolder(folder, tokenizer, network, precision)
            self._embedder = FolderEmbedder(
                network, tokenizer, spec, limit=folder.limit, turns=self._turns
            )
        info = self._info(self._model, self._embedder, given["threads"])
        return Frame({"info": {**info, "load_seconds": round(time.monotonic() - started, 3)}})

    def handle(self, job: Job) -> Frame | None:
        """Handle a request; vectors are computed in another thread, few texts between the batches of many."""
        if job.request.header["op"] == "embed":
            work = partial(job.answer, partial(super().handle, job))
            self._turns.submit(work, len(job.request.header["parameters"]["texts"]))
            return None
        return super().handle(job)

    def _answer(self, job: Job, asked: GenerationRequest, given: GenerateParameters) -> NoReturn:
        raise EngineError("This engine only embeds text; choose a chat engine to generate.")

    def _tokens_of(self, model: LoadedFolder, text: str) -> int:
        return model.tokenizer.count(text)

    def _make_embedder(self, model: LoadedFolder) -> FolderEmbedder:
        spec = _own_spec(model.folder)
        limit = model.folder.limit
        return FolderEmbedder(model.network, model.tokenizer, spec, limit=limit, turns=self._turns)

    def _info(self, model: LoadedFolder, embedder: FolderEmbedder, threads: int) -> Facts:
        shape = model.folder.shape
        return {
            "pid": os.getpid(),
            "architecture": shape.architecture,
            "parameters": shape.elements,
            "vocabulary": shape.vocabulary,
            "embedding_length": shape.width,
            "training_context_length": model.folder.limit,
            "context_length": 0,
            "embedding_limit": embedder.limit,
            "pooling": shape.pooling,
            "openvino": model.precision,
            "gpu_offload": False,
            "chat_template": False,
            "threads": threads,
        }


def _own_spec(folder: EmbedderFolder) -> EmbeddingSpec:
    """How a model embeds of which no catalog says anything."""
    return EmbeddingSpec(
        dimension=folder.shape.width,
        max_tokens=min(folder.limit, OWN_EMBEDDING_TOKENS),
        pooling=folder.shape.pooling or DEFAULT_POOLING,
        query_prefix=folder.rules.query_prompt,
        document_prefix=folder.rules.document_prompt,
    )
