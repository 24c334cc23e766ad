"""Estimates against the arithmetic of real models and against what llama.cpp itself reserves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.exceptions import InvalidRequestError, UnsafeModelFileError
from engines.fit.embedding import DEFAULT_TEXT_TOKENS, contexts_of
from engines.fit.memory import MAX_CONTEXT, Load, estimate
from engines.fit.model_shape import ModelShape
from engines.gguf.reader import read_header
from tests.fit import embedders, shapes
from tests.fit.llama_says import reserved
from tests.gguf.sparse import write_sparse

MIB = 1024**2
GIB = 1024**3
Writer = Callable[[Path], Path]


def shape_of(path: Path) -> ModelShape:
    return ModelShape.from_header(read_header(path))


def of_metadata(folder: Path, architecture: str, **values: Any) -> ModelShape:
    """A header without tensors: enough for what a cache needs."""
    named = {f"{architecture}.{key}": value for key, value in values.items()}
    path = write_sparse(folder / "m.gguf", {"general.architecture": architecture, **named}, {})
    return shape_of(path)


@pytest.mark.parametrize(
    ("write", "context", "gib"),
    [
        (shapes.DISTILL_QWEN_7B.write, 131_072, 7),
        (shapes.QWEN25_72B.write, 32_768, 10),
        (shapes.LLAMA33_70B.write, 131_072, 40),
    ],
    ids=["DeepSeek-R1-Distill-Qwen-7B", "Qwen2.5-72B", "Llama-3.3-70B"],
)
def test_grouped_query_caches_are_exact(
    tmp_path: Path, write: Writer, context: int, gib: int
) -> None:
    assert estimate(shape_of(write(tmp_path)), Load(context)).kv_cache == gib * GIB


def test_a_sliding_window_keeps_the_window_and_one_batch(tmp_path: Path) -> None:
    shape = shape_of(shapes.gemma3(tmp_path))

    assert [layer.window for layer in shape.layers[:7]] == [1024] * 5 + [0, 1024]
    per_token = 2 * 16 * 128 * 2
    full, windows = 10 * 131_072 * per_token, 52 * (1024 + 512) * per_token
    assert estimate(shape, Load(131_072)).kv_cache == full + windows
    assert estimate(shape, Load(131_072, parallel=3)).kv_cache == 3 * (full + windows)
    assert estimate(shape, Load(256)).kv_cache == 62 * 256 * per_token
    together = estimate(shape, Load(131_072, parallel=3, shared=True)).kv_cache
    assert together == full + 52 * (3 * 1024 + 512) * per_token


def test_latent_attention_keeps_one_row_for_all_heads(tmp_path: Path) -> None:
    shape = shape_of(shapes.deepseek_v2_lite(tmp_path))

    assert estimate(shape, Load(32_768)).kv_cache == 27 * 32_768 * 576 * 2
    assert estimate(shape, Load(32_768, cache_type="q8_0")).kv_cache == 27 * 32_768 * 576 // 32 * 34


def test_a_hybrid_keeps_caches_in_few_layers_and_a_state_a_request_in_the_others(
    tmp_path: Path,
) -> None:
    shape = shape_of(shapes.qwen3_next(tmp_path))
    state = 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096)

    one, four = estimate(shape, Load(8192)), estimate(shape, Load(8192, parallel=4))
    assert one.kv_cache == 12 * 8192 * 2 * 2 * 256 * 2
    assert (one.states, four.states) == (36 * state, 4 * 36 * state)
    assert estimate(shape, Load(65_536)).states == one.states
    shared = estimate(shape, Load(8192, parallel=4, shared=True))
    assert (shared.kv_cache, shared.states) == (one.kv_cache, four.states)


@pytest.mark.parametrize(("cache_type", "bits"), [("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5)])
def test_a_quantised_cache_costs_its_blocks(tmp_path: Path, cache_type: Any, bits: float) -> None:
    shape = shape_of(shapes.QWEN3_8B.write(tmp_path))

    cache = estimate(shape, Load(32_768, cache_type=cache_type)).kv_cache
    assert cache == 36 * 2 * 8 * 128 * 32_768 * bits / 8


def test_weights_are_the_files_tensors(tmp_path: Path) -> None:
    path = shapes.QWEN3_8B.write(tmp_path)
    header = read_header(path)
    shape = ModelShape.from_header(header)

    assert shape.weights_bytes == sum(tensor.byte_count for tensor in header.tensors)
    assert len(shape.layer_bytes) == 36
    assert shape.table_bytes == 151_936 * 4096 * 2
    assert not shape.is_tied
    assert path.stat().st_blocks * 512 < MIB < path.stat().st_size


def test_a_shape_survives_json(tmp_path: Path) -> None:
    shape = shape_of(shapes.qwen3_next(tmp_path))

    assert ModelShape.from_dict(shape.as_dict()) == shape


LOADS = [
    Load(512),
    Load(8192),
    Load(32_768),
    Load(8192, parallel=4),
    Load(32_768, cache_type="q8_0"),
    Load(32_768, cache_type="q4_0"),
    Load(32_768, flash_attention=False),
]


@pytest.mark.parametrize(
    "write",
    [
        shapes.DISTILL_QWEN_7B.write,
        shapes.QWEN25_72B.write,
        shapes.QWEN3_8B.write,
        shapes.qwen3_moe,
        shapes.gemma3,
        shapes.deepseek_v2_lite,
        shapes.qwen3_next,
        shapes.gemma2,
        shapes.lfm2,
    ],
    ids=[
        "qwen2-7b",
        "qwen2-72b",
        "qwen3-8b",
        "mixture",
        "window",
        "latent",
        "hybrid",
        "window-by-default",
        "convolutions",
    ],
)
def test_llama_cpp_reserves_what_is_estimated(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path)
    shape = shape_of(path)

    for load, said in zip(LOADS, reserved(path, LOADS), strict=True):
        found = estimate(shape, load)
        assert found.kv_cache / MIB == pytest.approx(said.kv_cache, abs=0.01), load
        assert found.states / MIB == pytest.approx(said.states, abs=0.01), load
        assert found.compute / MIB == pytest.approx(said.compute, rel=0.12), load


EMBEDDERS: dict[str, tuple[Writer, int]] = {
    "all-MiniLM-L6-v2": (embedders.MINILM.write, 0),
    "bge-base-en": (embedders.BGE_BASE.write, 0),
    "bge-m3": (embedders.BGE_M3.write, 0),
    "bge-m3, 8192 tokens": (embedders.BGE_M3.write, 8192),
    "granite-embedding-107m": (embedders.GRANITE_107M.write, 0),
    "nomic-embed-text-v1.5": (embedders.NOMIC.write, 0),
    "nomic-embed-text-v2-moe": (embedders.nomic_moe, 512),
    "gte-modernbert-large, 512 tokens": (embedders.modern_bert, 512),
    "gte-modernbert-large": (embedders.modern_bert, 0),
    "embeddinggemma-300m": (embedders.gemma_embedding, 0),
    "Qwen3-Embedding-0.6B": (embedders.QWEN3_06B.write, 0),
    "Qwen3-Embedding-4B": (embedders.QWEN3_4B.write, 0),
    "Qwen3-Embedding-8B, 32768 tokens": (embedders.QWEN3_8B.write, 32_768),
    "e5-mistral-7b, 512 tokens": (embedders.E5_MISTRAL.write, 512),
    "gte-Qwen2-1.5B": (embedders.GTE_QWEN2.write, 0),
    "SmolLM2-135M, for itself": (embedders.SMOLLM2.write, 0),
}


@pytest.mark.parametrize("name", EMBEDDERS)
def test_llama_cpp_reserves_for_an_embedder_what_is_estimated(tmp_path: Path, name: str) -> None:
    write, tokens = EMBEDDERS[name]
    path = write(tmp_path)
    shape = shape_of(path)
    limit = tokens or DEFAULT_TEXT_TOKENS
    loads = [
        contexts_of(shape, limit, lanes=4).load(flash_attention=True),
        contexts_of(shape, limit, lanes=4, pack=512).load(flash_attention=False),
    ]

    said_of_each = reserved(path, loads, "none" if shape.looks_back else "mean")
    for load, said in zip(loads, said_of_each, strict=True):
        found = estimate(shape, load)
        assert found.kv_cache / MIB == pytest.approx(said.kv_cache * load.contexts, abs=0.01)
        expected = (said.compute + said.output) * load.contexts
        assert found.compute / MIB == pytest.approx(expected, rel=0.1), (load, said)


def test_qwen3_embedding_4b_is_a_third_more_than_its_file(tmp_path: Path) -> None:
    shape = shape_of(embedders.QWEN3_4B.write(tmp_path))

    found = estimate(shape, contexts_of(shape, 40_960, lanes=8).load(flash_attention=True))
    short = estimate(shape, contexts_of(shape, 2048, lanes=8).load(flash_attention=True))
    assert short.total - short.weights < GIB
    assert 5 * GIB < found.total - found.weights < 7 * GIB


def test_a_long_context_is_estimated_within_one_part_in_a_hundred(tmp_path: Path) -> None:
    for write in (shapes.gemma3, shapes.qwen3_next, shapes.deepseek_v2_lite):
        path = write(tmp_path)
        found = estimate(shape_of(path), Load(131_072))
        (said,) = reserved(path, [Load(131_072)])
        dynamic = (found.kv_cache + found.states + found.compute) / MIB
        weights = found.weights / MIB
        assert weights + dynamic == pytest.approx(weights + sum(said), rel=0.01)


HEADS = {"attention.head_count": 8, "embedding_length": 512, "block_count": 24}


@pytest.mark.parametrize(
    ("architecture", "values", "cells_of_2048"),
    [
        ("llama", {}, 24 * 2048),
        ("phi3", {"attention.sliding_window": 256}, 24 * 2048),
        ("qwen2", {"attention.sliding_window": 256}, 24 * 2048),
        ("gpt-oss", {"attention.sliding_window": 128}, 12 * 2048 + 12 * 768),
        ("gemma2", {"attention.sliding_window": 512}, 12 * 2048 + 12 * 1024),
        ("gemma2", {}, 24 * 2048),
        ("gemma3", {"attention.sliding_window": 0}, 24 * 2048),
        ("llama4", {"attention.sliding_window": 0}, 24 * 2048),
        ("gemma3n", {"attention.sliding_window": 512}, 4 * 2048 + 16 * 1024),
        (
            "gemma4",
            {
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": [True, True, False] * 8,
                "attention.shared_kv_layers": 12,
            },
            4 * 2048 + 8 * 1024,
        ),
        (
            "lfm2",
            {"attention.sliding_window": 512, "attention.head_count_kv": [0, 0, 8] * 8},
            8 * 1024,
        ),
        ("lfm2moe", {"attention.sliding_window": 512}, 24 * 2048),
        ("exaone4", {"attention.sliding_window": 512}, 24 * 2048),
        ("glm4moe", {"nextn_predict_layers": 1}, 23 * 2048),
        ("llama", {"attention.head_count_kv": [8] * 12 + [0] * 12}, 12 * 2048),
        ("bert", {}, 0),
        ("mamba2", {"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16}, 0),
        ("jamba", {"attention.head_count_kv": [0, 0, 8] * 8}, 8 * 2048),
        ("falcon-h1", {}, 24 * 2048),
        ("qwen35", {}, 6 * 2048),
        ("qwen35", {"full_attention_interval": 8}, 3 * 2048),
        ("qwen35", {"attention.recurrent_layers": [True, False] * 12}, 12 * 2048),
        (
            "nemotron_h",
            {
                "attention.head_count_kv": [0, 0, 8] * 8,
                "feed_forward_length": [0, 2048, 0] * 8,
            },
            8 * 2048,
        ),
    ],
)
def test_each_architecture_keeps_what_its_layers_need(
    tmp_path: Path, architecture: str, values: dict[str, Any], cells_of_2048: int
) -> None:
    shape = of_metadata(tmp_path, architecture, **HEADS, **values)

    assert estimate(shape, Load(2048)).kv_cache == cells_of_2048 * 2 * 8 * 64 * 2
    assert shape.is_exact


@pytest.mark.parametrize(
    ("architecture", "values", "elements"),
    [
        (
            "mamba",
            {"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16},
            3 * 64 + 1024,
        ),
        (
            "mamba2",
            {
                "ssm.conv_kernel": 4,
                "ssm.inner_size": 64,
                "ssm.state_size": 16,
                "ssm.group_count": 2,
            },
            3 * (64 + 2 * 2 * 16) + 1024,
        ),
        ("rwkv7", {"wkv.head_size": 64}, 2 * 512 + 512 * 64),
        ("lfm2", {"shortconv.l_cache": 3, "attention.head_count_kv": [0] * 24}, 2 * 512),
        (
            "kimi-linear",
            {"kda.head_dim": 32, "ssm.conv_kernel": 4, "attention.head_count_kv": [0] * 24},
            3 * 3 * 8 * 32 + 32 * 32 * 8,
        ),
        ("minimax-01", {"full_attention_interval": 25}, 64 * 64 * 8),
    ],
)
def test_each_kind_of_state_is_counted(
    tmp_path: Path, architecture: str, values: dict[str, Any], elements: int
) -> None:
    shape = of_metadata(tmp_path, architecture, **HEADS, **values)

    assert estimate(shape, Load(2048, parallel=2)).states == 24 * 4 * elements * 2


def test_an_encoder_that_has_a_cache_still_sees_a_text_at_once(tmp_path: Path) -> None:
    shape = of_metadata(tmp_path, "t5encoder", **HEADS)

    assert (shape.looks_back, shape.has_head) == (False, False)
    assert estimate(shape, Load(512)).kv_cache == 24 * 512 * 2 * 8 * 64 * 2


def test_an_architecture_of_another_kind_is_said_to_be_known_from_above(tmp_path: Path) -> None:
    assert not of_metadata(tmp_path, "deepseek4", **HEADS).is_exact


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"attention.head_count_kv": [8, 8]}, "lists 2 layers and the model has 24"),
        ({"attention.key_length": 2**30}, "must be between 0 and"),
        ({"attention.key_length": -1}, "must be between 0 and"),
        ({"attention.key_length": "long"}, "not a whole number"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path: Path, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsafeModelFileError, match=reason):
        of_metadata(tmp_path, "llama", **HEADS, **values)


KEYS = [
    "block_count",
    "nextn_predict_layers",
    "embedding_length",
    "feed_forward_length",
    "full_attention_interval",
    "expert_count",
    "expert_used_count",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.recurrent_layers",
    "attention.shared_kv_layers",
    "ssm.conv_kernel",
    "shortconv.l_cache",
    "wkv.head_size",
]
NUMBERS = st.integers(-2, 2**40) | st.integers(0, 40)
VALUES = NUMBERS | st.booleans() | st.text(max_size=3) | st.floats(width=32)
LISTS = st.lists(st.integers(-2, 2**31 - 1), min_size=1, max_size=40)
ARCHITECTURES = ["llama", "gemma3", "gemma4", "qwen35", "jamba", "nemotron_h", "rwkv7", "lfm2"]


@given(
    architecture=st.sampled_from(ARCHITECTURES),
    values=st.dictionaries(st.sampled_from(KEYS), VALUES | LISTS),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_header_makes_an_error_of_ours(
    tmp_path: Path, architecture: str, values: dict[str, Any]
) -> None:
    with suppress(UnsafeModelFileError):
        shape = of_metadata(tmp_path, architecture, **values)
        assert estimate(shape, Load(4096, parallel=4, cache_type="q8_0")).total > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"context_length": 0},
        {"context_length": MAX_CONTEXT + 1},
        {"context_length": True},
        {"parallel": 0},
        {"parallel": 257},
        {"cache_type": "q3"},
    ],
)
def test_a_load_nobody_can_serve_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        Load(**{"context_length": 4096, **wrong})
