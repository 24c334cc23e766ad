"""What llama.cpp's child is given, beyond what every child is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from engines.runtimes.child.messages import BatchSettingFields
from engines.runtimes.text.response_format import Json


class LayoutFields(BatchSettingFields):
    threads: int
    by_pieces: bool
    openvino_absent: str
    """Why OpenVINO does not compute this model; empty where it could, or nobody embeds."""


class LoadParameters(TypedDict):
    path: str
    cpu_seconds: int
    family: str
    offload: Json
    """The fields of Offload."""
    flash_attention: bool
    context_length: int
    parallel: int
    batch_invariant: bool
    embedding: Json | None
    """The fields of EmbeddingSpec."""
    layout: LayoutFields


class MeasureParameters(TypedDict):
    precisions: Sequence[str]
    """In which OpenVINO is tried."""
    layouts: bool
    """Whether layouts of llama.cpp are tried as well: only where nothing else runs."""


class AdaptParameters(TypedDict):
    adapters: Sequence[tuple[str, str, float]]
    cpu_seconds: int
