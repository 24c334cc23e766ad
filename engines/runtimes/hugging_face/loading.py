"""Loads a model with transformers onto the device asked for; imported in an engine's child only."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)
from transformers.utils import is_flash_attn_2_available

from engines.exceptions import EngineError
from engines.runtimes.base import Facts
from engines.runtimes.text.control_marks import ControlMarks, looks_like_a_mark
from engines.runtimes.text.printable import make_printable

QUANTIZER = "bitsandbytes"
LOAD_ERRORS = (OSError, ValueError, LookupError, TypeError, RuntimeError, ImportError)
"""What transformers raises for a folder it cannot make a model of."""
MAX_REASON_CHARS = 300
LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched, and no code of a model is run."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Device and precision asked for; the fields are EngineSpec's."""

    device: str
    quantization: str
    flash_attention: bool


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer."""

    model: Any
    tokenizer: Any
    device: str
    attention: str
    quantization: str

    @property
    def dimension(self) -> int:
        return int(self.text_config.hidden_size)

    @property
    def context_limit(self) -> int:
        return int(getattr(self.text_config, "max_position_embeddings", 0))

    @property
    def text_config(self) -> Any:
        """The text part's configuration; a model that also sees or hears nests it."""
        return self.model.config.get_text_config()

    @cached_property
    def marks(self) -> ControlMarks:
        """The marks that the tokenizer parses in every text."""
        added = self.tokenizer.added_tokens_decoder.values()
        special = {str(token) for token in added if token.special}
        control = special | {*self.tokenizer.all_special_tokens}
        return ControlMarks(
            control, {str(token) for token in added if looks_like_a_mark(str(token))} - control
        )

    def count(self, text: str) -> int:
        """Tokens of what a person wrote, without those that open and close it; it has no control tokens."""
        parts = self.marks.break_apart(text)
        return sum(len(self.tokenizer(p, add_special_tokens=False)["input_ids"]) for p in parts)

    def facts(self) -> Facts:
        """Return what is really in use, for JSON."""
        return {
            "architecture": str(self.model.config.model_type),
            "parameters": int(self.model.num_parameters()),
            "size_bytes": int(self.model.get_memory_footprint()),
            "vocabulary": len(self.tokenizer),
            "embedding_length": self.dimension,
            "training_context_length": self.context_limit,
            "device": str(self.model.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": self.attention,
            "quantization": self.quantization or "none",
            "gpu_offload": self.model.device.type == "cuda",
        }


def load_checkpoint(path: str, wanted: LoadSettings, *, generates: bool) -> Checkpoint:
    """Load a folder's model; EngineError when the hardware cannot do what was asked."""
    device = _device(wanted.device)
    settings = _model_arguments(wanted, device)
    kind = AutoModelForCausalLM if generates else AutoModel
    try:
        config = AutoConfig.from_pretrained(path, **LOCAL_ONLY)
        tokenizer = AutoTokenizer.from_pretrained(path, **LOCAL_ONLY)
        model = kind.from_pretrained(
            path, config=config, use_safetensors=True, **LOCAL_ONLY, **settings
        )
    except (*LOAD_ERRORS, SafetensorError) as error:
        raise EngineError(
            f"transformers cannot load this model ({type(error).__name__}: {make_printable(error, MAX_REASON_CHARS)}); "
            "verify its files or choose another model."
        ) from error
    # bitsandbytes has placed its own; moving them again is an error there.
    if not wanted.quantization:
        model = model.to(device)
    _check_place(model, device)
    attention = str(settings["attn_implementation"])
    return Checkpoint(model.eval(), tokenizer, device, attention, wanted.quantization)


def _device(wanted: str) -> str:
    there = torch.cuda.is_available()
    if wanted in ("cuda", "gpu") and not there:
        raise EngineError(
            "A GPU was asked for, but torch finds none here; ask for the device auto or cpu. "
            "docs/gpu.md says what torch needs."
        )
    return "cuda" if there and wanted != "cpu" else "cpu"


def _model_arguments(wanted: LoadSettings, device: str) -> dict[str, object]:
    """Return what ``from_pretrained`` is given beside the path."""
    # float32 on a CPU: half precision is slower there, and further from the published model.
    settings: dict[str, object] = {
        "attn_implementation": _attention(wanted, device),
        "dtype": "auto" if device == "cuda" else torch.float32,
    }
    if wanted.quantization:
        _check_quantization(wanted.quantization, device)
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=wanted.quantization == "4bit",
            load_in_8bit=wanted.quantization == "8bit",
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        settings["device_map"] = {"": device}
    return settings


def _attention(wanted: LoadSettings, device: str) -> str:
    """The flash-attn package where it is installed; else torch's own, which has the same kernel."""
    if not wanted.flash_attention:
        return "eager"
    if device == "cuda" and is_flash_attn_2_available():
        return "flash_attention_2"
    return "sdpa"


def _check_quantization(quantization: str, device: str) -> None:
    if device != "cuda":
        raise EngineError(
            f"Weights of {quantization} need a CUDA GPU in this runtime, and the model would be on "
            "the CPU; leave the quantisation out, or use a quantised GGUF file with llama_cpp."
        )
    for package in (QUANTIZER, "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise EngineError(
                f"Weights of {quantization} need the package {package!r}; install "
                "'sam-engine-upgrade[transformers]' on this host."
            )


def _check_place(model: Any, device: str) -> None:
    """EngineError when the model is on another device than asked for."""
    # A library that falls back silently would answer ten times as slowly, and nobody would know why.
    if model.device.type != device:
        raise EngineError(
            f"The model was to be on {device} and is on {model.device}; its memory may be full."
        )
