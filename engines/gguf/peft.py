"""PEFT's LoRA adapters (adapter_config.json, adapter_model.safetensors) written as GGUF.

Names and the order of rows follow llama.cpp's conversion of the models themselves, so that the
adapter changes the tensors it was trained on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import AdapterMismatchError, InvalidRequestError, UnsafeModelFileError
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.header import GgufHeader, shown
from engines.gguf.reader import read_header
from engines.gguf.safetensors import StoredTensor, load_tensor, read_safetensors
from engines.gguf.writer import Metadata, write_gguf

MAX_CONFIG_BYTES = 1024 * 1024
MAX_RANK = 1024
MAX_ALPHA = 1e6
ARCHITECTURES = ("llama", "qwen2", "qwen3")
_PAIRWISE_ROTATION = ("llama",)
"""Architectures whose GGUF files hold query and key rows in the order of rotated pairs."""
_NAME = re.compile(
    r"base_model\.model\.(?:model\.layers\.(?P<layer>0|[1-9][0-9]{0,2})\."
    r"(?P<module>self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)|(?P<head>lm_head))"
    r"\.lora_(?P<side>[AB])\.weight"
)
_MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NOT_CONVERTED = (
    "use_dora",
    "use_qalora",
    "lora_bias",
    "fan_in_fan_out",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
"""Options of LoraConfig that change what an adapter means in a way a GGUF adapter cannot say."""
_SOUND_STARTS = (True, False, "gaussian", "eva", "orthogonal", None)
"""Values of ``init_lora_weights`` that leave the base as it is."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """What of a LoraConfig decides the adapter's effect: W + B A alpha / rank."""

    rank: int
    alpha: float

    @classmethod
    def parse(cls, text: bytes) -> PeftConfig:
        """Raises InvalidRequestError for what is no LoRA, or one that GGUF cannot express."""
        given = _json_object(text)
        if given.get("peft_type") != "LORA":
            _decline(f"its peft_type is {shown(str(given.get('peft_type')))}, not 'LORA'")
        # Named and refused rather than ignored: the adapter would load and answer something else.
        used = [name for name in _NOT_CONVERTED if given.get(name)]
        if given.get("bias", "none") != "none":
            used.append("bias")
        if given.get("init_lora_weights") not in _SOUND_STARTS:
            used.append("init_lora_weights")
        if used:
            _decline(f"it uses {', '.join(used)}, which a GGUF adapter cannot express")
        return cls(*_scaling(given))


def convert_peft(config: bytes, weights: Path, base: GgufHeader, target: Path) -> int:
    """Write ``target``, a GGUF adapter with the same effect on ``base``; return how many tensors it changes.

    Raises InvalidRequestError, UnsafeModelFileError, AdapterMismatchError; then there is no target.
    """
    settings = PeftConfig.parse(config)
    if base.architecture not in ARCHITECTURES:
        _decline(f"adapters of {shown(base.architecture)} models are not converted here")
    stored = read_safetensors(weights)
    tensors = {
        _target_name(name): _converted(name, tensor, weights, base)
        for name, tensor in sorted(stored.items())
    }
    _check_ranks(tensors, settings.rank)
    metadata: Metadata = {
        "general.architecture": base.architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": settings.alpha,
    }
    write_gguf(target, metadata, tensors)
    # Read back through the same gate as an uploaded file: what we wrote is not trusted either.
    try:
        return check_adapter_fits(read_header(target), base)
    except (AdapterMismatchError, UnsafeModelFileError):
        target.unlink()
        raise


def _json_object(text: bytes) -> Mapping[str, object]:
    if len(text) > MAX_CONFIG_BYTES:
        _decline(f"its configuration has {len(text)} bytes")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        _decline("its configuration is not JSON")
    if not isinstance(given, dict):
        _decline("its configuration is not a JSON object")
    return given


def _scaling(given: Mapping[str, object]) -> tuple[int, float]:
    rank, alpha = given.get("r"), given.get("lora_alpha")
    if type(rank) is not int or not 0 < rank <= MAX_RANK:
        _decline(f"its rank r is not a whole number from 1 to {MAX_RANK}")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        _decline("its lora_alpha is not a number")
    if not 0 < abs(alpha) <= MAX_ALPHA:
        # Zero would mean "no scaling" to llama.cpp.
        _decline(f"its lora_alpha is zero or beyond {MAX_ALPHA:.0f}")
    # Rank-stabilised LoRA divides by the root of the rank (arXiv 2312.03732); GGUF divides by it.
    return rank, float(alpha) * (math.sqrt(rank) if given.get("use_rslora") else 1.0)


def _target_name(name: str) -> str:
    found = _NAME.fullmatch(name)
    if found is None:
        _decline(f"it holds {shown(name)}, which is not a LoRA pair of a projection")
    part = f"blk.{int(found['layer'])}.{_MODULES[found['module']]}" if found["layer"] else "output"
    return f"{part}.weight.lora_{found['side'].lower()}"


def _converted(name: str, tensor: StoredTensor, weights: Path, base: GgufHeader) -> Array:
    if len(tensor.shape) != 2:  # noqa: PLR2004 - a matrix
        _decline(f"{shown(name)} is not a matrix")
    numbers = load_tensor(weights, tensor)
    # One NaN would make every answer of this adapter's owner NaN.
    if not np.isfinite(numbers).all():
        _decline(f"{shown(name)} holds values that are not finite numbers")
    facts = base.facts()
    heads = {".q_proj.lora_B.": facts.head_count, ".k_proj.lora_B.": facts.head_count_kv}
    count = next((count for part, count in heads.items() if part in name), 0)
    return _paired(name, numbers, count) if _rotates(base) and count else numbers


def _rotates(base: GgufHeader) -> bool:
    return base.architecture in _PAIRWISE_ROTATION


def _paired(name: str, rows: Array, heads: int) -> Array:
    """Reorder each head's rows from (first half, second half) to pairs, as the base's rows are."""
    if len(rows) % (2 * heads):
        raise AdapterMismatchError(
            f"{shown(name)} has {len(rows)} rows and the model {heads} heads; use the model that the "
            "adapter was trained on."
        )
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, rows.shape[1])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _check_ranks(tensors: Mapping[str, Array], rank: int) -> None:
    for name, tensor in tensors.items():
        found = tensor.shape[0] if name.endswith("_a") else tensor.shape[1]
        if found != rank:
            _decline(f"{shown(name)} has rank {found} and the configuration says {rank}")


def _decline(reason: str) -> NoReturn:
    raise InvalidRequestError(
        f"This PEFT adapter is not imported: {reason}. Save it as a plain LoRA adapter, or convert it "
        "to GGUF with llama.cpp's convert_lora_to_gguf.py."
    )
