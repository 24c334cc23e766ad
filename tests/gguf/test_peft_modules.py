"""Modules of PEFT adapters that differ from the rest: in rank, alpha or name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.demo.models.tiny_models import LORA_ALPHA, LORA_RANK
from engines.exceptions import InvalidRequestError
from engines.gguf.header import GgufArray
from engines.gguf.layout import ValueKind
from engines.gguf.peft import convert_peft
from engines.gguf.reader import read_header
from tests.gguf.test_peft import (
    PREFIX,
    QUERY_A,
    QUERY_B,
    TABLE,
    config,
    pair,
    tokens_with,
    unpaired,
    written,
)

OUTPUT_A, OUTPUT_B = (f"{PREFIX}0.self_attn.o_proj.lora_{side}.weight" for side in "AB")


def values_of(path: Path, name: str) -> NDArray[Any]:
    """A tensor of a GGUF file, last axis fastest."""
    header = read_header(path)
    tensor = next(tensor for tensor in header.tensors if tensor.name == name)
    kind = np.float16 if tensor.kind_name == "F16" else np.float32
    offset = header.data_offset + tensor.offset
    count = int(np.prod(tensor.shape))
    return np.fromfile(path, kind, count, offset=offset).reshape(tensor.shape[::-1])


def change_of(path: Path, name: str) -> NDArray[Any]:
    """What llama.cpp adds to a tensor: B A alpha / rank."""
    low, high = (values_of(path, f"{name}.lora_{side}").astype(np.float64) for side in "ab")
    change: NDArray[Any] = high @ low * (read_header(path).facts().adapter_alpha / low.shape[0])
    return change


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize(
    ("ranks", "alphas", "rank", "alpha"),
    [
        ({"o_proj": 2}, {}, 2, LORA_ALPHA),
        ({}, {"o_proj": 3}, LORA_RANK, 3.0),
        ({"^model.layers.0.self_attn.o_proj": 2}, {r"layers\.\d+\.self_attn.o_proj": 32}, 2, 32.0),
        # Names are matched whole, and the first that matches decides.
        ({"proj": 9, "self_attn.o_proj": 2, "o_proj": 7}, {"o_pro": 5}, 2, LORA_ALPHA),
    ],
)
def test_a_module_of_another_rank_or_alpha_keeps_its_own_scale(
    ranks: dict[str, int],
    alphas: dict[str, float],
    rank: int,
    alpha: float,
    use_rslora: bool,
    tiny_llama: Path,
    tmp_path: Path,
) -> None:
    generator = np.random.default_rng(7)
    low, high = generator.standard_normal((rank, 128)), generator.standard_normal((128, rank))
    saved = pair(**{OUTPUT_A: low.astype(np.float32), OUTPUT_B: high.astype(np.float32)})
    weights = written(tmp_path / "a.safetensors", saved)
    text = config(rank_pattern=ranks, alpha_pattern=alphas, use_rslora=use_rslora)

    convert_peft(text, weights, read_header(tiny_llama), tmp_path / "a.gguf")

    for module, a, b, r, m_alpha in (
        ("attn_output", low, high, rank, alpha),
        ("attn_q", pair()[QUERY_A], paired(pair()[QUERY_B], 4), LORA_RANK, LORA_ALPHA),
    ):
        divisor = r**0.5 if use_rslora else r
        got = change_of(tmp_path / "a.gguf", f"blk.0.{module}.weight")
        np.testing.assert_allclose(got, b @ a * (m_alpha / divisor), rtol=1e-4, atol=1e-4)


def paired(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """The opposite of ``unpaired``."""
    order = unpaired(np.arange(len(rows))[:, None], heads)[:, 0]
    back = np.empty_like(rows)
    back[order] = rows
    return back


def test_names_with_a_base_layer_and_the_token_table_are_converted(
    tiny_llama: Path, tmp_path: Path
) -> None:
    base = read_header(tiny_llama)
    width, count = next(t.shape for t in base.tensors if t.name == "token_embd.weight")
    generator = np.random.default_rng(8)
    low = generator.standard_normal((LORA_RANK, count)).astype(np.float32)
    high = generator.standard_normal((width, LORA_RANK)).astype(np.float32)
    inner = {name.replace(".lora_", ".base_layer.lora_"): rows for name, rows in pair().items()}
    saved = {
        **inner,
        f"{TABLE}.lora_embedding_A": low,
        f"{TABLE}.lora_embedding_B": high,
        # PEFT saves the table itself beside its change.
        f"{TABLE}.base_layer.weight": np.ones((count, width), np.float16),
    }
    weights = written(tmp_path / "a.safetensors", saved)
    target = tmp_path / "a.gguf"

    assert convert_peft(config(), weights, base, target) == 2

    np.testing.assert_array_equal(values_of(target, "token_embd.weight.lora_a"), low.T)
    np.testing.assert_array_equal(values_of(target, "token_embd.weight.lora_b"), high)
    assert tokens_with(tiny_llama, target) != tokens_with(tiny_llama, None)


FUSED = (
    *("model.layers.0.self_attn.qkv_proj", "model.layers.0.mlp.gate_up_proj"),
    *("model.layers.0.self_attn.W_pack", "model.layers.0.attention.wqkv"),
    *("transformer.h.0.self_attention.query_key_value", "transformer.h.0.attn.c_attn"),
    *("transformer.blocks.0.attn.Wqkv", "gpt_neox.layers.0.attention.query_key_value"),
    "model.layers.0.block_sparse_moe.experts.0.w1",
)
"""Of Phi-3, Baichuan, InternLM2, Falcon, Qwen, MPT, GPT-NeoX and Mixtral; files of ``llama`` have none of them."""


@pytest.mark.parametrize("module", FUSED)
def test_projections_in_one_are_refused_and_not_split(
    module: str, tiny_llama: Path, tmp_path: Path
) -> None:
    name = f"base_model.model.{module}.lora_A.weight"
    weights = written(tmp_path / "a.safetensors", {name: np.ones((LORA_RANK, 128), np.float32)})

    with pytest.raises(InvalidRequestError) as refusal:
        convert_peft(config(), weights, read_header(tiny_llama), tmp_path / "a.gguf")

    said = str(refusal.value)
    assert f"changes '{module}', which has no tensor of its own in files of 'llama' models" in said
    assert "Choose the model that it was trained on." in said
    assert not (tmp_path / "a.gguf").exists()


def test_rows_are_paired_by_the_heads_of_their_layer(tiny_llama: Path, tmp_path: Path) -> None:
    header = read_header(tiny_llama)
    key, layers = "llama.attention.head_count", header.facts().block_count
    mixed = GgufArray(ValueKind.UINT32, layers, (4, *[8] * (layers - 1)))
    pruned = replace(header, metadata={**header.metadata, key: mixed})
    weights = written(tmp_path / "a.safetensors", pair())

    for base, name in ((header, "plain"), (pruned, "pruned")):
        convert_peft(config(), weights, base, tmp_path / f"{name}.gguf")

    plain, layered = (
        values_of(tmp_path / f"{name}.gguf", "blk.0.attn_q.weight.lora_b")
        for name in ("plain", "pruned")
    )
    assert np.array_equal(layered, paired(pair()[QUERY_B], 4))
    assert np.array_equal(plain, layered)
