"""The memory that a transformers child may take, from its folder's files and configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engines import machine
from engines.runtimes.child.readable import gpu_devices
from engines.runtimes.child.sandbox import MEMORY_SHARE
from engines.runtimes.hugging_face.parameters import BATCH_TOKENS
from engines.runtimes.text.response_format import Json
from engines.specs import EngineSpec

MARGIN_BYTES = 3 * 1024**3
"""torch's own code and tables (0.9 GiB, measured), a vocabulary, templates, the allocator's spare."""
THREAD_BYTES = 64 * 1024**2
"""A thread's stack and its share of the allocator, both private memory from the start."""
FLOAT_BYTES = 4
"""On a CPU everything is computed in float32."""
GROWTH = {"float32": 1, "float16": 2, "bfloat16": 2}
"""How weights grow when they become float32; of a kind that is not known the most: 8 bits to 32."""
MOST_GROWTH = 4
KEPT_PER_LAYER = 2
"""Keys and values of a token; they are copied whenever one is added."""
COMPUTED_WITH = 8
"""Vectors of a token that are there at the same time while a layer is computed."""
MOST_OF_THE_MACHINE = 0


def memory_limit(spec: EngineSpec, configs: Iterable[tuple[Path, Json]], threads: int) -> int:
    """Return the bytes for a model and the one that embeds for it, each a folder and its configuration.

    0, most of the machine, where a GPU may be used, whose driver maps what nobody can count, and where
    more than that would be needed.
    """
    if spec.device != "cpu" and gpu_devices():
        return MOST_OF_THE_MACHINE
    counted = sum(
        _weights(folder, config) + _work(spec, _text_part(config)) for folder, config in configs
    )
    limit = counted + threads * THREAD_BYTES + MARGIN_BYTES
    most = int(machine.memory_bytes() * MEMORY_SHARE)
    return limit if limit < most else MOST_OF_THE_MACHINE


def _weights(folder: Path, config: Json) -> int:
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    kind = str(config.get("dtype") or config.get("torch_dtype"))
    return size * GROWTH.get(kind, MOST_GROWTH)


def _text_part(config: Json) -> Json:
    """A model that also sees or hears nests its text part's configuration."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def _work(spec: EngineSpec, config: Json) -> int:
    """Bytes for a whole context: what is kept of its tokens, and what a layer is computed with."""
    trained = _number(config, "max_position_embeddings", "n_positions")
    context = min(spec.context_length or trained, trained or spec.context_length)
    width = _number(config, "hidden_size", "n_embd")
    inner = max(_number(config, "intermediate_size", "n_inner"), 4 * width)
    layers = _number(config, "num_hidden_layers", "n_layer")
    kept = layers * KEPT_PER_LAYER * width
    computed = COMPUTED_WITH * (width + inner)
    tokens = max(context, BATCH_TOKENS)
    floats = context * kept + tokens * computed + _number(config, "vocab_size") * COMPUTED_WITH
    if not spec.use_flash_attention:
        # Every token's attention to every other, before and after it is normalised.
        floats += _number(config, "num_attention_heads", "n_head") * tokens * context * 2
    return floats * FLOAT_BYTES


def _number(config: Json, *names: str) -> int:
    """A count of the configuration, whatever a model calls it; 0 where it has none."""
    found = (config.get(name) for name in names)
    return next((value for value in found if type(value) is int and value > 0), 0)
