"""What SAM's own engines take of a host, with the context and the devices they really get."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engines.fit.embedding import contexts_of, default_lanes
from engines.fit.memory import GPU_PROMPT_BATCH, PROMPT_BATCH, Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import place
from engines.machine import Machine
from engines.specs import ANSWERS_AT_ONCE, RANK_POOLING, EngineSpec

GUESS_FACTOR = 1.2
"""Memory of a loaded model over its files' size, where nobody can read their header."""
SHORTEST_CONTEXT = 512
"""Tokens of a model that does not say how many it was trained for."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of a host's memory and of its GPUs that one engine takes."""

    memory: int
    vram: int = 0
    without_gpus: int = 0
    """Bytes of memory when the engine finds no GPU it can use."""

    @property
    def takes_anything(self) -> bool:
        return self.memory > 0 or self.vram > 0


def load_of(spec: EngineSpec, shape: ModelShape, machine: Machine) -> Load:
    """Return the load an engine of SAM gets: one context for all it answers at once, or one for each.

    An embedder gets as many contexts as keep the machine's cores busy.
    """
    if spec.embedding:
        lanes = default_lanes(spec.threads or machine.cores, on_gpu=_uses_gpus(spec, machine))
        ranks = spec.embedding.pooling == RANK_POOLING
        contexts = contexts_of(shape, spec.embedding.max_tokens, lanes=lanes, whole=ranks)
        return contexts.load(flash_attention=spec.use_flash_attention)
    known = [tokens for tokens in (spec.context_length, shape.context_length) if tokens]
    length = min(known, default=SHORTEST_CONTEXT)
    return Load(
        length,
        parallel=ANSWERS_AT_ONCE,
        batch=GPU_PROMPT_BATCH if _uses_gpus(spec, machine) else PROMPT_BATCH,
        shared=not spec.batch_invariant,
        has_checkpoints=True,
    )


def need_of(spec: EngineSpec, shape: ModelShape | None, size: int, machine: Machine) -> Need:
    """Return what an engine takes of an otherwise empty machine; ``size`` is its files' bytes."""
    if shape is None:
        guess = int(size * GUESS_FACTOR)
        return Need(guess, without_gpus=guess)
    usable = machine if _uses_gpus(spec, machine) else replace(machine, gpus=())
    found = place(shape, load_of(spec, shape, usable), usable)
    total = found.estimate.total
    if not found.fits:
        # Planned for memory: the pool refuses what is larger than the host, with a sentence.
        return Need(total, without_gpus=total)
    return Need(found.memory_bytes, found.gpu_bytes, total)


def _uses_gpus(spec: EngineSpec, machine: Machine) -> bool:
    return bool(machine.gpus and spec.gpu_layers and spec.device != "cpu")
