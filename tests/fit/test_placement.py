"""Where layers go, what a refusal says, and how long a context may be."""

from __future__ import annotations

from typing import Any

import pytest

from engines.fit.memory import PROCESS_BYTES, Load, estimate
from engines.fit.placement import (
    GPU_CONTEXT_BYTES,
    Where,
    longest_context,
    place,
    place_together,
    room_of,
)
from engines.fit.qwen3 import qwen3_model
from engines.machine import Gpu, Machine

GIB = 1024**3
LOAD = Load(8192)
DENSE = qwen3_model("qwen3-8b").shape()
TIED = qwen3_model("qwen3-4b").shape()


def machine(memory: float, *vram: float) -> Machine:
    gpus = tuple(Gpu("test", int(size * GIB)) for size in vram)
    return Machine(8, int(memory * GIB), gpus)


def test_without_a_gpu_everything_is_in_memory() -> None:
    found = place(DENSE, LOAD, machine(16))

    assert (found.where, found.gpu_layers, found.gpu_bytes) == (Where.MEMORY, 0, 0)
    assert found.memory_bytes == estimate(DENSE, LOAD).total
    assert found.reason == "It needs 6.2 GiB and fits into memory."


def test_a_large_gpu_takes_all_but_the_table() -> None:
    found = place(DENSE, LOAD, machine(4, 24))
    need = estimate(DENSE, LOAD)

    assert (found.where, found.gpu_layers) == (Where.GPU, 37)
    assert found.memory_bytes == PROCESS_BYTES + DENSE.table_bytes
    assert found.gpu_bytes == need.total - PROCESS_BYTES - DENSE.table_bytes


def test_a_tied_table_is_in_memory_and_on_the_gpu() -> None:
    found = place(TIED, LOAD, machine(4, 24))

    assert found.where is Where.GPU
    assert found.gpu_bytes + found.memory_bytes == estimate(TIED, LOAD).total + TIED.table_bytes


def test_a_small_gpu_takes_the_last_layers() -> None:
    found = place(DENSE, LOAD, machine(16, 4))
    budget = room_of(machine(16, 4)).vram
    layer = DENSE.layer_bytes[1] + 2 * 8 * 128 * 2 * 8192

    assert found.where is Where.SPLIT
    assert 0 < found.gpu_layers < 36
    assert budget - 2 * layer < found.gpu_bytes <= budget
    moved = found.gpu_bytes - found.estimate.compute
    assert found.memory_bytes == found.estimate.total - moved


def test_two_gpus_share_the_layers_and_each_computes() -> None:
    alone = place(DENSE, LOAD, machine(16, 5))
    both = place(DENSE, LOAD, machine(16, 5, 5))

    assert (alone.where, both.where) == (Where.SPLIT, Where.GPU)
    needs = both.estimate
    shared = needs.total - PROCESS_BYTES - DENSE.table_bytes + needs.compute
    assert both.gpu_bytes == shared


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    found = place(qwen3_model("qwen3-32b").shape(), LOAD, machine(16))

    assert not found.fits
    assert (found.gpu_layers, found.gpu_bytes) == (0, 0)
    assert found.reason == (
        "It needs 20.8 GiB and this host has 14.4 GiB of memory and 0.0 GiB on GPUs for engines."
    )


def test_memory_in_use_is_taken_away() -> None:
    assert place(DENSE, LOAD, machine(16), taken=8 * GIB).fits
    assert not place(DENSE, LOAD, machine(16), taken=9 * GIB).fits


def test_a_gpu_of_unknown_memory_is_not_counted_on() -> None:
    room = room_of(Machine(8, 16 * GIB, (Gpu("unknown", 0), Gpu("known", 8 * GIB))))

    assert room.gpu_count == 1
    assert room.vram == int(8 * GIB * 0.95) - GPU_CONTEXT_BYTES


def test_a_context_beyond_the_training_is_named() -> None:
    assert place(DENSE, Load(65_536), machine(64)).reason.endswith(
        "The model was trained for 32768 tokens only."
    )


@pytest.mark.parametrize("memory", [6, 8, 10])
def test_the_longest_context_fits_and_the_next_does_not(memory: int) -> None:
    host = machine(memory)
    longest = longest_context(TIED, LOAD, host)

    assert 0 < longest <= 32_768
    assert place(TIED, Load(longest), host).fits
    assert longest == 32_768 or not place(TIED, Load(longest + 256), host).fits


def test_no_context_fits_where_the_weights_do_not() -> None:
    assert longest_context(DENSE, LOAD, machine(4)) == 0


def test_the_answer_is_plain_values() -> None:
    answer: dict[str, Any] = place(DENSE, LOAD, machine(16)).as_dict()

    assert answer["where"] == "memory"
    assert answer["fits"] is True
    assert answer["needs"]["total"] == sum(
        answer["needs"][part]
        for part in ("weights", "kv_cache", "states", "compute", "process", "checkpoints")
    )


def test_two_engines_together_need_what_both_need() -> None:
    wanted = [(DENSE, LOAD), (TIED, LOAD)]
    both = estimate(DENSE, LOAD).total + estimate(TIED, LOAD).total

    fitting = place_together(wanted, Machine(8, int(both / 0.9) + 1))
    tight = place_together(wanted, Machine(8, int(both / 0.9) - GIB // 4))
    assert [found.fits for found in fitting] == [True, True]
    assert [found.fits for found in tight] == [True, False]


def test_the_second_engine_gets_what_the_first_left_of_the_gpu() -> None:
    roomy = place_together([(DENSE, LOAD), (TIED, LOAD)], machine(32, 24))
    tight = place_together([(DENSE, LOAD), (TIED, LOAD)], machine(32, 9))

    assert [found.where for found in roomy] == [Where.GPU, Where.GPU]
    assert [found.where for found in tight] == [Where.GPU, Where.SPLIT]
    assert sum(found.gpu_bytes for found in tight) < 9 * GIB
