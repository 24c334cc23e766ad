"""The memory that a llama.cpp child may take, from its model's header."""

from __future__ import annotations

import os

from engines.exceptions import SamError
from engines.fit.embedding import EmbedContexts, contexts_of
from engines.fit.engine_need import load_of
from engines.fit.memory import Load
from engines.fit.model_shape import ModelShape
from engines.fit.process_limit import process_limit, unread_limit
from engines.gguf.header import GgufHeader
from engines.machine import Machine
from engines.runtimes.child.readable import gpu_devices
from engines.specs import RANK_POOLING, EngineSpec

EMBEDDING_TOKENS = 512
"""Of a chat engine that is asked for vectors, and of what is tried to find out how it embeds fastest."""
MAX_LANES = 32
MOST_OF_THE_MACHINE = 0


def memory_limit(spec: EngineSpec, header: GgufHeader, size: int, threads: int, pack: int) -> int:
    """Return the bytes besides mapped weights, ``size`` being the file's; 0 where a GPU may be used.

    A GPU's driver maps what nobody can count.
    """
    if spec.device != "cpu" and spec.gpu_layers and gpu_devices():
        return MOST_OF_THE_MACHINE
    try:
        shape = ModelShape.from_header(header)
        return process_limit(shape, *_contexts(spec, shape, pack), threads=4 * threads)
    except SamError:
        # Loading it says what is wrong.
        return unread_limit(size)


def _contexts(spec: EngineSpec, shape: ModelShape, pack: int) -> tuple[list[Load], EmbedContexts]:
    """The loads of one process, and the contexts of it that embed."""
    lanes = min(max(os.cpu_count() or 1, 1), MAX_LANES)
    tokens = max(spec.embedding.max_tokens if spec.embedding else 0, EMBEDDING_TOKENS, pack)
    ranks = spec.embedding is not None and spec.embedding.pooling == RANK_POOLING
    embedding = contexts_of(
        shape, tokens, lanes=lanes, pack=max(pack, EMBEDDING_TOKENS), whole=ranks
    )
    # Without flash attention where a model has none.
    loads = [embedding.load(flash_attention=False)]
    if not spec.embedding:
        machine = Machine(cores=lanes, memory_bytes=0)
        loads.append(load_of(spec, shape, machine))
    return loads, embedding
