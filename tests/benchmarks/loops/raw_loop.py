"""The fastest loops over llama.cpp that we know, without SAM: a process that is told what to run.

``python -m tests.benchmarks.loops.raw_loop MODEL TEXTS`` loads the model and reads one RawSetting per line from
standard input, as JSON; for each it answers with the seconds that all texts took. Loading the model and
making contexts is not counted, reading tokens is.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from llama_cpp import Llama
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

LIMIT = 512
"""Tokens of a text, and of a context; what all-MiniLM-L6-v2 was trained for."""
MOST_SEQUENCES = 64

Numbered = tuple[int, list[int]]


@dataclass(frozen=True, slots=True)
class RawSetting:
    """One way to embed a list."""

    flash: bool = False
    pack: int = 1
    """Tokens up to which texts share one call; 1 means one text per call."""
    contexts: int = 1
    threads: int = 1
    """Of each context."""
    default: bool = False
    """``Llama.embed(list)`` as the library comes; the rest is not looked at."""
    texts: int = 0
    """How many of the texts; 0 means all."""

    def __str__(self) -> str:
        if self.default:
            return "Llama.embed(list), its defaults"
        flash = "flash on" if self.flash else "flash off"
        return f"{flash}, packs of {self.pack}, {self.contexts} × {self.threads} threads"


def seconds_of(path: str, texts: Sequence[str], setting: RawSetting) -> tuple[float, Any]:
    """Time one pass; returns seconds and the vectors (n, d), of length 1."""
    if setting.default:
        return _seconds_of_default(path, texts)
    loop = _RawLoop(path, setting)
    begun = time.perf_counter()
    vectors = loop.embed(texts)
    return time.perf_counter() - begun, vectors


def _seconds_of_default(path: str, texts: Sequence[str]) -> tuple[float, Any]:
    model = Llama(path, embedding=True, verbose=False)
    begun = time.perf_counter()
    vectors = np.array(model.embed(list(texts), normalize=True), np.float32)
    seconds = time.perf_counter() - begun
    model.close()
    return seconds, vectors


class _RawLoop:
    """Contexts of one model that share a queue of packs."""

    def __init__(self, path: str, setting: RawSetting) -> None:
        parameters = api.llama_model_default_params()
        self._setting = setting
        self._model = api.llama_model_load_from_file(path.encode(), parameters)
        self._vocab = api.llama_model_get_vocab(self._model)
        self._dimension = int(api.llama_model_n_embd(self._model))
        self._contexts = [self._context() for _ in range(setting.contexts)]

    def _context(self) -> Any:
        parameters = api.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = LIMIT
        parameters.n_seq_max = MOST_SEQUENCES
        parameters.n_threads = parameters.n_threads_batch = self._setting.threads
        parameters.embeddings = True
        parameters.kv_unified = True
        parameters.flash_attn_type = (
            api.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if self._setting.flash
            else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        return api.llama_init_from_model(self._model, parameters)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self._dimension), np.float32)
        packs: SimpleQueue[list[Numbered]] = SimpleQueue()
        for pack in self._packs(texts):
            packs.put(pack)
        with ThreadPoolExecutor(len(self._contexts)) as pool:
            list(pool.map(lambda context: self._drain(context, packs, vectors), self._contexts))
        for context in self._contexts:
            api.llama_free(context)
        api.llama_model_free(self._model)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _packs(self, texts: Sequence[str]) -> Iterator[list[Numbered]]:
        pack: list[Numbered] = []
        size = 0
        for item in enumerate(map(self._tokens, texts)):
            if pack and (size + len(item[1]) > self._setting.pack or len(pack) == MOST_SEQUENCES):
                yield pack
                pack, size = [], 0
            pack.append(item)
            size += len(item[1])
        if pack:
            yield pack

    def _tokens(self, text: str) -> list[int]:
        data = text.encode()
        room = len(data) + 8
        tokens = (api.llama_token * room)()
        count = api.llama_tokenize(self._vocab, data, len(data), tokens, room, True, False)
        return tokens[:count] if count <= LIMIT else [*tokens[: LIMIT - 1], tokens[count - 1]]

    def _drain(
        self, context: Any, packs: SimpleQueue[list[Numbered]], vectors: NDArray[np.float32]
    ) -> None:
        batch = api.llama_batch_init(LIMIT, 0, 1)
        while True:
            try:
                pack = packs.get_nowait()
            except Empty:
                api.llama_batch_free(batch)
                return
            _fill(batch, [tokens for _, tokens in pack])
            if api.llama_decode(context, batch):
                raise RuntimeError("llama.cpp refused a pack")
            for place, (number, _) in enumerate(pack):
                pointer = api.llama_get_embeddings_seq(context, place)
                vectors[number] = np.ctypeslib.as_array(pointer, (self._dimension,))


def _fill(batch: Any, pack: Sequence[Sequence[int]]) -> None:
    """Write a pack by whole arrays: a Python step per token would be counted against the loop."""
    tokens = np.concatenate([np.asarray(text, np.int32) for text in pack])
    positions = np.concatenate([np.arange(len(text), dtype=np.int32) for text in pack])
    sequences = np.repeat(np.arange(len(pack), dtype=np.int32), [len(text) for text in pack])
    count = len(tokens)
    ctypes.memmove(batch.token, tokens.ctypes.data, tokens.nbytes)
    ctypes.memmove(batch.pos, positions.ctypes.data, positions.nbytes)
    ctypes.memset(batch.logits, 1, count)
    for place, sequence in enumerate(sequences.tolist()):
        batch.n_seq_id[place] = 1
        batch.seq_id[place][0] = sequence
    batch.n_tokens = count


def main() -> None:
    """Answer settings until standard input ends."""
    silent = api.llama_log_callback(lambda _level, _text, _data: None)
    api.llama_log_set(silent, ctypes.c_void_p(0))
    path, source = sys.argv[1:]
    texts: list[str] = json.loads(Path(source).read_text())
    for line in sys.stdin:
        setting = RawSetting(**json.loads(line))
        seconds, vectors = seconds_of(path, texts[: setting.texts or None], setting)
        del vectors
        gc.collect()
        sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
