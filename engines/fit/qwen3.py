"""The Qwen 3 family: names, contexts and shapes; sizes are computed from the shapes.

Source: the model cards and configurations of ``huggingface.co/Qwen`` (there is no ``-Chat`` in the
names; 131 072 tokens need YaRN) and llama.cpp's mixture of types for Q4_K_M (``src/llama-quant.cpp``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engines.exceptions import NotFoundError
from engines.fit.layers import LayerMemory
from engines.fit.model_shape import ModelShape
from engines.gguf.layout import TENSOR_BLOCKS

TABLE = Path(__file__).resolve().parent.parent / "data" / "qwen3.json"
VOCABULARY = 151_936
HEAD = 128
QUANTISATION = "Q4_K_M"
_BLOCKS = {name: (elements, size) for name, elements, size in TENSOR_BLOCKS.values()}


@dataclass(frozen=True, slots=True)
class Qwen3Model:
    """One size of the family; contexts in tokens, without and with YaRN."""

    size: str
    model_id: str
    huggingface: str
    ollama: str
    native_context: int
    extended_context: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    """Of one expert, in a mixture."""
    experts: int
    experts_used: int
    tied: bool

    def parameters(self) -> int:
        """Weights in all layers, table and output matrix together."""
        matrices = self.attention_elements() + max(self.experts, 1) * self.expert_elements()
        tables = VOCABULARY * self.width * (1 if self.tied else 2)
        return self.layers * (matrices + self.small_elements()) + tables + self.width

    def attention_elements(self) -> int:
        return 2 * self.width * HEAD * (self.heads + self.kv_heads)

    def expert_elements(self) -> int:
        return 3 * self.width * self.feed_forward

    def small_elements(self) -> int:
        """Norms and the router, which stay float32."""
        return 2 * self.width + 2 * HEAD + self.width * self.experts

    def shape(self) -> ModelShape:
        """Return what a header of the usual quantisation would say."""
        memory = LayerMemory(self.kv_heads * HEAD, self.kv_heads * HEAD)
        layer_bytes = tuple(self._layer_bytes(layer) for layer in range(self.layers))
        table = VOCABULARY * self.width
        output = 4 * self.width + (0 if self.tied else _bytes(table, "Q6_K"))
        table_bytes = _bytes(table, "Q6_K" if self.tied else "Q4_K")
        return ModelShape(
            architecture="qwen3moe" if self.experts else "qwen3",
            context_length=self.native_context,
            layers=(memory,) * self.layers,
            layer_bytes=layer_bytes,
            table_bytes=table_bytes,
            output_bytes=output,
            is_tied=self.tied,
            active_bytes=self._active_bytes(output, table_bytes),
            vocabulary=VOCABULARY,
            width=self.width,
            attention_width=self.heads * HEAD,
            key_value_width=2 * self.kv_heads * HEAD,
            feed_forward=self.feed_forward * max(self.experts_used, 1),
            heads=self.heads,
            is_exact=True,
            looks_back=True,
        )

    def _layer_bytes(self, layer: int, experts: int = 0) -> int:
        """Bytes of one layer with so many of its experts; 0 means all."""
        precise = "Q6_K" if _has_more_bits(layer, self.layers) else "Q4_K"
        values = self.width * HEAD * self.kv_heads
        down = self.width * self.feed_forward
        each = _bytes(2 * down, "Q4_K") + _bytes(down, precise)
        attention = _bytes(self.attention_elements() - values, "Q4_K") + _bytes(values, precise)
        return attention + (experts or max(self.experts, 1)) * each + 4 * self.small_elements()

    def _active_bytes(self, output: int, table: int) -> int:
        layers = sum(self._layer_bytes(n, max(self.experts_used, 1)) for n in range(self.layers))
        return layers + output + (table if self.tied else 0)


@cache
def qwen3_models() -> tuple[Qwen3Model, ...]:
    """Return the family, smallest first, mixtures last."""
    rows: list[Mapping[str, object]] = json.loads(TABLE.read_text())
    return tuple(Qwen3Model(**row) for row in rows)  # type: ignore[arg-type]


def qwen3_model(name: str) -> Qwen3Model:
    """Find a size by any of its names; NotFoundError lists the sizes."""
    for model in qwen3_models():
        if name in (model.size, model.model_id, model.huggingface, model.ollama):
            return model
    sizes = ", ".join(model.size for model in qwen3_models())
    raise NotFoundError(f"Qwen 3 has no size {name[:100]!r}; there are {sizes}.")


def _has_more_bits(layer: int, count: int) -> bool:
    """Whether llama.cpp keeps this layer's values and way down in six bits: ends and each third."""
    eighth = count // 8
    return layer < eighth or layer >= 7 * count // 8 or (layer - eighth) % 3 == 2  # noqa: PLR2004


def _bytes(elements: int, kind: str) -> int:
    block, size = _BLOCKS[kind]
    return elements // block * size
