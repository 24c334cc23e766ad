"""What a folder's ``config.json`` says of a network of BERT's family.

Source: transformers' ``BertConfig``, ``XLMRobertaConfig``, ``NomicBertConfig`` and ``GteConfig``, and the
``configuration_hf_nomic_bert.py`` and ``configuration.py`` ("NewConfig") that their publishers keep beside the
models. None of that code is run. What decides the network and has another value than the one that is computed
is refused; tensors that nobody expects show the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from engines.gguf.header import shown
from engines.runtimes.openvino.bert import (
    BERT,
    GTE,
    MAX_EPSILON,
    MAX_ROPE,
    MIN_ROPE,
    NOMIC,
    BertShape,
    refuse,
)
from engines.runtimes.text.response_format import Json

NOMIC_TRAINED = 2048
"""Positions beyond them turn by other angles, which are found out text by text."""
MAX_FACTOR = 64.0
_ROBERTA = frozenset({"xlm-roberta", "roberta", "camembert"})
_OFF = (False, None, 0)
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "is_decoder": _OFF,
    "add_cross_attention": _OFF,
    "use_bidirectional_attention": (True, None),
}
"""Of every kind: the values that mean what is computed; a key that is absent means it too."""
_USUAL = ("gelu",)
_KINDS: Mapping[str, tuple[str, Mapping[str, tuple[object, ...]]]] = MappingProxyType(
    {
        "bert": (BERT, {"position_embedding_type": ("absolute", None), "hidden_act": _USUAL}),
        **{
            name: (BERT, {"position_embedding_type": ("absolute", None), "hidden_act": _USUAL})
            for name in _ROBERTA
        },
        "nomic_bert": (
            NOMIC,
            {
                "activation_function": ("swiglu",),
                "hidden_act": ("silu", None),
                "prenorm": _OFF,
                "parallel_block": _OFF,
                "causal": _OFF,
                "use_rms_norm": _OFF,
                "rotary_emb_interleaved": _OFF,
                "rotary_emb_fraction": (1.0,),
                "rotary_emb_scale_base": _OFF,
                "scale_attn_weights": (True,),
                "scale_attn_by_inverse_layer_idx": _OFF,
                "moe_every_n_layers": _OFF,
            },
        ),
        **{
            name: (
                GTE,
                {
                    "hidden_act": _USUAL,
                    "position_embedding_type": ("rope", None),
                    "layer_norm_type": ("layer_norm",),
                    "logn_attention_scale": _OFF,
                    "logn_attention_clip1": _OFF,
                },
            )
            for name in ("new", "gte")
        },
    }
)


@dataclass(frozen=True, slots=True)
class StatedNetwork:
    """A network as a configuration states it; of the tensors nothing is known yet."""

    shape: BertShape
    first_position: int
    """Rows of the table of positions before the first that a text uses."""


def read_network(config: Json) -> StatedNetwork:
    """Return the network of a configuration; InvalidRequestError with why it is not computed."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in _KINDS:
        refuse(f"its model_type is {shown(str(kind))}, not one of {', '.join(sorted(_KINDS))}")
    architecture, values = _KINDS[kind]
    for key, usual in {**_PLAIN, **values}.items():
        if key in config and config[key] not in usual:
            refuse(f"its {key} is {shown(str(config[key]))}")
    first = _number(config, "pad_token_id", default=1) + 1 if kind in _ROBERTA else 0
    shape = BertShape(
        architecture=architecture,
        layers=_number(config, "num_hidden_layers", "n_layer"),
        heads=_number(config, "num_attention_heads", "n_head"),
        width=_number(config, "hidden_size", "n_embd"),
        feed_forward=_number(config, "intermediate_size", "n_inner"),
        vocabulary=_number(config, "vocab_size"),
        positions=_number(config, "max_position_embeddings", "n_positions") - first,
        epsilon=_epsilon(config),
        rope_base=0.0,
        pooling="",
        elements=0,
        has_types=architecture != GTE or _number(config, "type_vocab_size", default=0) > 0,
    )
    if architecture == NOMIC:
        trained = _number(config, "max_trained_positions", default=NOMIC_TRAINED)
        shape = replace(shape, positions=min(shape.positions, trained))
    if shape.turns:
        base, divisor = _angles(config, shape)
        shape = replace(shape, rope_base=base, rope_divisor=divisor)
    shape.check_numbers()
    return StatedNetwork(shape, first)


def _number(config: Json, *names: str, default: int = -1) -> int:
    """A count, by whichever name a model has it; -1 where it has none."""
    found = [config[name] for name in names if config.get(name) is not None]
    if not found:
        return default
    if type(found[0]) is not int or found[0] < 0:
        refuse(f"its {names[0]} is no number of anything")
    return found[0]


def _epsilon(config: Json) -> float:
    value = config.get("layer_norm_eps", config.get("layer_norm_epsilon"))
    if not isinstance(value, float) or not 0 < value <= MAX_EPSILON:
        refuse("its norms have no usable epsilon")
    return value


def _angles(config: Json, shape: BertShape) -> tuple[float, float]:
    """The base of the angles by which positions turn, and what all of them are divided by."""
    stated = config.get("rope_parameters") or {}
    theta = _first(config.get("rope_theta"), config.get("rotary_emb_base"))
    base = _first(stated.get("rope_theta") if isinstance(stated, dict) else None, theta)
    scaling = config.get("rope_scaling") or stated
    if not isinstance(scaling, dict):
        refuse("its positions are stretched in an unknown way")
    base, divisor = _stretched(_real(base, "rope_theta"), scaling, shape)
    if not MIN_ROPE <= base <= MAX_ROPE or not 0 < divisor <= MAX_FACTOR:
        refuse("its positions turn by no usable angle")
    return base, divisor


def _stretched(base: float, scaling: Json, shape: BertShape) -> tuple[float, float]:
    how = _first(scaling.get("rope_type"), scaling.get("type"), "default")
    if how == "default":
        return base, 1.0
    factor = _real(scaling.get("factor"), "rope_scaling")
    if how == "linear" and factor >= 1:
        return base, factor
    # As "NewModel" has it: a larger base, and all angles a little smaller, whatever a text's length.
    if how != "ntk" or factor < 1 or scaling.get("mixed_b") is not None:
        refuse(f"its positions are stretched by {shown(str(how))}")
    return base * factor, factor ** (2 * shape.heads / shape.width)


def _real(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"its {what} is no number")
    return float(value)


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)
