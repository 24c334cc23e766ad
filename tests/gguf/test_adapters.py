from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engines.exceptions import AdapterMismatchError
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.header import GgufHeader, TensorInfo
from engines.gguf.reader import read_header

QUERY = "blk.0.attn_q.weight"


def info(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(name, shape, 0, 0, 0)


def header(*tensors: TensorInfo, **metadata: str) -> GgufHeader:
    keys = {name.replace("_", "."): value for name, value in metadata.items()}
    return GgufHeader(3, {"general.architecture": "llama", **keys}, tensors, 32, 0)


def lora(*tensors: TensorInfo) -> GgufHeader:
    return header(*tensors, general_type="adapter", adapter_type="lora")


BASE = header(
    info(QUERY, 128, 64),
    info("token_embd.weight", 128, 500),
    info("output.weight", 128, 500),
    info("e.weight", 8, 6, 3),
)


def test_an_adapter_fits_the_model_it_was_made_for(tiny_llama: Path, tiny_lora: Path) -> None:
    assert check_adapter_fits(read_header(tiny_lora), read_header(tiny_llama)) == 6


def test_an_adapter_is_refused_on_another_family(tiny_qwen: Path, tiny_lora: Path) -> None:
    with pytest.raises(AdapterMismatchError, match="for the architecture 'llama'"):
        check_adapter_fits(read_header(tiny_lora), read_header(tiny_qwen))


def test_the_same_architecture_does_not_make_up_for_other_shapes(
    tiny_qwen: Path, tiny_lora: Path
) -> None:
    base = read_header(tiny_qwen)
    renamed = replace(base, metadata={**base.metadata, "general.architecture": "llama"})

    with pytest.raises(AdapterMismatchError, match=r"'blk\.0\.attn_output\.weight' has another"):
        check_adapter_fits(read_header(tiny_lora), renamed)


def test_embedding_and_expert_pairs_follow_the_engines_rules() -> None:
    adapter = lora(
        info("token_embd.weight.lora_a", 4, 500),
        info("token_embd.weight.lora_b", 4, 128),
        info("e.weight.lora_a", 8, 2, 3),
        info("e.weight.lora_b", 2, 6, 3),
        info("blk.0.attn_norm.weight", 128),
    )

    assert check_adapter_fits(adapter, BASE) == 2


def test_a_table_that_is_the_output_too_cannot_be_changed() -> None:
    """llama.cpp ends the process at the first answer of such a pair."""
    tied = replace(BASE, tensors=tuple(t for t in BASE.tensors if t.name != "output.weight"))
    adapter = lora(
        info("token_embd.weight.lora_a", 4, 500), info("token_embd.weight.lora_b", 4, 128)
    )

    with pytest.raises(AdapterMismatchError, match="answers with the same table"):
        check_adapter_fits(adapter, tied)


PAIR = (info(f"{QUERY}.lora_a", 128, 4), info(f"{QUERY}.lora_b", 4, 64))
UNFIT = {
    "a model as adapter": (BASE, "not a LoRA adapter"),
    "another adapter type": (header(general_type="adapter", adapter_type="ia3"), "not a LoRA"),
    "words that switch it on": (
        replace(lora(*PAIR), metadata={**lora().metadata, "adapter.alora.invocation_tokens": "1"}),
        "activated by certain words",
    ),
    "nothing": (lora(), "changes no tensor"),
    "only norms": (lora(info("blk.0.attn_norm.weight", 128)), "changes no tensor"),
    "half a pair": (lora(PAIR[0]), "half of its change"),
    "a stray tensor": (lora(*PAIR, info("x.weight", 4)), "'x.weight' is neither half"),
    "unknown tensor": (
        lora(info("blk.9.attn_q.weight.lora_a", 128, 4), info("blk.9.attn_q.weight.lora_b", 4, 64)),
        "no tensor 'blk.9.attn_q.weight'",
    ),
    "other input": (lora(info(f"{QUERY}.lora_a", 96, 4), PAIR[1]), "another shape"),
    "other output": (lora(PAIR[0], info(f"{QUERY}.lora_b", 4, 128)), "another shape"),
    "ranks differ": (lora(PAIR[0], info(f"{QUERY}.lora_b", 8, 64)), "another shape"),
    "experts missing": (
        lora(info("e.weight.lora_a", 8, 2), info("e.weight.lora_b", 2, 6)),
        "another shape",
    ),
}


@pytest.mark.parametrize(("adapter", "reason"), UNFIT.values(), ids=UNFIT.keys())
def test_an_adapter_that_does_not_fit_is_refused(adapter: GgufHeader, reason: str) -> None:
    with pytest.raises(AdapterMismatchError) as refusal:
        check_adapter_fits(adapter, BASE)

    assert reason in str(refusal.value)


def test_an_adapter_is_no_base() -> None:
    with pytest.raises(AdapterMismatchError, match="an adapter itself"):
        check_adapter_fits(lora(*PAIR), lora(*PAIR))
