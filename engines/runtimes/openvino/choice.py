"""Whether OpenVINO could compute a model on this host; asked before anything is started."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from engines.exceptions import SamError
from engines.gguf.header import GgufHeader
from engines.machine import memory_bytes
from engines.runtimes.openvino.bert import MOST_TOKENS, POOLINGS, BertShape
from engines.specs import EmbeddingSpec

PRECISIONS = ("f32", "bf16")
MEMORY_SHARE = 0.25
"""Of the machine's memory that the second copy of a model's weights may take."""


def openvino_version() -> str:
    """Return the installed version; empty without the package."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return ""


def judge_model(header: GgufHeader, spec: EmbeddingSpec | None) -> tuple[BertShape | None, str]:
    """Return the shape of a model that OpenVINO can compute here, or None and why it is left to llama.cpp."""
    if spec is None:
        return None, ""
    if not openvino_version():
        return None, "OpenVINO is not installed here."
    try:
        shape = BertShape.from_header(header)
    except SamError as error:
        return None, str(error)
    why = _say_misfit(shape, spec)
    return (None, f"OpenVINO does not compute this model: {why}.") if why else (shape, "")


def _say_misfit(shape: BertShape, spec: EmbeddingSpec) -> str:
    pooling = shape.pooling if spec.pooling == "model" else spec.pooling
    if pooling not in POOLINGS:
        return f"it pools by {pooling or 'nothing that the file names'}"
    if min(spec.max_tokens, shape.positions) > MOST_TOKENS:
        return f"it reads texts of more than {MOST_TOKENS} tokens"
    if shape.memory_bytes > MEMORY_SHARE * memory_bytes():
        return "this machine has too little memory for its weights once more"
    return ""
