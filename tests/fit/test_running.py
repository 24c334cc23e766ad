"""What SAM's own engines take: the context they really get, counted once, where it really goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.fit.engine_need import Need, load_of, need_of
from engines.fit.memory import GPU_PROMPT_BATCH, PROMPT_BATCH, Load, estimate
from engines.fit.qwen3 import qwen3_model
from engines.machine import Gpu, Machine
from engines.specs import ANSWERS_AT_ONCE, EmbeddingSpec, EngineSpec

GIB = 1024**3
SHAPE = qwen3_model("qwen3-4b").shape()
ENCODER = replace(SHAPE, architecture="bert", looks_back=False)
SPEC = EngineSpec("qwen", "Qwen", "/qwen.gguf")
LAPTOP = Machine(8, 16 * GIB)


def shared(context_length: int, batch: int = PROMPT_BATCH) -> Load:
    return Load(
        context_length,
        parallel=ANSWERS_AT_ONCE,
        batch=batch,
        shared=True,
        has_checkpoints=True,
    )


@pytest.mark.parametrize(
    ("asked", "trained", "counted"),
    [(4096, 32_768, 4096), (0, 32_768, 32_768), (65_536, 32_768, 32_768), (0, 0, 512)],
)
def test_the_context_is_the_one_the_engine_makes(asked: int, trained: int, counted: int) -> None:
    spec, shape = replace(SPEC, context_length=asked), replace(SHAPE, context_length=trained)

    assert load_of(spec, shape, LAPTOP) == shared(counted)


def test_a_prompt_is_read_in_longer_pieces_on_a_gpu_only() -> None:
    spec, server = replace(SPEC, context_length=4096), replace(LAPTOP, gpus=(Gpu("x", 24 * GIB),))

    assert load_of(spec, SHAPE, server) == shared(4096, GPU_PROMPT_BATCH)
    assert load_of(replace(spec, device="cpu"), SHAPE, server) == shared(4096)
    assert load_of(replace(spec, gpu_layers=0), SHAPE, server) == shared(4096)


def test_batch_invariant_answers_take_a_cache_each() -> None:
    spec = replace(SPEC, context_length=8192)
    each = replace(spec, batch_invariant=True)

    assert load_of(each, SHAPE, LAPTOP) == replace(shared(8192), shared=False)
    assert (
        estimate(SHAPE, load_of(each, SHAPE, LAPTOP)).kv_cache
        == ANSWERS_AT_ONCE * estimate(SHAPE, load_of(spec, SHAPE, LAPTOP)).kv_cache
    )


def test_an_embedder_that_sees_a_text_at_once_gets_a_context_for_each_core() -> None:
    spec = replace(SPEC, embedding=EmbeddingSpec(dimension=1, max_tokens=512))
    server = replace(LAPTOP, gpus=(Gpu("x", 24 * GIB),))
    one = Load(512, batch=512, shared=True)

    assert load_of(spec, ENCODER, LAPTOP) == replace(one, contexts=8)
    assert load_of(replace(spec, threads=2), ENCODER, LAPTOP) == replace(one, contexts=2)
    assert load_of(spec, ENCODER, server) == one
    assert load_of(replace(spec, device="cpu"), ENCODER, server).contexts == 8


def test_a_model_that_looks_back_reads_long_texts_by_pieces_in_one_context() -> None:
    spec = replace(SPEC, embedding=EmbeddingSpec(dimension=1, max_tokens=2048))

    load = load_of(spec, SHAPE, LAPTOP)
    assert load == Load(2048, batch=512, shared=True)
    assert estimate(SHAPE, load).total < 1.4 * SHAPE.weights_bytes


def test_in_memory_it_is_the_estimate_and_not_the_files_size() -> None:
    spec = replace(SPEC, context_length=8192)
    total = estimate(SHAPE, shared(8192)).total

    assert need_of(spec, SHAPE, 1, LAPTOP) == Need(total, 0, total)


def test_on_a_gpu_little_is_left_in_memory_unless_the_entry_asks_for_the_cpu() -> None:
    spec, server = replace(SPEC, context_length=8192), replace(LAPTOP, gpus=(Gpu("x", 24 * GIB),))
    total = estimate(SHAPE, shared(8192)).total

    need = need_of(spec, SHAPE, 1, server)
    assert need.memory < GIB < need.vram
    assert need.without_gpus == estimate(SHAPE, shared(8192, GPU_PROMPT_BATCH)).total
    for on_cpu in (replace(spec, device="cpu"), replace(spec, gpu_layers=0)):
        assert need_of(on_cpu, SHAPE, 1, server) == Need(total, 0, total)


def test_what_does_not_fit_is_counted_whole() -> None:
    total = estimate(SHAPE, shared(32_768)).total

    assert need_of(SPEC, SHAPE, 1, Machine(2, GIB)) == Need(total, 0, total)


def test_without_a_header_the_files_size_is_the_guess() -> None:
    assert need_of(SPEC, None, 1000, LAPTOP) == Need(1200, 0, 1200)
    assert need_of(SPEC, None, 0, LAPTOP) == Need(0, 0, 0)
