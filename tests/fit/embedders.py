"""Real embedders' shapes: what their headers say, without their weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from engines.gguf.writer import Scalar
from tests.fit.shapes import Dense, Tensors
from tests.gguf.sparse import write_sparse


class Encoder(NamedTuple):
    """A transformer that sees a text at once."""

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    vocabulary: int
    context: int

    def metadata(self, **more: Scalar | list[Scalar]) -> dict[str, Scalar | list[Scalar]]:
        own: dict[str, Scalar | list[Scalar]] = {
            "block_count": self.layers,
            "context_length": self.context,
            "embedding_length": self.width,
            "feed_forward_length": self.feed_forward,
            "vocab_size": self.vocabulary,
            "attention.head_count": self.heads,
            "attention.layer_norm_epsilon": 1e-12,
            "attention.causal": False,
            "pooling_type": 1,
            **more,
        }
        general: dict[str, Scalar | list[Scalar]] = {
            "general.architecture": self.architecture,
            "tokenizer.ggml.model": "no_vocab",
            "tokenizer.ggml.token_type_count": 2,
        }
        return general | {f"{self.architecture}.{key}": value for key, value in own.items()}

    def ends(self) -> Tensors:
        return {
            "token_embd.weight": (self.vocabulary, self.width),
            "token_types.weight": (2, self.width),
            "token_embd_norm.weight": (self.width,),
            "token_embd_norm.bias": (self.width,),
        }

    def norms(self) -> Tensors:
        names = ("attn_output_norm", "layer_output_norm")
        return {f"{name}.{end}": (self.width,) for name in names for end in ("weight", "bias")}

    def bert_layer(self) -> Tensors:
        wide, narrow = (self.feed_forward, self.width), (self.width, self.feed_forward)
        square, flat = (self.width, self.width), (self.width,)
        tensors = self.norms()
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors |= {f"{name}.weight": square, f"{name}.bias": flat}
        tensors |= {"ffn_up.weight": wide, "ffn_up.bias": (self.feed_forward,)}
        return tensors | {"ffn_down.weight": narrow, "ffn_down.bias": flat}

    def nomic_layer(self) -> Tensors:
        wide = (self.feed_forward, self.width)
        return self.norms() | {
            "attn_qkv.weight": (3 * self.width, self.width),
            "attn_output.weight": (self.width, self.width),
            "ffn_up.weight": wide,
            "ffn_gate.weight": wide,
            "ffn_down.weight": (self.width, self.feed_forward),
        }

    def write(self, folder: Path) -> Path:
        is_bert = self.architecture == "bert"
        layer = self.bert_layer() if is_bert else self.nomic_layer()
        more: dict[str, Scalar | list[Scalar]] = {} if is_bert else {"rope.freq_base": 1000.0}
        tensors = self.ends()
        if is_bert:
            tensors["position_embd.weight"] = (self.context, self.width)
        for number in range(self.layers):
            tensors |= {f"blk.{number}.{name}": shape for name, shape in layer.items()}
        return write_sparse(folder / "model.gguf", self.metadata(**more), tensors)


def gemma_embedding(folder: Path) -> Path:
    """EmbeddingGemma 300M: as Gemma 3, but it sees a text at once and has no output matrix."""
    model = Dense(
        "gemma-embedding", 24, 768, 1152, 3, 1, 262_144, head=256, context=2048, tied=True
    )
    tensors = model.ends()
    for layer in range(model.layers):
        after: Tensors = {
            "post_attention_norm.weight": (model.width,),
            "post_ffw_norm.weight": (model.width,),
            "attn_q_norm.weight": (model.head,),
            "attn_k_norm.weight": (model.head,),
        }
        tensors |= model.attention(layer) | model.dense_part(layer)
        tensors |= {f"blk.{layer}.{name}": shape for name, shape in after.items()}
    more: dict[str, Scalar | list[Scalar]] = {"attention.sliding_window": 512, "pooling_type": 1}
    return write_sparse(folder / "model.gguf", model.metadata(**more), tensors)


def nomic_moe(folder: Path) -> Path:
    """Every second layer is a mixture, whose router is called ffn_gate_inp; nothing has a gate."""
    model, experts = NOMIC_MOE, 8
    wide, narrow = (model.feed_forward, model.width), (model.width, model.feed_forward)
    tensors = model.ends()
    for layer in range(model.layers):
        own = model.norms() | {
            "attn_qkv.weight": (3 * model.width, model.width),
            "attn_output.weight": (model.width, model.width),
        }
        if layer % 2:
            own |= {"ffn_gate_inp.weight": (experts, model.width)}
            own |= {"ffn_up_exps.weight": (experts, *wide)}
            own |= {"ffn_down_exps.weight": (experts, *narrow)}
        else:
            own |= {"ffn_up.weight": wide, "ffn_up.bias": (model.feed_forward,)}
            own |= {"ffn_down.weight": narrow, "ffn_down.bias": (model.width,)}
        tensors |= {f"blk.{layer}.{name}": shape for name, shape in own.items()}
    more: dict[str, Scalar | list[Scalar]] = {
        "rope.freq_base": 10_000.0,
        "expert_count": experts,
        "expert_used_count": 2,
        "moe_every_n_layers": 2,
    }
    return write_sparse(folder / "model.gguf", model.metadata(**more), tensors)


def modern_bert(folder: Path) -> Path:
    """The way up and the gate are one matrix; two of three layers look at a window."""
    model = MODERN_BERT_LARGE
    flat = (model.width,)
    tensors: Tensors = {
        "token_embd.weight": (model.vocabulary, model.width),
        "token_embd_norm.weight": flat,
        "output_norm.weight": flat,
    }
    own: Tensors = {
        "attn_norm.weight": flat,
        "attn_qkv.weight": (3 * model.width, model.width),
        "attn_output.weight": (model.width, model.width),
        "ffn_norm.weight": flat,
        "ffn_up.weight": (2 * model.feed_forward, model.width),
        "ffn_down.weight": (model.width, model.feed_forward),
    }
    for layer in range(model.layers):
        tensors |= {f"blk.{layer}.{name}": shape for name, shape in own.items()}
    metadata = model.metadata(**{"attention.sliding_window": 128})
    return write_sparse(folder / "model.gguf", metadata, tensors)


MINILM = Encoder("bert", 6, 384, 1536, 12, 30_522, 512)
BGE_BASE = Encoder("bert", 12, 768, 3072, 12, 30_522, 512)
BGE_M3 = Encoder("bert", 24, 1024, 4096, 16, 250_002, 8192)
GRANITE_107M = Encoder("bert", 6, 384, 1536, 12, 250_002, 512)
NOMIC = Encoder("nomic-bert", 12, 768, 3072, 12, 30_522, 2048)
NOMIC_MOE = Encoder("nomic-bert-moe", 12, 768, 3072, 12, 250_048, 512)
MODERN_BERT_LARGE = Encoder("modern-bert", 28, 1024, 2624, 16, 50_368, 8192)
QWEN3_06B = Dense("qwen3", 28, 1024, 3072, 16, 8, 151_669, context=32_768, tied=True)
QWEN3_4B = Dense("qwen3", 36, 2560, 9728, 32, 8, 151_665, context=40_960, tied=True)
QWEN3_8B = Dense("qwen3", 36, 4096, 12_288, 32, 8, 151_665, context=40_960)
E5_MISTRAL = Dense("llama", 32, 4096, 14_336, 32, 8, 32_000, context=32_768)
GTE_QWEN2 = Dense("qwen2", 28, 1536, 8960, 12, 2, 151_646, context=131_072, tied=True)
SMOLLM2 = Dense("llama", 30, 576, 1536, 9, 3, 49_152, head=64, context=8192, tied=True)
