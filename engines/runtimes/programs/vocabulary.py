"""What the child beside a llama-server does: prompts and texts as tokens. The server computes with them.

It reads the file as the child of llama_cpp does, in the same box, and loads the vocabulary alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError
from engines.runtimes.base import EmbeddingBatch, Facts
from engines.runtimes.child.cpu_time import cpu_limit
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.handler import GenerationRequest, ModelHandler
from engines.runtimes.child.main import Job
from engines.runtimes.child.messages import EmbedParameters, GenerateParameters, Header
from engines.runtimes.llama_cpp.embedding.token_embedder import WindowReader
from engines.runtimes.llama_cpp.native import Vocabulary, load_vocabulary
from engines.runtimes.llama_cpp.prompts import PromptMaker
from engines.runtimes.notation.families import family_of, notation_facts
from engines.runtimes.text.response_format import Json
from engines.specs import EmbeddingSpec

TOKEN = np.dtype("<i4")


class VocabularyParameters(TypedDict):
    path: str
    cpu_seconds: int
    family: str
    context_length: int
    training_context_length: int
    dimension: int
    embedding: Json
    """The fields of EmbeddingSpec."""
    answers: bool
    """Whether the engine is one that answers."""


class _Reader(WindowReader):
    """As an embedder, without computing."""

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        raise EngineError(f"{len(texts)} texts are embedded by llama-server (query: {query}).")


class VocabularyHandler(ModelHandler[Vocabulary, PromptMaker, _Reader]):
    """Holds a vocabulary and a chat template."""

    def _load(self, _job: Job, given: VocabularyParameters) -> Frame:
        # As for llama_cpp: a hostile file may keep native code busy for ever.
        with cpu_limit(given["cpu_seconds"]):
            started = time.monotonic()
            self._model = load_vocabulary(
                given["path"],
                context_limit=given["training_context_length"],
                dimension=given["dimension"],
            )
            self._embedder = _Reader(self._model, EmbeddingSpec(**given["embedding"]))
            if given["answers"]:
                family = family_of(given["family"])
                self._generator = PromptMaker(self._model, given["context_length"], family)
        return Frame({"info": self._info(self._model, time.monotonic() - started)})

    def _info(self, model: Vocabulary, seconds: float) -> Facts:
        writer = self._generator
        return {
            "architecture": model.description(),
            "vocabulary": int(api.llama_vocab_n_tokens(model.vocab)),
            "read_seconds": round(seconds, 3),
            "embedding_length": model.dimension,
            "context_length": writer.context_length if writer else 0,
            "training_context_length": model.context_limit,
            "embedding_limit": self._need_embedder().limit,
            "chat_template": writer is not None and writer.has_template,
            **({"notation": notation_facts(writer.notation)} if writer else {}),
            "mark_texts": [mark.decode() for mark in writer.marks.values()] if writer else [],
        }

    def _answer(self, _job: Job, asked: GenerationRequest, _given: GenerateParameters) -> Frame:
        """The prompt's tokens, and what it has written of the answer."""
        prompt = self._need_generator().read(asked.text, from_template=asked.from_template)
        end: Facts = {
            "opens_reasoning": prompt.end.opens_reasoning,
            "opened": prompt.end.opened,
        }
        return Frame({"info": end}, np.array(prompt.tokens, TOKEN).tobytes())

    def _embed(self, _job: Job, given: EmbedParameters) -> Frame:
        """The tokens of each text's windows."""
        found = self._need_embedder().split(given["texts"], query=given["query"])
        windows = [tokens for _, tokens in found.work]
        header: Header = {
            "errors": {str(number): sentence for number, sentence in found.errors.items()},
            "cut": sorted(found.cut),
            "info": {"owners": found.owners, "sizes": [len(tokens) for tokens in windows]},
        }
        tokens = np.concatenate([np.empty(0, TOKEN), *(np.array(w, TOKEN) for w in windows)])
        return Frame(header, tokens.astype(TOKEN).tobytes())

    def _tokens_of(self, model: Vocabulary, text: str) -> int:
        return len(model.tokenize(text, add_special=False, parse_special=False))

    def _make_embedder(self, model: Vocabulary) -> _Reader:
        raise EngineError(f"No embedder was loaded with this vocabulary ({model.description()}).")
