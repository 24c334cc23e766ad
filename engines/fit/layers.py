"""How much cache and state each layer of a model needs, read from its header."""

from __future__ import annotations

from dataclasses import dataclass

from engines.fit import architectures as known
from engines.gguf.cursor import refuse
from engines.gguf.header import GgufArray, GgufHeader, shown

MAX_WIDTH = 2**24
"""Far above any published model; a hostile header must not make the sums meaningless."""
STATE_ELEMENT = 4
"""Recurrent states are float32 whatever the cache's type."""


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """Elements a token in one layer's cache; ``window`` in tokens, 0 for the whole context."""

    keys: int = 0
    values: int = 0
    window: int = 0
    state_bytes: int = 0
    """Of each request that runs at the same time, however long its text is."""


class Hyperparameters:
    """Numbers of a header by their short names, checked."""

    def __init__(self, header: GgufHeader) -> None:
        self.header = header
        self.architecture = header.architecture

    def get(self, name: str, default: int = 0) -> int:
        """One number; of a list, the largest."""
        return max(self.each(name, 1, default))

    def each(self, name: str, count: int, default: int = 0) -> list[int]:
        """A number for each of ``count`` layers, where the file may give one for all.

        Raises UnsafeModelFileError for a list that is too short or a number no model has.
        """
        key = f"{self.architecture}.{name}"
        value = self.header.metadata.get(key, default)
        if not isinstance(value, GgufArray):
            return [_checked(key, value)] * count
        numbers = [_checked(key, number) for number in value.values]
        if len(numbers) < count:
            refuse(f"{shown(key)} lists {len(numbers)} layers and the model has {count}")
        return numbers

    def lists_layers(self, name: str) -> bool:
        return isinstance(self.header.metadata.get(f"{self.architecture}.{name}"), GgufArray)

    def has(self, name: str) -> bool:
        return f"{self.architecture}.{name}" in self.header.metadata


def _checked(key: str, value: object) -> int:
    if not isinstance(value, int):
        refuse(f"{shown(key)} is not a whole number")
    if not 0 <= value <= MAX_WIDTH:
        refuse(f"{shown(key)} is {value} and must be between 0 and {MAX_WIDTH}")
    return int(value)


def read_layers(header: GgufHeader) -> tuple[LayerMemory, ...]:
    """Return the memory of each layer that is computed; appended prediction layers do not run.

    Raises UnsafeModelFileError when a number the cache's size depends on cannot be right.
    """
    values = Hyperparameters(header)
    all_layers = values.get("block_count")
    count = all_layers - min(values.get("nextn_predict_layers"), all_layers)
    if values.architecture in known.WITHOUT_CACHE:
        return (LayerMemory(),) * count
    # Hybrid models have either or both, layer by layer; the rules are llama.cpp's, architecture by architecture.
    with_state = _with_state(values, count)
    with_cache = _with_cache(values, count, with_state)
    state = _state_bytes(values)
    caches = _caches(values, count)
    return tuple(
        _layer(caches[layer] if with_cache[layer] else None, state if with_state[layer] else 0)
        for layer in range(count)
    )


def _layer(cache: LayerMemory | None, state_bytes: int) -> LayerMemory:
    if cache is None:
        return LayerMemory(state_bytes=state_bytes)
    return LayerMemory(cache.keys, cache.values, cache.window, state_bytes)


def _with_state(values: Hyperparameters, count: int) -> list[bool]:
    name = values.architecture
    heads = _key_value_heads(values, count)
    if name in known.RECURRENT or name in known.HYBRID_BOTH:
        return [True] * count
    if name in known.HYBRID_BY_HEADS:
        return [number == 0 for number in heads[:count]]
    if name in known.HYBRID_BY_HEADS_AND_WIDTH:
        widths = values.each("feed_forward_length", count)
        return [number == width == 0 for number, width in zip(heads, widths, strict=False)]
    if name in known.HYBRID_BY_INTERVAL:
        return _between_full_attention(values, count)
    return [False] * count


def _between_full_attention(values: Hyperparameters, count: int) -> list[bool]:
    if values.has("attention.recurrent_layers"):
        return [bool(flag) for flag in values.each("attention.recurrent_layers", count)]
    usual = known.HYBRID_BY_INTERVAL[values.architecture]
    interval = values.get("full_attention_interval", usual) or usual
    return [(layer + 1) % interval != 0 for layer in range(count)]


def _with_cache(values: Hyperparameters, count: int, with_state: list[bool]) -> list[bool]:
    name = values.architecture
    if name in known.RECURRENT:
        return [False] * count
    if name in known.HYBRID_BOTH:
        return [True] * count
    own = known.SHARED_FROM_LAYER.get(name, count)
    if name in known.SHARED_AS_THE_FILE_SAYS:
        own = count - min(values.get("attention.shared_kv_layers"), count)
    return [layer < own and not with_state[layer] for layer in range(count)]


def _key_value_heads(values: Hyperparameters, count: int) -> list[int]:
    heads = values.each("attention.head_count", count)
    if not values.has("attention.head_count_kv"):
        return heads
    return values.each("attention.head_count_kv", count)


def _caches(values: Hyperparameters, count: int) -> list[LayerMemory]:
    """Each layer's cache, as if it had one."""
    windows = _windows(values, count)
    heads = _key_value_heads(values, count)
    full, sliding = _head_lengths(values)
    indexer = values.get("attention.indexer.key_length")
    is_latent = values.get("attention.key_length_mla") and values.get("attention.value_length_mla")
    caches = []
    for number, window in zip(heads, windows, strict=False):
        key_length, value_length = sliding if window else full
        # With multi-head latent attention the values are a part of the keys and kept once.
        width = 0 if is_latent else number * value_length
        caches.append(LayerMemory(number * key_length + indexer, width, window))
    return caches


def _head_lengths(values: Hyperparameters) -> tuple[tuple[int, int], tuple[int, int]]:
    """Elements of a key and of a value: in layers that see everything, in those with a window."""
    heads = max(_first_head_count(values), 1)
    usual = values.get("embedding_length") // heads
    keys = values.get("attention.key_length", usual)
    widths = values.get("attention.value_length", usual)
    sliding_keys = values.get("attention.key_length_swa", keys)
    sliding_values = values.get("attention.value_length_swa", widths)
    return (keys, widths), (sliding_keys, sliding_values)


def _first_head_count(values: Hyperparameters) -> int:
    return values.each("attention.head_count", 1)[0]


def _windows(values: Hyperparameters, count: int) -> list[int]:
    rule = _sliding_rule(values, count)
    window = _window(values, rule) if rule else 0
    if rule is None or not window:
        return [0] * count
    return [window if slides else 0 for slides in _sliding_layers(values, rule, count)]


def _sliding_rule(values: Hyperparameters, count: int) -> known.Sliding | None:
    if values.architecture == "exaone4":
        return known.EXAONE4 if count == known.EXAONE4_LAYERS_WITH_WINDOW else None
    return known.SLIDING.get(values.architecture)


def _window(values: Hyperparameters, rule: known.Sliding) -> int:
    stated = values.get("attention.sliding_window", rule.window)
    # llama.cpp ignores the file's number for some architectures.
    return rule.window if stated and rule.forced else stated


def _sliding_layers(values: Hyperparameters, rule: known.Sliding, count: int) -> list[bool]:
    name = "attention.sliding_window_pattern"
    if rule.everywhere:
        return [True] * count
    if values.lists_layers(name) or not rule.period:
        return [bool(flag) for flag in values.each(name, count)]
    period = values.get(name, rule.period)
    if not period:
        return [True] * count
    dense = 0 if rule.dense_first else period - 1
    return [layer % period != dense for layer in range(count)]


def attention_width(values: Hyperparameters) -> int:
    """Elements of a token's queries; with latent attention half of all that stands for them at one time."""
    heads = values.get("attention.head_count")
    length = values.get("attention.key_length", values.get("embedding_length") // max(heads, 1))
    # The query as it is projected, its turned part, and the latent one that is made of both.
    apart = values.get("attention.key_length_mla")
    turned = values.get("rope.dimension_count") if apart else 0
    return heads * (length + (apart + turned) // 2)


def recurrent_width(values: Hyperparameters) -> int:
    """Elements of a token between the projections of Mamba 2; 0 where there are none.

    Source: llama.cpp, ``build_mamba2_layer`` in ``src/models/mamba-base.cpp``.
    """
    groups = values.get("ssm.group_count")
    if not groups or values.architecture in known.HYBRID_BY_INTERVAL:
        return 0
    inner, heads = values.get("ssm.inner_size"), values.get("ssm.time_step_rank")
    convolved = inner + 2 * groups * values.get("ssm.state_size")
    scanned = 2 * inner + max(inner, convolved)
    return inner + convolved + heads + convolved + scanned + heads + values.get("embedding_length")


def _state_bytes(values: Hyperparameters) -> int:
    """Of one layer and one request: short convolution's history and recurrent state."""
    return STATE_ELEMENT * sum(_state_elements(values))


def _state_elements(values: Hyperparameters) -> tuple[int, int]:
    """Elements as ``llama_hparams::n_embd_r`` and ``n_embd_s`` count them."""
    width = values.get("embedding_length")
    heads = _first_head_count(values)
    if rows := values.get("wkv.head_size"):
        return values.get("token_shift_count", 2) * width, width * rows
    if cache := values.get("shortconv.l_cache"):
        return width * (cache - 1), 0
    taps = max(values.get("ssm.conv_kernel") - 1, 0)
    if head := values.get("kda.head_dim"):
        return 3 * (taps or 3) * heads * head, head * head * heads
    if values.architecture == "minimax-01":
        head = _head_lengths(values)[0][0]
        return 0, head * head * heads
    inner, state = values.get("ssm.inner_size"), values.get("ssm.state_size")
    return taps * (inner + 2 * values.get("ssm.group_count") * state), state * inner
