"""Real models' shapes: what their headers say, without their weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from engines.gguf.writer import Metadata, Scalar
from tests.gguf.sparse import write_sparse

Tensors = dict[str, tuple[int, ...]]


class Dense(NamedTuple):
    """A transformer of the common kind; ``tied`` models have no output matrix of their own."""

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int
    head: int = 128
    context: int = 131_072
    tied: bool = False

    def metadata(self, **more: Scalar | list[Scalar]) -> dict[str, Scalar | list[Scalar]]:
        own: dict[str, Scalar | list[Scalar]] = {
            "block_count": self.layers,
            "context_length": self.context,
            "embedding_length": self.width,
            "feed_forward_length": self.feed_forward,
            "vocab_size": self.vocabulary,
            "rope.dimension_count": self.head,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head,
            "attention.value_length": self.head,
            "attention.layer_norm_rms_epsilon": 1e-6,
        }
        named = {f"{self.architecture}.{key}": value for key, value in (own | more).items()}
        general: dict[str, Scalar | list[Scalar]] = {
            "general.architecture": self.architecture,
            "tokenizer.ggml.model": "no_vocab",
        }
        return general | named

    def ends(self) -> Tensors:
        """The tensors before and after the layers."""
        table = (self.vocabulary, self.width)
        output: Tensors = {} if self.tied else {"output.weight": table}
        return {"token_embd.weight": table, "output_norm.weight": (self.width,), **output}

    def attention(self, layer: int) -> Tensors:
        rows, shared = self.heads * self.head, self.kv_heads * self.head
        tensors: Tensors = {
            "attn_norm.weight": (self.width,),
            "attn_q.weight": (rows, self.width),
            "attn_k.weight": (shared, self.width),
            "attn_v.weight": (shared, self.width),
            "attn_output.weight": (self.width, rows),
            "ffn_norm.weight": (self.width,),
        }
        if self.architecture == "qwen2":
            tensors |= {"attn_q.bias": (rows,), "attn_k.bias": (shared,), "attn_v.bias": (shared,)}
        if self.architecture in ("qwen3", "qwen3moe", "gemma3", "qwen3next"):
            tensors |= {"attn_q_norm.weight": (self.head,), "attn_k_norm.weight": (self.head,)}
        return _named(layer, tensors)

    def dense_part(self, layer: int) -> Tensors:
        wide = (self.feed_forward, self.width)
        narrow = (self.width, self.feed_forward)
        return _named(
            layer, {"ffn_gate.weight": wide, "ffn_up.weight": wide, "ffn_down.weight": narrow}
        )

    def write(self, folder: Path) -> Path:
        tensors = self.ends()
        for layer in range(self.layers):
            tensors |= self.attention(layer) | self.dense_part(layer)
        return _write(folder, self.metadata(), tensors)


class Experts(NamedTuple):
    """The feed-forward part of a mixture: how many experts, how many a token uses, how wide one is."""

    number: int
    used: int
    width: int

    def metadata(self) -> dict[str, Scalar | list[Scalar]]:
        return {
            "expert_count": self.number,
            "expert_used_count": self.used,
            "expert_feed_forward_length": self.width,
        }

    def tensors(self, layer: int, width: int) -> Tensors:
        wide, narrow = (self.number, self.width, width), (self.number, width, self.width)
        return _named(
            layer,
            {
                "ffn_gate_inp.weight": (self.number, width),
                "ffn_gate_exps.weight": wide,
                "ffn_up_exps.weight": wide,
                "ffn_down_exps.weight": narrow,
            },
        )


DISTILL_QWEN_7B = Dense("qwen2", 28, 3584, 18_944, 28, 4, 152_064)
QWEN25_72B = Dense("qwen2", 80, 8192, 29_568, 64, 8, 152_064, context=32_768)
LLAMA33_70B = Dense("llama", 80, 8192, 28_672, 64, 8, 128_256)
QWEN3_8B = Dense("qwen3", 36, 4096, 12_288, 32, 8, 151_936, context=40_960)
GEMMA3_27B = Dense("gemma3", 62, 5376, 21_504, 32, 16, 262_208, tied=True)
GEMMA2_9B = Dense("gemma2", 42, 3584, 14_336, 16, 8, 256_000, head=256, context=8192, tied=True)
LFM2_1B = Dense("lfm2", 16, 2048, 8192, 32, 8, 65_536, head=64, context=128_000, tied=True)
QWEN3_30B_A3B = Dense("qwen3moe", 48, 2048, 6144, 32, 4, 151_936, context=40_960)
QWEN3_30B_EXPERTS = Experts(128, 8, 768)
DEEPSEEK_V2_LITE = Dense("deepseek2", 27, 2048, 10_944, 16, 1, 102_400, context=163_840)
QWEN3_NEXT_80B = Dense("qwen3next", 48, 2048, 5120, 16, 2, 151_936, head=256, context=262_144)


def gemma3(folder: Path) -> Path:
    model = GEMMA3_27B
    tensors = model.ends()
    for layer in range(model.layers):
        after: Tensors = {
            "post_attention_norm.weight": (model.width,),
            "post_ffw_norm.weight": (model.width,),
        }
        tensors |= model.attention(layer) | model.dense_part(layer) | _named(layer, after)
    return _write(folder, model.metadata(**{"attention.sliding_window": 1024}), tensors)


def gemma2(folder: Path) -> Path:
    """Every other layer has a window of 4096 tokens, which the file need not say."""
    model = GEMMA2_9B
    tensors = model.ends()
    for layer in range(model.layers):
        after: Tensors = {
            "post_attention_norm.weight": (model.width,),
            "post_ffw_norm.weight": (model.width,),
        }
        tensors |= model.attention(layer) | model.dense_part(layer) | _named(layer, after)
    return _write(folder, model.metadata(), tensors)


def lfm2(folder: Path) -> Path:
    """Short convolutions keep the last tokens' inputs; six of sixteen layers attend."""
    model = LFM2_1B
    full = {2, 5, 8, 10, 12, 14}
    tensors = model.ends()
    tensors["token_embd_norm.weight"] = tensors.pop("output_norm.weight")
    norms: Tensors = {"attn_q_norm.weight": (model.head,), "attn_k_norm.weight": (model.head,)}
    convolution: Tensors = {
        "attn_norm.weight": (model.width,),
        "ffn_norm.weight": (model.width,),
        "shortconv.conv.weight": (model.width, 3),
        "shortconv.in_proj.weight": (3 * model.width, model.width),
        "shortconv.out_proj.weight": (model.width, model.width),
    }
    for layer in range(model.layers):
        attention = model.attention(layer) | _named(layer, norms)
        tensors |= attention if layer in full else _named(layer, convolution)
        tensors |= model.dense_part(layer)
    heads: list[Scalar] = [8 if layer in full else 0 for layer in range(model.layers)]
    more: dict[str, Scalar | list[Scalar]] = {
        "attention.head_count_kv": heads,
        "shortconv.l_cache": 3,
    }
    return _write(folder, model.metadata(**more), tensors)


def qwen3_moe(folder: Path) -> Path:
    model, experts = QWEN3_30B_A3B, QWEN3_30B_EXPERTS
    tensors = model.ends()
    for layer in range(model.layers):
        tensors |= model.attention(layer) | experts.tensors(layer, model.width)
    return _write(folder, model.metadata(**experts.metadata()), tensors)


def deepseek_v2_lite(folder: Path) -> Path:
    """Multi-head latent attention: 512 latent and 64 rotary elements are all a token keeps."""
    model, experts = DEEPSEEK_V2_LITE, Experts(64, 6, 1408)
    tensors = model.ends()
    for layer in range(model.layers):
        tensors |= _latent_attention(layer, model)
        tensors |= model.dense_part(layer) if layer < 1 else experts.tensors(layer, model.width)
        if layer:
            tensors |= _shared_expert(layer, model.width, 2 * experts.width)
    more: dict[str, Scalar | list[Scalar]] = {
        **experts.metadata(),
        "leading_dense_block_count": 1,
        "expert_shared_count": 2,
        "rope.dimension_count": 64,
        "attention.kv_lora_rank": 512,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
    }
    return _write(folder, model.metadata(**more), tensors)


def _latent_attention(layer: int, model: Dense) -> Tensors:
    return _named(
        layer,
        {
            "attn_norm.weight": (model.width,),
            "attn_q.weight": (model.heads * 192, model.width),
            "attn_kv_a_mqa.weight": (576, model.width),
            "attn_kv_a_norm.weight": (512,),
            "attn_k_b.weight": (model.heads, 512, 128),
            "attn_v_b.weight": (model.heads, 128, 512),
            "attn_output.weight": (model.width, model.heads * 128),
            "ffn_norm.weight": (model.width,),
        },
    )


def qwen3_next(folder: Path) -> Path:
    """Three of four layers keep a state of fixed size, the fourth a cache."""
    model, experts = QWEN3_NEXT_80B, Experts(512, 10, 512)
    tensors = model.ends()
    for layer in range(model.layers):
        full = (layer + 1) % 4 == 0
        tensors |= _full_layer(layer, model) if full else _linear_layer(layer, model.width)
        tensors |= experts.tensors(layer, model.width)
        tensors |= _shared_expert(layer, model.width, 512)
        tensors |= _named(layer, {"ffn_gate_inp_shexp.weight": (model.width,)})
    more: dict[str, Scalar | list[Scalar]] = {
        **experts.metadata(),
        "expert_shared_feed_forward_length": 512,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 4096,
        "ssm.state_size": 128,
        "ssm.time_step_rank": 32,
        "ssm.group_count": 16,
        "rope.dimension_count": 64,
    }
    return _write(folder, model.metadata(**more), tensors)


def _full_layer(layer: int, model: Dense) -> Tensors:
    tensors = model.attention(layer)
    del tensors[f"blk.{layer}.ffn_norm.weight"]
    gated: Tensors = {
        "attn_q.weight": (2 * model.heads * model.head, model.width),
        "post_attention_norm.weight": (model.width,),
    }
    return tensors | _named(layer, gated)


def _linear_layer(layer: int, width: int) -> Tensors:
    return _named(
        layer,
        {
            "attn_norm.weight": (width,),
            "post_attention_norm.weight": (width,),
            "attn_qkv.weight": (8192, width),
            "attn_gate.weight": (4096, width),
            "ssm_conv1d.weight": (8192, 4),
            "ssm_dt.bias": (32,),
            "ssm_a": (32,),
            "ssm_ba.weight": (64, width),
            "ssm_norm.weight": (128,),
            "ssm_out.weight": (width, 4096),
        },
    )


def _shared_expert(layer: int, width: int, feed_forward: int) -> Tensors:
    wide, narrow = (feed_forward, width), (width, feed_forward)
    return _named(
        layer,
        {
            "ffn_gate_shexp.weight": wide,
            "ffn_up_shexp.weight": wide,
            "ffn_down_shexp.weight": narrow,
        },
    )


def _named(layer: int, tensors: Tensors) -> Tensors:
    return {f"blk.{layer}.{name}": shape for name, shape in tensors.items()}


def _write(folder: Path, metadata: Metadata, tensors: Tensors) -> Path:
    return write_sparse(folder / "model.gguf", metadata, tensors)
