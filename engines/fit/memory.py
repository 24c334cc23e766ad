"""How much memory a model needs: weights, cache, states and the room to compute in.

Source: llama.cpp, ``src/llama-kv-cache*.cpp``, ``src/llama-memory-recurrent.cpp`` and
``llama_context::sched_reserve``; compared with what llama.cpp itself reserves in tests/fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engines.exceptions import InvalidRequestError
from engines.fit.architectures import HYBRID_BY_INTERVAL, SLIDING_ENCODERS
from engines.fit.layers import LayerMemory
from engines.fit.model_shape import ModelShape
from engines.gguf.layout import TENSOR_BLOCKS

CacheType = Literal["f16", "q8_0", "q4_0"]
CACHE_TYPES: tuple[CacheType, ...] = ("f16", "q8_0", "q4_0")
MAX_CONTEXT = 2**26
MAX_PARALLEL = 256
"""llama.cpp's limit of sequences in a context."""
PROCESS_BYTES = 128 * 1024**2
"""An engine's own process: interpreter, libraries, vocabulary."""
CHECKPOINTS = 32
CHECKPOINT_BYTES = 512 * 1024**2
"""Most copies that an engine keeps of what layers with a window or a state remember, and their bytes."""
PROMPT_BATCH, GPU_PROMPT_BATCH = 128, 512
"""Most tokens of a prompt that an engine reads at once."""
_CELL_STEP = 256
"""llama.cpp rounds the cells of a cache up to this."""
_BLOCKS = {name: (elements, size) for name, elements, size in TENSOR_BLOCKS.values()}
_FLOAT = 4


@dataclass(frozen=True, slots=True)
class Load:
    """The load to plan for: tokens of each request, and requests at the same time."""

    context_length: int
    parallel: int = 1
    cache_type: CacheType = "f16"
    batch: int = GPU_PROMPT_BATCH
    """Tokens computed at once."""
    flash_attention: bool = True
    """llama.cpp's choice wherever the hardware has it; a quantised cache needs it."""
    shared: bool = False
    """Whether all requests share one cache of this length instead of having one each."""
    contexts: int = 1
    """Contexts of this kind side by side, each with caches and memory to compute in of its own."""
    has_checkpoints: bool = False
    """Whether what was read is kept for the next request also by models that forget."""

    def __post_init__(self) -> None:
        _require("context length", self.context_length, MAX_CONTEXT)
        _require("number of parallel requests", self.parallel, MAX_PARALLEL)
        _require("batch", self.batch, MAX_CONTEXT)
        _require("number of contexts", self.contexts, MAX_PARALLEL)
        if self.cache_type not in CACHE_TYPES:
            raise InvalidRequestError(
                f"{self.cache_type!r} is not a cache type; choose {', '.join(CACHE_TYPES)}."
            )

    @property
    def cells(self) -> int:
        """Places for tokens in one cache."""
        return _rounded(self.context_length)

    @property
    def caches(self) -> int:
        return 1 if self.shared else self.parallel

    @property
    def tokens(self) -> int:
        """Tokens computed at once, of all requests together."""
        return min(self.batch, self.cells * self.caches)

    def window_cells(self, window: int) -> int:
        """Places in the cache of a layer with a window: it must hold a batch beside the window."""
        windows = window * (self.parallel if self.shared else 1)
        return _rounded(min(self.cells, windows + self.batch)) if window else self.cells


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes, and what they are for."""

    weights: int
    kv_cache: int
    states: int
    compute: int
    process: int = PROCESS_BYTES
    checkpoints: int = 0
    """Of windows and states, in main memory wherever the layers are."""

    @property
    def total(self) -> int:
        parts = self.weights + self.kv_cache + self.states + self.compute
        return parts + self.process + self.checkpoints


def estimate(shape: ModelShape, load: Load) -> MemoryEstimate:
    """Return what the model needs under this load, wherever its parts are placed."""
    return MemoryEstimate(
        weights=shape.weights_bytes,
        kv_cache=sum(layer_cache_bytes(layer, load) for layer in shape.layers),
        states=sum(layer.state_bytes for layer in shape.layers) * load.parallel * load.contexts,
        compute=compute_bytes(shape, load) * load.contexts,
        checkpoints=checkpoint_bytes(shape, load),
    )


def layer_cache_bytes(layer: LayerMemory, load: Load) -> int:
    """Bytes of one layer's keys and values for all requests."""
    cells = load.window_cells(layer.window) * load.caches * load.contexts
    return cells * (_row_bytes(layer.keys, load) + _row_bytes(layer.values, load))


def checkpoint_bytes(shape: ModelShape, load: Load) -> int:
    """Bytes of all checkpoints an engine may keep; 0 where it needs or takes none."""
    has_window = any(layer.window for layer in shape.layers)
    if not load.has_checkpoints or (has_window and not load.shared):
        return 0
    one = sum(_remembered_bytes(layer, load) for layer in shape.layers)
    return min(CHECKPOINTS * one, CHECKPOINT_BYTES) if one <= CHECKPOINT_BYTES else 0


def _remembered_bytes(layer: LayerMemory, load: Load) -> int:
    """Of one layer and sequence: what a copy is needed of to go back."""
    row = _row_bytes(layer.keys, load) + _row_bytes(layer.values, load)
    return min(layer.window, load.cells) * row + layer.state_bytes


def compute_bytes(shape: ModelShape, load: Load) -> int:
    """The largest of what attention, feed-forward and output of one context need at one time.

    The tensors of one phase live in the memory that the phase before has left.
    """
    # The maximum, not the sum: llama.cpp's allocator reuses one phase's memory for the next.
    mask = _mask_bytes(shape, load)
    row = _FLOAT * load.tokens
    scores = 0 if load.flash_attention else shape.heads * load.cells * row
    attention, feed_forward = _layer_widths(shape)
    phases = [attention * row + scores + mask, feed_forward * row + mask]
    if shape.has_head:
        phases += [_recurrent_bytes(shape, load), _output_bytes(shape, row, mask)]
    images = shape.deepstack_width * row
    return max(phases) + images + _FLOAT * shape.vocabulary * load.parallel


def _layer_widths(shape: ModelShape) -> tuple[int, int]:
    """Elements of a token in attention and in feed-forward."""
    feed_forward = (3 if shape.is_gated else 1) * shape.feed_forward
    # What each expert brings back is kept until all are added up.
    returned = shape.experts * shape.width
    if not shape.has_head:
        attention = 4 * shape.width + 2 * shape.attention_width
        return attention, feed_forward + returned + 2 * shape.width
    attention = 3 * shape.width + 2 * shape.attention_width + shape.key_value_width
    # Wider experts leave room for it where they were computed.
    is_narrow = shape.experts > 1 and shape.feed_forward < returned
    return attention, feed_forward + 4 * shape.width + (returned if is_narrow else 0)


def _recurrent_bytes(shape: ModelShape, load: Load) -> int:
    """What a scan brings forth: its tokens, and the new state of each request."""
    if not shape.recurrent_width:
        return 0
    state = max(layer.state_bytes for layer in shape.layers)
    return shape.recurrent_width * _FLOAT * load.tokens + state * load.parallel


def _output_bytes(shape: ModelShape, row: int, mask: int) -> int:
    """The output matrix's; in some hybrids it finds no room where the mask was before."""
    left = mask if shape.architecture in HYBRID_BY_INTERVAL else 0
    return (shape.vocabulary + 3 * shape.width) * row + left


def _mask_bytes(shape: ModelShape, load: Load) -> int:
    """Which token may see which cell: one mask for whole contexts, one for windows."""
    windows = [*{layer.window for layer in shape.layers if layer.keys}]
    if not shape.has_head:
        # A window of an encoder is a mask too, over the same tokens.
        windows = [0] * (2 if shape.architecture in SLIDING_ENCODERS else 1)
    element = 2 if load.flash_attention else _FLOAT
    return sum(element * load.tokens * load.window_cells(window) for window in windows)


def _row_bytes(elements: int, load: Load) -> int:
    block, size = _BLOCKS[load.cache_type.upper()]
    return -(-elements // block) * size


def _rounded(cells: int) -> int:
    return -(-cells // _CELL_STEP) * _CELL_STEP


def _require(what: str, number: int, limit: int) -> None:
    if type(number) is not int or not 1 <= number <= limit:
        raise InvalidRequestError(f"The {what} is {number!r} and must be from 1 to {limit}.")
