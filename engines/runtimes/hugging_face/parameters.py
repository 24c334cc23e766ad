"""What transformers' child is given to load."""

from __future__ import annotations

from typing import TypedDict

from engines.runtimes.text.response_format import Json

BATCH_TOKENS = 8192
"""Of the texts that are embedded together, padding included."""


class LoadParameters(TypedDict):
    path: str
    embedding_path: str
    """Another model that embeds; empty means the model itself."""
    family: str
    device: str
    quantization: str
    flash_attention: bool
    context_length: int
    embedding: Json | None
    """The fields of EmbeddingSpec."""
    threads: int
    cpu_seconds: int
