"""Which models a machine should run, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engines.fit.memory import Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import GIB, Placement, Where, longest_context, place
from engines.fit.qwen3 import qwen3_models
from engines.machine import Gpu, Machine

MEMORY_BANDWIDTH = 20 * GIB
"""Bytes a second of a desktop's memory; every token reads all active weights once."""
COMFORTABLE_TOKENS = 5.0
"""Tokens a second; about as fast as people read."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that could be recommended."""

    model_id: str
    shape: ModelShape
    is_stored: bool = False
    """Whether the machine has the file already, so that the disk needs no room for it."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One model's answer; ``longest_context`` is in tokens for each request."""

    model_id: str
    recommended: bool
    reason: str
    longest_context: int
    placement: Placement

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "model_id": self.model_id,
            "recommended": self.recommended,
            "reason": self.reason,
            "longest_context": self.longest_context,
            "fit": self.placement.as_dict(),
        }


def recommend(
    candidates: Iterable[Candidate], machine: Machine, load: Load
) -> list[Recommendation]:
    """Judge all candidates: recommended ones first, the largest of them at the top."""
    # The largest that is fast enough is the best answer a machine can give.
    judged = [(_judge(candidate, machine, load), candidate) for candidate in candidates]
    judged.sort(key=lambda pair: (not pair[0].recommended, -pair[1].shape.weights_bytes))
    return [recommendation for recommendation, _ in judged]


def _judge(candidate: Candidate, machine: Machine, load: Load) -> Recommendation:
    found = place(candidate.shape, load, machine)
    slow = found.fits and is_slow(candidate.shape, found)
    stored = candidate.is_stored or _has_disk_for(candidate.shape, machine)
    reason = found.reason + (_slowness(candidate.shape) if slow else "")
    return Recommendation(
        model_id=candidate.model_id,
        recommended=found.fits and stored and not slow,
        reason=reason + ("" if stored else _shortage(candidate.shape, machine)),
        longest_context=longest_context(candidate.shape, load, machine),
        placement=found,
    )


def _has_disk_for(shape: ModelShape, machine: Machine) -> bool:
    """Whether the file could be downloaded; a machine whose disk is unknown is not judged by it."""
    return not machine.disk_free_bytes or shape.weights_bytes < machine.disk_free_bytes


def _shortage(shape: ModelShape, machine: Machine) -> str:
    needed, free = shape.weights_bytes / GIB, machine.disk_free_bytes / GIB
    return f" Its file has {needed:.1f} GiB and the disk {free:.1f} GiB free."


def is_slow(shape: ModelShape, found: Placement) -> bool:
    """Whether an engine that fits is expected to write more slowly than people read."""
    return found.where is not Where.GPU and _tokens_per_second(shape, found) < COMFORTABLE_TOKENS


def _tokens_per_second(shape: ModelShape, found: Placement) -> float:
    """Estimate from the memory's bandwidth; layers on a GPU take next to no time beside it."""
    in_memory = 1 - found.gpu_layers / (len(shape.layers) + 1)
    return MEMORY_BANDWIDTH / max(shape.active_bytes * in_memory, 1)


def _slowness(shape: ModelShape) -> str:
    return (
        f" Each token reads {shape.active_bytes / GIB:.1f} GiB of weights from memory, "
        f"so expect fewer than {COMFORTABLE_TOKENS:g} tokens a second."
    )


TIERS: dict[str, Machine] = {
    "CPU only, 16 GB": Machine(8, 16 * GIB),
    "GPU with 4 GB": Machine(8, 16 * GIB, (Gpu("4 GB", 4 * GIB),)),
    "GPU with 8 GB": Machine(8, 32 * GIB, (Gpu("8 GB", 8 * GIB),)),
    "GPU with 16 GB": Machine(8, 32 * GIB, (Gpu("16 GB", 16 * GIB),)),
    "GPU with 24 GB": Machine(16, 64 * GIB, (Gpu("24 GB", 24 * GIB),)),
    "GPU with 80 GB": Machine(32, 256 * GIB, (Gpu("80 GB", 80 * GIB),)),
}
"""Machines as people own them."""
TIER_LOAD = Load(8192)


def hardware_tiers() -> dict[str, list[Recommendation]]:
    """Return what each tier should run of the Qwen 3 family, largest first; computed, not listed."""
    candidates = [Candidate(model.model_id, model.shape()) for model in qwen3_models()]
    return {
        name: [found for found in recommend(candidates, machine, TIER_LOAD) if found.recommended]
        for name, machine in TIERS.items()
    }
