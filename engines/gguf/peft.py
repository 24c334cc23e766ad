"""PEFT's LoRA adapters (adapter_config.json, adapter_model.safetensors) written as GGUF.

Names and the order of rows follow llama.cpp's conversion of the models themselves, so that the
adapter changes the tensors it was trained on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import AdapterMismatchError, InvalidRequestError, UnsafeModelFileError
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.header import GgufArray, GgufHeader, shown
from engines.gguf.reader import read_header
from engines.gguf.safetensors import StoredTensor, load_tensor, read_safetensors
from engines.gguf.writer import Metadata, write_gguf

MAX_CONFIG_BYTES = 1024 * 1024
MAX_RANK = 1024
MAX_ALPHA = 1e6
ARCHITECTURES = ("llama", "qwen2", "qwen3")
_PAIRWISE_ROTATION = ("llama",)
"""Architectures whose GGUF files hold query and key rows in the order of rotated pairs."""
_MODULE = (
    r"base_model\.model\.(?P<path>model\.layers\.(?P<layer>0|[1-9][0-9]{0,2})\."
    r"(?P<module>self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)|lm_head|model\.embed_tokens)"
    r"(?P<inner>\.base_layer)?"
)
_NAME = re.compile(rf"{_MODULE}\.lora_(?:(?P<table>embedding_)?(?P<side>[AB]))(?:\.weight)?")
_PAIR = re.compile(r"base_model\.model\.(?P<path>.+)\.lora_[AB](?:\.weight)?")
_WHOLE = re.compile(rf"{_MODULE}\.weight")
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
    "modules_to_save",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
"""Options of LoraConfig that change what an adapter means in a way a GGUF adapter cannot say."""
_SOUND_STARTS = (True, False, "gaussian", "eva", "orthogonal", None)
"""Values of ``init_lora_weights`` that leave the base as it is."""

MAX_PATTERNS = 1024
_PLAIN_PATTERN = re.compile(
    r"[\^]?(?:[\w.$|()-]|\\[.d]|\[0-9\]|\.\*|\\d\+|\[0-9\]\+){1,200}", re.ASCII
)
_REPEATED = re.compile(r"[*+]")
MAX_REPEATS = 2

_CONVERTER = (
    "Convert it to GGUF with llama.cpp's convert_lora_to_gguf.py and upload that file; where that refuses it, "
    "merge it into its model."
)
_MERGE = (
    "Merge it into its model (PEFT's merge_and_unload), convert that model to GGUF, and have a curator "
    "add it as an entry."
)
_SAVE_AGAIN = "Save it again with PEFT's save_pretrained, and upload both files of that folder."
"""What to do next: llama.cpp's converter knows more architectures and names, and fewer scales."""

_TABLE = "token_embd.weight"
Array = NDArray[Any]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """What of a LoraConfig decides the adapter's effect: W + B A alpha / rank, by module."""

    rank: int
    alpha: float
    use_rslora: bool
    ranks: tuple[tuple[re.Pattern[str], int], ...] = ()
    alphas: tuple[tuple[re.Pattern[str], float], ...] = ()

    @classmethod
    def parse(cls, text: bytes) -> PeftConfig:
        """Raises InvalidRequestError for what is no LoRA, or one that GGUF cannot express."""
        given = _json_object(text)
        if given.get("peft_type") != "LORA":
            _decline(f"its peft_type is {shown(str(given.get('peft_type')))}, not 'LORA'", _MERGE)
        # Named and refused rather than ignored: the adapter would load and answer something else.
        used = [name for name in _NOT_CONVERTED if given.get(name)]
        if given.get("bias", "none") != "none":
            used.append("bias")
        if given.get("init_lora_weights") not in _SOUND_STARTS:
            used.append("init_lora_weights")
        if used:
            _decline(f"it uses {', '.join(used)}, which a GGUF adapter cannot express", _MERGE)
        return cls(
            _rank("r", given.get("r")),
            _alpha("lora_alpha", given.get("lora_alpha")),
            use_rslora=bool(given.get("use_rslora")),
            ranks=tuple((p, _rank("rank_pattern", v)) for p, v in _patterns(given, "rank_pattern")),
            alphas=tuple(
                (p, _alpha("alpha_pattern", v)) for p, v in _patterns(given, "alpha_pattern")
            ),
        )

    def rank_of(self, module: str) -> int:
        """Return the rank of a module by its name in the model, as PEFT chooses it."""
        return _first_match(self.ranks, module, self.rank)

    def gguf_alpha_of(self, module: str) -> float:
        """Return the number that a GGUF file divides by the rank to scale a module's change."""
        alpha = _first_match(self.alphas, module, self.alpha)
        # Rank-stabilised LoRA divides by the root of the rank (arXiv 2312.03732); GGUF divides by it.
        return alpha * math.sqrt(self.rank_of(module)) if self.use_rslora else alpha

    @property
    def other_way(self) -> str:
        """What to do with an adapter that is not converted here: llama.cpp's converter knows one alpha."""
        return _MERGE if self.use_rslora or self.alphas else _CONVERTER

    @property
    def gguf_alpha(self) -> float:
        """The one number of the whole file."""
        return self.alpha * math.sqrt(self.rank) if self.use_rslora else self.alpha


@dataclass(frozen=True, slots=True)
class _Target:
    """Where one saved tensor goes."""

    module: str
    """Its name in the model, as PEFT's patterns mean it."""
    base: str
    """The tensor of the GGUF model that it changes."""
    side: str
    """``a`` or ``b``."""

    @property
    def name(self) -> str:
        return f"{self.base}.lora_{self.side}"


def convert_peft(config: bytes, weights: Path, base: GgufHeader, target: Path) -> int:
    """Write ``target``, a GGUF adapter with the same effect on ``base``; return how many tensors it changes.

    Raises InvalidRequestError, UnsafeModelFileError, AdapterMismatchError; then there is no target.
    """
    settings = PeftConfig.parse(config)
    if base.architecture not in ARCHITECTURES:
        _decline(
            f"adapters of {shown(base.architecture)} models are not converted here",
            settings.other_way,
        )
    stored = read_safetensors(weights)
    tensors: dict[str, Array] = {}
    for name, tensor in sorted(stored.items()):
        if _is_copy_of_base(name, tensor, base):
            continue
        found = _target(name, base.architecture, settings.other_way)
        if found.name in tensors:
            _decline(f"it holds the change of {shown(found.module)} twice", _SAVE_AGAIN)
        numbers = _converted(name, tensor, weights, base)
        _check_rank(name, found, numbers, settings)
        tensors[found.name] = _scaled(numbers, found, settings)
    metadata: Metadata = {
        "general.architecture": base.architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": settings.gguf_alpha,
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
        _decline(f"its configuration has {len(text)} bytes", _SAVE_AGAIN)
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        _decline("its configuration is not JSON", _SAVE_AGAIN)
    if not isinstance(given, dict):
        _decline("its configuration is not a JSON object", _SAVE_AGAIN)
    return given


def _rank(field: str, rank: object) -> int:
    if type(rank) is not int or not 0 < rank <= MAX_RANK:
        what = "its rank r" if field == "r" else f"a rank of its {field}"
        _decline(f"{what} is not a whole number from 1 to {MAX_RANK}", _SAVE_AGAIN)
    return rank


def _alpha(field: str, alpha: object) -> float:
    what = f"its {field}" if field == "lora_alpha" else f"a value of its {field}"
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        _decline(f"{what} is not a number", _SAVE_AGAIN)
    if not 0 < abs(alpha) <= MAX_ALPHA:
        # Zero would mean "no scaling" to llama.cpp.
        _decline(f"{what} is zero or beyond {MAX_ALPHA:.0f}", _SAVE_AGAIN)
    return float(alpha)


def _patterns(given: Mapping[str, object], field: str) -> list[tuple[re.Pattern[str], object]]:
    """Return the patterns of modules in their order, with what they are given.

    They come from outside, so only those are taken that cannot keep a matcher busy for long.
    """
    stated = given.get(field) or {}
    if not isinstance(stated, dict) or len(stated) > MAX_PATTERNS:
        _decline(f"its {field} is not an object of at most {MAX_PATTERNS} modules", _MERGE)
    return [(_pattern(field, str(key)), value) for key, value in stated.items()]


def _pattern(field: str, key: str) -> re.Pattern[str]:
    if not _PLAIN_PATTERN.fullmatch(key) or len(_REPEATED.findall(key)) > MAX_REPEATS:
        _decline(f"its {field} has {shown(key)}, which is not a plain pattern", _MERGE)
    try:
        # As PEFT's get_pattern_key reads it; "^" is the model's own start.
        return re.compile(key if key.startswith("^") else rf"(?:.*\.)?(?:{key})")
    except re.error:
        _decline(f"its {field} has {shown(key)}, which is not a pattern", _SAVE_AGAIN)


def _first_match(
    patterns: Sequence[tuple[re.Pattern[str], Number]], module: str, default: Number
) -> Number:
    return next((value for found, value in patterns if found.fullmatch(module)), default)


def _target(name: str, architecture: str, other_way: str) -> _Target:
    found = _NAME.fullmatch(name)
    if found is None:
        if _WHOLE.fullmatch(name):
            _decline(f"it holds a whole {shown(name)}, as after tokens were added", _MERGE)
        if pair := _PAIR.fullmatch(name):
            # Query, key and value in one (qkv_proj, W_pack), or one of many experts: to split it is to guess its order.
            _decline(
                f"it changes {shown(pair['path'])}, which has no tensor of its own in files of "
                f"{shown(architecture)} models",
                f"Choose the model that it was trained on. {other_way}",
            )
        _decline(f"it holds {shown(name)}, which is not a LoRA pair of a projection", other_way)
    module = found["path"]
    is_table = module.endswith("embed_tokens")
    if is_table != bool(found["table"]):
        _decline(f"it holds {shown(name)}, which is not a LoRA pair of a projection", _SAVE_AGAIN)
    return _Target(module, _base_tensor(found), found["side"].lower())


def _base_tensor(found: re.Match[str]) -> str:
    if found["layer"]:
        return f"blk.{int(found['layer'])}.{_MODULES[found['module']]}.weight"
    return _TABLE if found["path"].endswith("embed_tokens") else "output.weight"


def _is_copy_of_base(name: str, tensor: StoredTensor, base: GgufHeader) -> bool:
    """Whether it is the unchanged weight that PEFT saves beside the change of an embedding.

    One with more rows is of a model to which tokens were added.
    """
    found = _WHOLE.fullmatch(name)
    if found is None or not found["inner"]:
        return False
    shapes = {each.name: each.shape for each in base.tensors}
    # A tied output is not in the file, which counts the fastest axis first.
    return shapes.get(_base_tensor(found), shapes.get(_TABLE)) == tensor.shape[::-1]


def _converted(name: str, tensor: StoredTensor, weights: Path, base: GgufHeader) -> Array:
    if len(tensor.shape) != 2:  # noqa: PLR2004 - a matrix
        _decline(f"{shown(name)} is not a matrix", _SAVE_AGAIN)
    numbers = load_tensor(weights, tensor)
    # One NaN would make every answer of this adapter's owner NaN.
    if not np.isfinite(numbers).all():
        _decline(f"{shown(name)} holds values that are not finite numbers", _SAVE_AGAIN)
    if ".lora_embedding_A" in name:
        # The table is looked up, not multiplied: llama.cpp reads rows of tokens.
        return np.ascontiguousarray(numbers.T)
    count = _heads_of(name, base) if ".lora_B" in name and _rotates(base) else 0
    return _paired(name, numbers, count) if count else numbers


def _heads_of(name: str, base: GgufHeader) -> int:
    """Return how many heads the rows of a module are; 0 for a module without."""
    found = _NAME.fullmatch(name)
    module, layer = (found["module"], found["layer"]) if found else ("", "")
    if not module or not module.endswith(("q_proj", "k_proj")):
        return 0
    facts = base.facts()
    key = f"{base.architecture}.attention.head_count"
    stated = base.metadata.get(key if module.endswith("q_proj") else f"{key}_kv")
    if isinstance(stated, GgufArray) and int(layer) < len(stated.values):
        # Pruned models have other numbers of heads from layer to layer.
        return int(stated.values[int(layer)])
    return facts.head_count if module.endswith("q_proj") else facts.head_count_kv


def _scaled(numbers: Array, target: _Target, settings: PeftConfig) -> Array:
    """Fold into B what a module's scale is beside that of the file, which has only one."""
    ratio = settings.gguf_alpha_of(target.module) / settings.gguf_alpha
    if target.side == "a" or ratio == 1.0:
        return numbers
    scaled = numbers.astype(np.float32) * np.float32(ratio)
    if not np.isfinite(scaled).all():
        _decline(f"the scale of {shown(target.module)} makes its values infinite", _SAVE_AGAIN)
    return scaled


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


def _check_rank(name: str, target: _Target, numbers: Array, settings: PeftConfig) -> None:
    is_first = target.side == "a" and target.base != _TABLE
    found = numbers.shape[0 if is_first else 1]
    rank = settings.rank_of(target.module)
    if found != rank:
        _decline(f"{shown(name)} has rank {found} and the configuration says {rank}", _SAVE_AGAIN)


def _decline(reason: str, advice: str) -> NoReturn:
    raise InvalidRequestError(f"This PEFT adapter is not imported: {reason}. {advice}")
