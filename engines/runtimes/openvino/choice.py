"""Whether OpenVINO could compute a model on this host; asked before anything is started."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from engines.exceptions import SamError
from engines.gguf.header import GgufHeader
from engines.machine import memory_bytes
from engines.runtimes.openvino.bert import POOLINGS, BertShape
from engines.specs import EmbeddingSpec

PRECISIONS = ("f32", "bf16")
MOST_TOKENS = 2048
"""Of a text; longer ones take memory that nobody has counted."""
MEMORY_SHARE = 0.25
"""Of the machine's memory that the second copy of a model's weights may take."""


def openvino_version() -> str:
    """Return the installed version; empty without the package."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return ""


def find_shape(header: GgufHeader, spec: EmbeddingSpec | None) -> BertShape | None:
    """Return the shape of a model that OpenVINO can compute here, else None: llama.cpp then stays."""
    if spec is None or not openvino_version():
        return None
    try:
        shape = BertShape.from_header(header)
    except SamError:
        return None
    pooling = shape.pooling if spec.pooling == "model" else spec.pooling
    fits = shape.memory_bytes <= MEMORY_SHARE * memory_bytes()
    can_read = min(spec.max_tokens, shape.positions) <= MOST_TOKENS
    return shape if fits and can_read and pooling in POOLINGS else None
