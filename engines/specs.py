"""Plain values that travel between layers and processes; no behaviour, no Django."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime


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


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """A LoRA adapter file (GGUF) to load with its base model."""

    path: str
    scale: float = 1.0


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
    gpu_layers: int = -1
    """Layers to offload when the host has a GPU; -1 means all of them."""
    threads: int = 0
    """CPU threads; 0 means all cores."""
    adapters: tuple[AdapterSpec, ...] = ()
    embedding: EmbeddingSpec | None = None
    """Set for an engine that only embeds."""


def fingerprint_digest(runtime: str, weights_sha256: str, embedding: EmbeddingSpec) -> str:
    """Name the vector space: equal digests mean vectors that may be compared.

    The library's build and the batching are left out on purpose: they move a vector by less than
    cosine 1e-5.
    """
    facts = {"runtime": runtime, "weights": weights_sha256, **asdict(embedding)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
