"""Plain values that travel between layers and processes; no behaviour, no Django."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TypedDict


class ModelSource(enum.StrEnum):
    """Where the model of a catalog entry is."""

    FILE = "file"
    """One file of a Hub, fetched and verified."""
    FOLDER = "folder"
    """A folder that somebody put among a host's models."""
    SERVER = "server"
    """A server that runs it."""


ANSWERS_AT_ONCE = 16
"""Answers that one of our own engines computes at the same time, in one context's cache."""


MAX_GPUS = 16
"""That one model is split over."""

MAX_CONTEXT_LENGTH = 2**24
"""Tokens a catalog entry may state; no model comes near it."""


RANK_POOLING = "rank"
"""Of a model that gives no vector, but says how well a text answers a question."""
DEFAULT_POOLING = "mean"
"""Of an embedder whose entry and file name none."""


class ComputeSettings(TypedDict):
    """The fields of an EngineSpec that say where and how a model is computed."""

    device: str
    gpu_layers: int
    split_mode: str
    main_gpu: int
    tensor_split: tuple[float, ...]
    quantization: str
    use_flash_attention: bool
    batch_invariant: bool


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A downloadable model as the catalog describes it (the seed's ``ModelInfo``)."""

    model_id: str
    display_name: str
    description: str
    model_family: str
    huggingface_repo: str
    filename: str
    file_size: int
    quantization: str
    context_length: int
    recommended: bool
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a pinned model: the whole of it, or one of its parts; the size in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DownloadedModel:
    """A model file on a host (the seed's ``DownloadedModel``)."""

    model_id: str
    local_path: str
    downloaded_at: datetime
    file_size: int
    checksum: str
    model_info: ModelInfo
    status: str


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """Everything but the weights that moves a vector; part of the fingerprint."""

    dimension: int
    max_tokens: int
    pooling: str = "mean"
    normalise: bool = True
    query_prefix: str = ""
    document_prefix: str = ""
    flash_attention: bool = True
    """It moves the vectors of quantised weights by about 1e-4."""

    def as_facts(self) -> dict[str, object]:
        """Return what is stored and hashed; ``flash_attention`` only where it is off.

        Spaces that were recorded before it counted were made with it.
        """
        facts = asdict(self)
        if self.flash_attention:
            del facts["flash_attention"]
        return facts


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """A LoRA adapter file (GGUF) to load with its base model."""

    path: str
    scale: float = 1.0
    sha256: str = ""
    """Of the file; empty when unknown."""
    base_sha256: str = ""
    """Of the model file it was made for; empty when unknown."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What a runtime needs to start one engine."""

    engine_id: str
    model_name: str
    model_path: str
    family: str = ""
    runtime: str = "llama_cpp"
    context_length: int = 0
    """Tokens; 0 means the model's own training context."""
    device: str = "auto"
    """``auto`` (a GPU when the host has one), ``cpu``, ``gpu``, or names as the runtime lists them
    (``CUDA0,CUDA1``). Whatever but ``auto`` and ``cpu`` must be there, or loading fails."""
    gpu_layers: int = -1
    """Layers to offload; -1 means all. A number above 0 asks for a GPU."""
    split_mode: str = "layer"
    """How several GPUs share a model: ``none``, ``layer`` or ``row``."""
    main_gpu: int = 0
    """The GPU of a model that is not split."""
    tensor_split: tuple[float, ...] = ()
    """Share of the model for each GPU; empty means by free memory."""
    quantization: str = ""
    """Weights quantised while loading, where the runtime can: ``4bit`` or ``8bit``."""
    use_flash_attention: bool = True
    """Where model and hardware have it."""
    batch_invariant: bool = False
    """Whether an answer's bits must not depend on who else is answered at the time."""
    threads: int = 0
    """CPU threads; 0 means all cores."""
    adapters: tuple[AdapterSpec, ...] = ()
    """What every request is answered with, unless it brings its own."""
    embedding: EmbeddingSpec | None = None
    """Set for an engine that only embeds."""
    endpoint: str = ""
    """Address of the server that runs the model; empty means the runtime's usual one."""
    embedding_model: str = ""
    """Another model of the same runtime that embeds for this one; empty means itself. The llama_cpp
    runtime holds one model: there the embedder is an engine of its own."""
    model_sha256: str = ""
    """Of the model file; empty when unknown. Adapters made for another file are refused."""


def fingerprint_digest(runtime: str, weights_sha256: str, embedding: EmbeddingSpec) -> str:
    """Return the vector space's digest: vectors of equal digests may be compared.

    The library's build and the batching are left out on purpose: they move a vector by less than
    cosine 1e-5.
    """
    facts = {"runtime": runtime, "weights": weights_sha256, **embedding.as_facts()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
