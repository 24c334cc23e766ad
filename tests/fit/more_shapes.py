"""Shapes of models whose memory to compute in is not that of a plain transformer's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from engines.gguf.writer import Metadata, Scalar
from tests.fit.shapes import Tensors
from tests.gguf.sparse import write_sparse

Values = dict[str, Scalar | list[Scalar]]
WIDE_STATE: Mapping[str, int] = {"inner": 8192, "state": 128, "groups": 8, "heads": 128}
"""Codestral Mamba's."""


def mamba2(folder: Path) -> Path:
    sizes = _state_sizes(**WIDE_STATE)
    return _write(
        folder, Ends("mamba2", 64, 4096, 32_768), sizes, lambda _: _scan(4096, **WIDE_STATE)
    )


def granite_hybrid(folder: Path) -> Path:
    """Four of forty layers attend; of 72 narrow experts a token uses ten."""
    width, heads, shared = 4096, 32, 8
    state = {**WIDE_STATE, "groups": 1}
    attending = (5, 15, 25, 35)
    sizes: Values = {
        **_state_sizes(**state),
        **_attention_sizes(heads, shared, 128),
        "attention.head_count_kv": [shared if layer in attending else 0 for layer in range(40)],
        "feed_forward_length": 768,
        "expert_count": 72,
        "expert_used_count": 10,
        "expert_shared_feed_forward_length": 1536,
        "logit_scale": 8.0,
        "residual_scale": 0.22,
        "embedding_scale": 12.0,
    }

    def layer(number: int) -> Tensors:
        attends = number in attending
        own = _attention(width, heads, shared, 128) if attends else _scan(width, **state)
        return own | _experts(width, 72, 768) | _gated(width, 1536, "_shexp") | _norm(width)

    return _write(folder, Ends("granitehybrid", 40, width, 100_352), sizes, layer)


def starcoder2(folder: Path) -> Path:
    """Its feed-forward part has no gate."""
    width, wide, heads, shared = 6144, 24_576, 48, 4
    sizes = {**_attention_sizes(heads, shared, 128), "feed_forward_length": wide}
    biases: Tensors = {
        "attn_norm.bias": (width,),
        "attn_q.bias": (width,),
        "attn_k.bias": (shared * 128,),
        "attn_v.bias": (shared * 128,),
        "attn_output.bias": (width,),
        "ffn_norm.bias": (width,),
        "ffn_up.weight": (wide, width),
        "ffn_up.bias": (wide,),
        "ffn_down.weight": (width, wide),
        "ffn_down.bias": (width,),
    }
    layer = _attention(width, heads, shared, 128) | _norm(width) | biases
    return _write(folder, Ends("starcoder2", 40, width, 49_152), sizes, lambda _: layer)


def deepseek_v3(folder: Path) -> Path:
    width, heads, query, latent, turned = 7168, 128, 1536, 512, 64
    sizes: Values = {
        **_attention_sizes(heads, 1, latent + turned),
        "attention.q_lora_rank": query,
        "attention.kv_lora_rank": latent,
        "attention.value_length": latent,
        "attention.key_length_mla": 128 + turned,
        "attention.value_length_mla": 128,
        "rope.dimension_count": turned,
        "feed_forward_length": 18_432,
        "expert_count": 256,
        "expert_used_count": 8,
        "expert_feed_forward_length": 2048,
        "expert_shared_count": 1,
        "expert_group_count": 8,
        "expert_group_used_count": 4,
        "leading_dense_block_count": 3,
        "expert_gating_func": 2,
    }
    attention: Tensors = {
        "attn_norm.weight": (width,),
        "attn_q_a.weight": (query, width),
        "attn_q_a_norm.weight": (query,),
        "attn_q_b.weight": (heads * (128 + turned), query),
        "attn_kv_a_mqa.weight": (latent + turned, width),
        "attn_kv_a_norm.weight": (latent,),
        "attn_k_b.weight": (heads, latent, 128),
        "attn_v_b.weight": (heads, 128, latent),
        "attn_output.weight": (width, heads * 128),
    }
    router: Tensors = {"exp_probs_b.bias": (256,)}
    mixture = router | _experts(width, 256, 2048) | _gated(width, 2048, "_shexp")

    def layer(number: int) -> Tensors:
        return attention | _norm(width) | (_gated(width, 18_432) if number < 3 else mixture)

    return _write(folder, Ends("deepseek2", 61, width, 129_280, tied=False), sizes, layer)


def qwen35(folder: Path) -> Path:
    """Three of four layers keep a state, and none of them is Mamba's."""
    width, heads, shared, inner = 2560, 16, 4, 4096
    sizes: Values = {
        **_attention_sizes(heads, shared, 256),
        **_state_sizes(inner=inner, state=128, groups=16, heads=32),
        "feed_forward_length": 9216,
        "rope.dimension_count": 64,
        "rope.dimension_sections": [11, 11, 10, 0],
    }
    norms: Tensors = {"attn_q_norm.weight": (256,), "attn_k_norm.weight": (256,)}
    attending = _attention(width, 2 * heads, shared, 256) | norms
    attending["attn_output.weight"] = (width, heads * 256)
    linear: Tensors = {
        "attn_norm.weight": (width,),
        "attn_qkv.weight": (2 * inner, width),
        "attn_gate.weight": (inner, width),
        "ssm_conv1d.weight": (2 * inner, 4),
        "ssm_dt.bias": (32,),
        "ssm_a": (32,),
        "ssm_beta.weight": (32, width),
        "ssm_alpha.weight": (32, width),
        "ssm_norm.weight": (128,),
        "ssm_out.weight": (width, inner),
    }
    after: Tensors = {"post_attention_norm.weight": (width,)}

    def layer(number: int) -> Tensors:
        return (attending if number % 4 == 3 else linear) | after | _gated(width, 9216)

    return _write(folder, Ends("qwen35", 32, width, 248_320), sizes, layer)


def qwen3_vl(folder: Path) -> Path:
    """Room for what an image adds to its first three layers is set aside for texts as well."""
    width, heads, shared = 4096, 32, 8
    sizes: Values = {
        **_attention_sizes(heads, shared, 128),
        "feed_forward_length": 12_288,
        "rope.dimension_sections": [24, 20, 20, 0],
        "n_deepstack_layers": 3,
    }
    norms: Tensors = {"attn_q_norm.weight": (128,), "attn_k_norm.weight": (128,)}
    layer = _attention(width, heads, shared, 128) | norms | _norm(width) | _gated(width, 12_288)
    return _write(folder, Ends("qwen3vl", 36, width, 151_936, tied=False), sizes, lambda _: layer)


def gpt_oss(folder: Path) -> Path:
    """Each head may also attend to nothing, its sink; every other layer looks at a window of 128 tokens."""
    width, heads, shared, head, wide, experts = 2880, 64, 8, 64, 2880, 32
    sizes: Values = {
        **_attention_sizes(heads, shared, head),
        "attention.sliding_window": 128,
        "feed_forward_length": wide,
        "expert_count": experts,
        "expert_used_count": 4,
        "expert_feed_forward_length": wide,
    }
    more: Tensors = {
        "attn_q.bias": (heads * head,),
        "attn_k.bias": (shared * head,),
        "attn_v.bias": (shared * head,),
        "attn_output.bias": (width,),
        "attn_sinks.weight": (heads,),
        "post_attention_norm.weight": (width,),
        "ffn_gate_inp.bias": (experts,),
        "ffn_gate_exps.bias": (experts, wide),
        "ffn_up_exps.bias": (experts, wide),
        "ffn_down_exps.bias": (experts, width),
    }
    layer = _attention(width, heads, shared, head) | _experts(width, experts, wide) | more
    return _write(folder, Ends("gpt-oss", 24, width, 201_088, tied=False), sizes, lambda _: layer)


def _attention_sizes(heads: int, shared: int, head: int) -> Values:
    return {
        "attention.head_count": heads,
        "attention.head_count_kv": shared,
        "attention.key_length": head,
        "attention.value_length": head,
        "rope.dimension_count": head,
    }


def _state_sizes(*, inner: int, state: int, groups: int, heads: int) -> Values:
    return {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": heads,
        "ssm.group_count": groups,
    }


def _attention(width: int, heads: int, shared: int, head: int) -> Tensors:
    return {
        "attn_norm.weight": (width,),
        "attn_q.weight": (heads * head, width),
        "attn_k.weight": (shared * head, width),
        "attn_v.weight": (shared * head, width),
        "attn_output.weight": (width, heads * head),
    }


def _scan(width: int, *, inner: int, state: int, groups: int, heads: int) -> Tensors:
    convolved = inner + 2 * groups * state
    return {
        "attn_norm.weight": (width,),
        "ssm_in.weight": (inner + convolved + heads, width),
        "ssm_conv1d.weight": (convolved, 4),
        "ssm_conv1d.bias": (convolved,),
        "ssm_dt.bias": (heads,),
        "ssm_a": (heads, 1),
        "ssm_d": (heads, 1),
        "ssm_norm.weight": (groups, inner // groups),
        "ssm_out.weight": (width, inner),
    }


def _norm(width: int) -> Tensors:
    return {"ffn_norm.weight": (width,)}


def _gated(width: int, wide: int, kind: str = "") -> Tensors:
    return {
        f"ffn_gate{kind}.weight": (wide, width),
        f"ffn_up{kind}.weight": (wide, width),
        f"ffn_down{kind}.weight": (width, wide),
    }


def _experts(width: int, number: int, wide: int) -> Tensors:
    return {
        "ffn_gate_inp.weight": (number, width),
        "ffn_gate_exps.weight": (number, wide, width),
        "ffn_up_exps.weight": (number, wide, width),
        "ffn_down_exps.weight": (number, width, wide),
    }


class Ends(NamedTuple):
    """What stands around the layers; ``tied`` models have no output matrix of their own."""

    architecture: str
    layers: int
    width: int
    vocabulary: int
    tied: bool = True


def _write(folder: Path, ends: Ends, sizes: Values, layer: Callable[[int], Tensors]) -> Path:
    architecture, layers, width, vocabulary, tied = ends
    common: Values = {
        "block_count": layers,
        "context_length": 262_144,
        "embedding_length": width,
        "vocab_size": vocabulary,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-6,
    }
    general: Metadata = {"general.architecture": architecture, "tokenizer.ggml.model": "no_vocab"}
    named = {f"{architecture}.{key}": value for key, value in (common | sizes).items()}
    tensors: Tensors = {"token_embd.weight": (vocabulary, width), "output_norm.weight": (width,)}
    if architecture == "starcoder2":
        tensors["output_norm.bias"] = (width,)
    if not tied:
        tensors["output.weight"] = (vocabulary, width)
    for number in range(layers):
        tensors |= {f"blk.{number}.{name}": shape for name, shape in layer(number).items()}
    return write_sparse(folder / "model.gguf", {**general, **named}, tensors)
