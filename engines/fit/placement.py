"""Decides whether a model fits a machine, and where its layers go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from engines.fit.memory import Load, MemoryEstimate, compute_bytes, estimate, layer_cache_bytes
from engines.fit.model_shape import ModelShape
from engines.machine import Machine

MEMORY_SHARE = 0.9
"""Of a machine's memory; the rest is the system's and SAM's own."""
VRAM_SHARE = 0.95
GPU_CONTEXT_BYTES = 512 * 1024**2
"""What a driver takes on each GPU before anything is loaded."""
CONTEXT_STEP = 256
GIB = 1024**3


class Where(StrEnum):
    """Where an engine's layers are computed."""

    GPU = "gpu"
    SPLIT = "gpu_and_memory"
    MEMORY = "memory"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Placement:
    """The answer for one model, load and machine; ``reason`` is a sentence."""

    where: Where
    gpu_layers: int
    """As llama.cpp counts them: all layers and the output are one more than the layers."""
    gpu_bytes: int
    memory_bytes: int
    reason: str
    estimate: MemoryEstimate
    is_exact: bool

    @property
    def fits(self) -> bool:
        return self.where is not Where.NOWHERE

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        needs = {**asdict(self.estimate), "total": self.estimate.total}
        own = {**asdict(self), "where": str(self.where), "fits": self.fits}
        del own["estimate"]
        return {**own, "needs": needs}


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes engines may use."""

    memory: int
    vram: int
    gpu_count: int = 0


def room_of(machine: Machine) -> Room:
    """Return what is left when system and drivers have their share."""
    known = [gpu.vram_bytes for gpu in machine.gpus if gpu.vram_bytes]
    vram = sum(max(int(size * VRAM_SHARE) - GPU_CONTEXT_BYTES, 0) for size in known)
    return Room(int(machine.memory_bytes * MEMORY_SHARE), vram, len(known))


def place(shape: ModelShape, load: Load, machine: Machine, *, taken: int = 0) -> Placement:
    """Place as many layers as possible on GPUs and the rest in memory.

    ``taken`` bytes of memory are in use by other engines that must stay.
    """
    room = room_of(machine)
    need = estimate(shape, load)
    layers, moved = _offloaded(shape, load, room)
    in_memory = _in_memory(shape, need, layers, moved)
    where = _where(shape, layers) if in_memory + taken <= room.memory else Where.NOWHERE
    if where is Where.NOWHERE:
        # A part on the GPU does not help when the rest fits nowhere.
        layers = 0
    on_gpu = moved + need.compute * room.gpu_count if layers else 0
    reason = _reason(where, need, room, taken) + _context_note(shape, load)
    return Placement(where, layers, on_gpu, in_memory, reason, need, shape.is_exact)


def _where(shape: ModelShape, layers: int) -> Where:
    if layers > len(shape.layers):
        return Where.GPU
    return Where.SPLIT if layers else Where.MEMORY


def place_together(wanted: Sequence[tuple[ModelShape, Load]], machine: Machine) -> list[Placement]:
    """Place engines one after the other, each in what those before it have left."""
    placements: list[Placement] = []
    left, taken = machine, 0
    # In the order given: engines are started one after the other, and none is moved for a later one.
    for shape, load in wanted:
        found = place(shape, load, left, taken=taken)
        placements.append(found)
        taken += found.memory_bytes
        left = _without(left, found.gpu_bytes)
    return placements


def _without(machine: Machine, used: int) -> Machine:
    """Take bytes from the GPUs evenly; every engine's process has a context of its own there."""
    if not used:
        return machine
    count = sum(1 for gpu in machine.gpus if gpu.vram_bytes)
    share = used // count + GPU_CONTEXT_BYTES
    gpus = (replace(gpu, vram_bytes=max(gpu.vram_bytes - share, 0)) for gpu in machine.gpus)
    return replace(machine, gpus=tuple(gpus))


def longest_context(shape: ModelShape, load: Load, machine: Machine) -> int:
    """Return the longest context each request could have, in tokens; 0 when none fits.

    Never longer than the model was trained for, where its file says that.
    """
    limit = shape.context_length or load.context_length
    low, high = 0, max(limit // CONTEXT_STEP, 1)
    # Memory grows with the context, so the longest that fits is found by bisection.
    while low < high:
        middle = (low + high + 1) // 2
        asked = replace(load, context_length=middle * CONTEXT_STEP)
        if place(shape, asked, machine).fits:
            low = middle
        else:
            high = middle - 1
    return min(low * CONTEXT_STEP, limit)


def _offloaded(shape: ModelShape, load: Load, room: Room) -> tuple[int, int]:
    """How many layers fit on GPUs, from the last one on, and their bytes; the output comes last."""
    each = _layer_needs(shape, load)
    # A layer is not split, so each GPU but one may have almost a layer's room left over; each of them
    # needs memory to compute in.
    waste = max(room.gpu_count - 1, 0) * max(each, default=0)
    budget = room.vram - waste - compute_bytes(shape, load) * room.gpu_count
    output = shape.output_bytes + (shape.table_bytes if shape.is_tied else 0)
    # From the last layer on, as llama.cpp does it.
    layers, moved = 0, 0
    for need in [*reversed(each), output] if room.gpu_count else []:
        if moved + need > budget:
            break
        layers, moved = layers + 1, moved + need
    return layers, moved


def _layer_needs(shape: ModelShape, load: Load) -> list[int]:
    return [
        weights + layer_cache_bytes(layer, load) + layer.state_bytes * load.parallel * load.contexts
        for weights, layer in zip(shape.layer_bytes, shape.layers, strict=True)
    ]


def _in_memory(shape: ModelShape, need: MemoryEstimate, layers: int, moved: int) -> int:
    """What stays in memory; a tied table is there as well as on the GPU."""
    if layers > len(shape.layers):
        return need.process + need.checkpoints + shape.table_bytes
    return need.total - moved


def _reason(where: Where, need: MemoryEstimate, room: Room, taken: int) -> str:
    has = f"{_gib(room.memory - taken)} of memory and {_gib(room.vram)} on GPUs"
    match where:
        case Where.GPU:
            return f"It needs {_gib(need.total)} and fits on the GPU."
        case Where.SPLIT:
            return f"It needs {_gib(need.total)}: a part fits on the GPU, the rest into memory."
        case Where.MEMORY:
            return f"It needs {_gib(need.total)} and fits into memory."
        case Where.NOWHERE:
            return f"It needs {_gib(need.total)} and this host has {has} for engines."


def _context_note(shape: ModelShape, load: Load) -> str:
    if not 0 < shape.context_length < load.context_length:
        return ""
    return f" The model was trained for {shape.context_length} tokens only."


def _gib(size: int) -> str:
    return f"{max(size, 0) / GIB:.1f} GiB"
