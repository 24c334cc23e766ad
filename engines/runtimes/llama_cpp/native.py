"""A thin layer over llama.cpp's C interface; imported in an engine's child only.

The process ends with its engine, so nothing here is freed one by one.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from llama_cpp import llama_cpp as api

# By name: as ``np.ctypeslib`` it is imported at first use, and two threads that use it first at once
# end in numpy's own recursion.
from numpy import ctypeslib
from numpy.typing import NDArray

from engines.exceptions import AdapterMismatchError, EngineError
from engines.runtimes.llama_cpp.batch import Batch, Part, pointer_to
from engines.runtimes.llama_cpp.devices import apply_offload, require_offloaded
from engines.runtimes.llama_cpp.wordpiece_vocab import word_pieces_of
from engines.runtimes.offload import Offload
from engines.runtimes.text.printable import make_printable
from engines.runtimes.text.runs import require_breaks
from engines.runtimes.text.wordpiece import WordPieces
from engines.specs import RANK_POOLING

GGML_WARN = 3
GGML_ERROR = 4
"""``enum ggml_log_level`` of ggml.h."""
LAST_ERRORS = 2
"""The first names the cause, the second what could not be done."""
MAX_REASON_CHARS = 300
CACHE_FULL = 1
ABORTED = 2
"""What ``llama_decode`` returns besides 0 (llama.h)."""
FROM_START = TO_END = -1
RENDER_CONTROL = False
WITH_DATA = True
PARTIAL_STATE = api.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
"""Without the caches that hold every token."""
STRLEN = ctypes.cast(ctypes.CDLL(None).strlen, api.ggml_abort_callback)
POOLINGS = {
    "model": api.LLAMA_POOLING_TYPE_UNSPECIFIED,
    "mean": api.LLAMA_POOLING_TYPE_MEAN,
    "cls": api.LLAMA_POOLING_TYPE_CLS,
    "last": api.LLAMA_POOLING_TYPE_LAST,
    "none": api.LLAMA_POOLING_TYPE_NONE,
    RANK_POOLING: api.LLAMA_POOLING_TYPE_RANK,
}


@dataclass
class NativeLog:
    """llama.cpp's log: warnings go to stderr, two facts are kept."""

    errors: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_ERRORS))
    """The last lines at level error."""
    offloaded: str = ""
    """``n/m`` layers on a GPU, as the loader reports them."""
    callback: Any = field(init=False)
    current: ClassVar[NativeLog | None] = None
    """The one that native code calls, referenced until another is called: its owner may be gone by then."""

    def __post_init__(self) -> None:
        self.callback = api.llama_log_callback(self._take)
        api.llama_log_set(self.callback, ctypes.c_void_p(0))
        NativeLog.current = self

    def _take(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace")
        # The only place where llama.cpp reports how many layers went to a GPU.
        if "offloaded " in line and " layers" in line:
            self.offloaded = line.split("offloaded ")[1].split(" layers")[0]
        if level == GGML_ERROR and line.strip():
            self.errors.append(make_printable(line, MAX_REASON_CHARS))
        if level in (GGML_WARN, GGML_ERROR):
            sys.stderr.write(line)

    @property
    def reason(self) -> str:
        """Why the last operation failed, short and printable: it may quote the file."""
        return "; ".join(self.errors) or "no reason given"


@dataclass(frozen=True)
class LoadedModel:
    """A model and its vocabulary."""

    handle: Any
    vocab: Any
    log: NativeLog
    flash_attention: bool = True
    """Used where the model and the device support it."""
    words: WordPieces | None = None
    """Reads ordinary text instead of llama.cpp, where the vocabulary is of this kind."""

    @property
    def context_limit(self) -> int:
        return int(api.llama_model_n_ctx_train(self.handle))

    @property
    def is_encoder(self) -> bool:
        """Whether it is the half of a model of two that reads (T5's)."""
        has_decoder = api.llama_model_has_decoder(self.handle)
        return bool(api.llama_model_has_encoder(self.handle) and not has_decoder)

    @property
    def has_partial_cache(self) -> bool:
        """Whether a layer's cache does not hold every token: a sliding window, or a recurrent state."""
        return bool(
            self.has_window
            or api.llama_model_is_recurrent(self.handle)
            or api.llama_model_is_hybrid(self.handle)
        )

    @property
    def has_window(self) -> bool:
        """Whether a layer's cache holds the last tokens only."""
        return bool(api.llama_model_n_swa(self.handle))

    @property
    def dimension(self) -> int:
        return int(api.llama_model_n_embd_out(self.handle))

    def description(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        api.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids; a lone surrogate counts as ``?``, NUL is an ordinary character.

        InvalidRequestError for a text that the native tokenizer cannot bear (``require_breaks``).
        """
        if self.words is not None and not parse_special:
            return self.words.tokens(text, add_special=add_special)
        require_breaks(text)
        data = text.encode("utf-8", "replace")
        # Rarely more tokens than bytes; where it is more, llama.cpp says how many for the second try.
        room = len(data) + 8
        for _ in range(2):
            tokens = (api.llama_token * room)()
            count = api.llama_tokenize(
                self.vocab, data, len(data), tokens, room, add_special, parse_special
            )
            if count >= 0:
                return list(tokens[:count])
            room = -count
        raise EngineError("The model's tokenizer cannot read this text; shorten it.")

    def unknown_tokens(self) -> frozenset[int]:
        """Tokens that stand for what is not in the vocabulary."""
        if self.words is not None:
            return frozenset({self.words.unknown})
        count = int(api.llama_vocab_n_tokens(self.vocab))
        unknown = api.LLAMA_TOKEN_ATTR_UNKNOWN
        return frozenset(
            token
            for token in range(count)
            if int(api.llama_vocab_get_attr(self.vocab, token)) & unknown
        )

    def piece(self, token: int) -> bytes:
        """The token's bytes; nothing for a control token."""
        room = 64
        for _ in range(2):
            buffer = ctypes.create_string_buffer(room)
            size = api.llama_token_to_piece(self.vocab, token, buffer, room, 0, RENDER_CONTROL)
            if size >= 0:
                return buffer.raw[:size]
            room = -size
        return b""

    def token_text(self, token: int) -> str:
        """The token as the vocabulary writes it; empty for a token the model does not have."""
        text: bytes | None = api.llama_vocab_get_text(self.vocab, token) if token >= 0 else None
        return (text or b"").decode("utf-8", "replace")


def load_model(path: str, offload: Offload, *, flash_attention: bool = True) -> LoadedModel:
    """Load a GGUF file, mapped.

    Raises EngineError when the file does not load or a GPU that was asked for does not hold it.
    """
    log = NativeLog()
    api.llama_backend_init()
    parameters = api.llama_model_default_params()
    parameters.load_mode = api.LLAMA_LOAD_MODE_MMAP
    # llama.cpp reads these arrays while it loads; Python must not free them before.
    arrays = apply_offload(parameters, offload)
    handle = api.llama_model_load_from_file(path.encode(), parameters)
    if not handle:
        raise EngineError(_cannot_load(log))
    del arrays
    require_offloaded(offload, log.offloaded)
    vocab = api.llama_model_get_vocab(handle)
    words = word_pieces_of(handle, vocab)
    return LoadedModel(handle, vocab, log, flash_attention=flash_attention, words=words)


@dataclass(frozen=True)
class Vocabulary(LoadedModel):
    """A model of which nothing but the vocabulary and the chat template is loaded."""

    context_limit: int = 0
    dimension: int = 0


def load_vocabulary(path: str, *, context_limit: int, dimension: int) -> Vocabulary:
    """Load what is in front of a GGUF file's weights; EngineError when that does not load.

    llama.cpp does not read the two numbers then: they are the header's.
    """
    log = NativeLog()
    api.llama_backend_init()
    parameters = api.llama_model_default_params()
    parameters.vocab_only = True
    handle = api.llama_model_load_from_file(path.encode(), parameters)
    if not handle:
        raise EngineError(_cannot_load(log))
    vocab = api.llama_model_get_vocab(handle)
    words = word_pieces_of(handle, vocab)
    return Vocabulary(
        handle, vocab, log, words=words, context_limit=context_limit, dimension=dimension
    )


def _cannot_load(log: NativeLog) -> str:
    return (
        f"llama.cpp cannot load this model file ({log.reason}); verify the file or choose another "
        "model."
    )


@dataclass(frozen=True, slots=True)
class ContextShape:
    """How much one context can take at once, in tokens and sequences."""

    context: int
    """Of all sequences together, or of each where they are apart."""
    batch: int
    piece: int = 0
    """Of a prompt that is longer than a batch: as much is read at once; 0 means a batch."""
    sequences: int = 1
    threads: int = 1
    apart: bool = False
    """Whether each sequence has cells of its own."""
    pooling: str | None = None
    """Set for a context that embeds."""


class NativeContext:
    """One llama.cpp context; not thread-safe."""

    def __init__(self, model: LoadedModel, shape: ContextShape) -> None:
        self.model = model
        self.shape = shape
        self.handle = api.llama_init_from_model(model.handle, _context_parameters(shape, model))
        if not self.handle:
            raise EngineError(
                f"llama.cpp cannot make a context of {shape.context} tokens "
                f"({model.log.reason}); ask for a shorter context."
            )
        if model.is_encoder:
            # Asked to decode, llama.cpp lets each token of a T5 encoder see those before it only.
            api.llama_set_causal_attn(self.handle, False)  # noqa: FBT003 - llama.cpp's own call
        self.memory = api.llama_get_memory(self.handle)
        self._batch = Batch(shape.batch)
        self._abort: Any = None

    def use_adapters(self, adapters: Sequence[tuple[Any, float]]) -> None:
        """Compute with these adapters and their scales only; the same ones again cost nothing."""
        # An empty list as well: without this call the adapters of the request before stay in force.
        count = len(adapters)
        handles = (api.llama_adapter_lora_p_ctypes * count)(*(handle for handle, _ in adapters))
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters))
        if api.llama_set_adapters_lora(self.handle, handles, count, scales):
            raise AdapterMismatchError("llama.cpp refuses to use these adapters together.")

    def clear(self) -> None:
        """Forget everything; an encoder has nothing to forget."""
        if self.memory:
            api.llama_memory_clear(self.memory, WITH_DATA)

    def use_threads(self, count: int) -> None:
        api.llama_set_n_threads(self.handle, count, count)

    def forget(self, sequence: int, start: int = FROM_START) -> bool:
        """Free the cells of one sequence, all or from a position on; False where the model cannot go back
        there, and nothing is changed.
        """
        return bool(api.llama_memory_seq_rm(self.memory, sequence, start, TO_END))

    def state_size(self, sequence: int) -> int:
        """Bytes of what layers with a window or a state remember of a sequence; 0 for nothing."""
        return int(api.llama_state_seq_get_size_ext(self.handle, sequence, PARTIAL_STATE))

    def state(self, sequence: int, size: int) -> NDArray[np.uint8] | None:
        """Copy of that, for ``set_state``; ``None`` where llama.cpp cannot read it."""
        copy = np.empty(size, np.uint8)
        written = api.llama_state_seq_get_data_ext(
            self.handle, pointer_to(copy, ctypes.c_uint8), size, sequence, PARTIAL_STATE
        )
        return copy if written == size else None

    def set_state(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Have those layers remember what they did when ``state`` was read; False where that failed."""
        read = api.llama_state_seq_set_data_ext(
            self.handle, pointer_to(state, ctypes.c_uint8), state.nbytes, sequence, PARTIAL_STATE
        )
        return bool(read == state.nbytes)

    def decode(self, parts: Sequence[Part]) -> int:
        """Compute one batch, the parts in this order; llama_decode's code."""
        return int(api.llama_decode(self.handle, self._batch.fill(parts, all_outputs=False)))

    def encode(self, texts: Sequence[Sequence[int]]) -> None:
        """Compute a batch of whole texts for their pooled vectors; EngineError."""
        self._encode([Part(tokens, 0, number) for number, tokens in enumerate(texts)])

    def encode_rows(self, parts: Sequence[Part]) -> NDArray[np.float32]:
        """Compute one batch in a context that does not pool; a row for each token, (n, d) float32."""
        self._encode(parts)
        count = sum(len(part.tokens) for part in parts)
        rows = ctypeslib.as_array(
            api.llama_get_embeddings(self.handle), shape=(count, self.model.dimension)
        )
        return rows.astype(np.float32)

    def _encode(self, parts: Sequence[Part]) -> None:
        code = int(api.llama_decode(self.handle, self._batch.fill(parts, all_outputs=True)))
        if code:
            raise EngineError(f"llama.cpp could not embed these texts (code {code}).")

    def abort_by(self, text: Any) -> None:
        """Abort a running computation once ``text``, a C string, is one character long; ``None`` for no more.

        llama.cpp asks after every operation, a thousand times for a piece of a prompt, and must not come to
        Python for that. ``strlen`` gives the answer: a Boolean as C passes it, 0 or 1.
        """
        callback = api.ggml_abort_callback() if text is None else STRLEN
        api.llama_set_abort_callback(self.handle, callback, text)
        # Kept as long as llama.cpp knows its address.
        self._abort = text

    def vector(self, sequence: int, size: int = 0) -> NDArray[np.float32] | None:
        """Copy of a sequence's pooled vector, (d,) float32; of a rank model ``size`` says its labels."""
        pointer = api.llama_get_embeddings_seq(self.handle, sequence)
        if not pointer:
            return None
        # llama.cpp overwrites this memory with the next batch, so the row is copied.
        view = ctypeslib.as_array(pointer, shape=(size or self.model.dimension,))
        return view.astype(np.float32)


def _context_parameters(shape: ContextShape, model: LoadedModel) -> Any:
    parameters = api.llama_context_default_params()
    parameters.n_ctx = shape.context * (shape.sequences if shape.apart else 1)
    parameters.n_batch = parameters.n_ubatch = shape.batch
    parameters.n_seq_max = shape.sequences
    parameters.n_threads = parameters.n_threads_batch = shape.threads
    parameters.flash_attn_type = (
        api.LLAMA_FLASH_ATTN_TYPE_AUTO
        if model.flash_attention
        else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    parameters.no_perf = True
    # What a window has left behind is kept in checkpoints, not in cells.
    parameters.swa_full = False
    # Not unified, each sequence gets an equal share of n_ctx and no more.
    parameters.kv_unified = not shape.apart
    if shape.pooling is not None:
        parameters.embeddings = True
        parameters.pooling_type = POOLINGS[shape.pooling]
    return parameters
