"""What the child of the runtime openvino is given to load."""

from __future__ import annotations

from typing import TypedDict

from engines.runtimes.text.response_format import Json


class LoadParameters(TypedDict):
    path: str
    precision: str
    """In which to compute; empty means the fastest that gives the same vectors."""
    embedding: Json | None
    """The fields of EmbeddingSpec."""
    threads: int
    cpu_seconds: int
