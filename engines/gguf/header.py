"""What a GGUF header says, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from engines.exceptions import UnsafeModelFileError
from engines.gguf.layout import FILE_TYPES, POOLING_TYPES, TENSOR_BLOCKS, ValueKind

ADAPTER_TYPE = "adapter"


@dataclass(frozen=True, slots=True)
class GgufArray:
    """A metadata array; ``values`` is empty when it is longer than the reader keeps."""

    kind: ValueKind
    length: int
    values: tuple[int | float | bool | str, ...]


GgufValue = int | float | bool | str | GgufArray


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor's place: ``shape`` counts the fastest axis first, ``offset`` from the data's start."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    byte_count: int

    @property
    def kind_name(self) -> str:
        """The storage type's usual name, such as ``F16`` or ``Q4_K``."""
        return TENSOR_BLOCKS[self.kind][0]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the catalog and the planner need to know of a model; 0, -1 or "" where the file is silent.

    ``pooling`` is one of "", "none", "mean", "cls", "last", "rank"; token ids are -1 when absent.
    """

    architecture: str
    name: str
    context_length: int
    embedding_length: int
    block_count: int
    head_count: int
    head_count_kv: int
    vocab_size: int
    pooling: str
    chat_template: str
    tool_template: str
    """For messages with tools, where the file has a second one for them."""
    quantization: str
    bos_token_id: int
    eos_token_id: int
    add_bos: bool
    is_adapter: bool
    adapter_type: str
    adapter_alpha: float


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A header within all limits; the weights are not read."""

    version: int
    metadata: dict[str, GgufValue]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    @property
    def is_adapter(self) -> bool:
        return self.text("general.type") == ADAPTER_TYPE

    def text(self, key: str) -> str:
        """The string under ``key``, or "". Raises UnsafeModelFileError when it is no string."""
        value = self.metadata.get(key, "")
        if not isinstance(value, str):
            raise _wrong_kind(key, "text")
        return value

    def number(self, key: str, default: int = 0) -> int:
        """The whole number under ``key``, or ``default``; of an array per layer, the largest.

        Raises UnsafeModelFileError when it is no whole number.
        """
        value = self.metadata.get(key, default)
        if isinstance(value, GgufArray):
            return max(self._whole_numbers(key, value))
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_kind(key, "a whole number")
        return value

    def facts(self) -> ModelFacts:
        """Raises UnsafeModelFileError when a fact is stored as the wrong kind of value."""
        prefix = self.architecture
        heads = self.number(f"{prefix}.attention.head_count")
        return ModelFacts(
            architecture=prefix,
            name=self.text("general.name"),
            context_length=self.number(f"{prefix}.context_length"),
            embedding_length=self.number(f"{prefix}.embedding_length"),
            block_count=self.number(f"{prefix}.block_count"),
            head_count=heads,
            head_count_kv=self.number(f"{prefix}.attention.head_count_kv", heads),
            vocab_size=self._vocabulary_size(),
            pooling=POOLING_TYPES.get(self.number(f"{prefix}.pooling_type", -1), ""),
            chat_template=self.text("tokenizer.chat_template"),
            tool_template=self.text("tokenizer.chat_template.tool_use"),
            quantization=self._quantization(),
            bos_token_id=self.number("tokenizer.ggml.bos_token_id", -1),
            eos_token_id=self.number("tokenizer.ggml.eos_token_id", -1),
            add_bos=self.metadata.get("tokenizer.ggml.add_bos_token") is True,
            is_adapter=self.is_adapter,
            adapter_type=self.text("adapter.type"),
            adapter_alpha=self._decimal("adapter.lora.alpha"),
        )

    def _whole_numbers(self, key: str, array: GgufArray) -> list[int]:
        numbers = [value for value in array.values if type(value) is int]
        if not numbers or len(numbers) != array.length:
            raise _wrong_kind(key, "one whole number per layer")
        return numbers

    def _decimal(self, key: str) -> float:
        value = self.metadata.get(key, 0.0)
        if not isinstance(value, float):
            raise _wrong_kind(key, "a decimal number")
        return value

    def _vocabulary_size(self) -> int:
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, GgufArray):
            return tokens.length
        return self.number(f"{self.architecture}.vocab_size")

    def _quantization(self) -> str:
        return FILE_TYPES.get(self.number("general.file_type", -1), "")


def shown(text: str) -> str:
    """A name from a file, short and escaped, fit for a sentence."""
    limit = 80
    return ascii(text if len(text) <= limit else f"{text[:limit]}…")


def _wrong_kind(key: str, expected: str) -> UnsafeModelFileError:
    return UnsafeModelFileError(
        f"The model file's {shown(key)} should be {expected} and is not; "
        "download the file again or choose another one."
    )
