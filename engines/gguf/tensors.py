"""The numbers of a GGUF file's tensors that are stored plainly, without a quantisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.gguf.header import GgufHeader, TensorInfo
from engines.gguf.layout import TENSOR_BF16, TENSOR_F16, TENSOR_F32

_LAYOUTS = {TENSOR_F32: "<f4", TENSOR_F16: "<f2", TENSOR_BF16: "<u2"}
PLAIN_KINDS = frozenset(_LAYOUTS)
"""Storage types that ``load_floats`` reads."""


def load_floats(path: Path, header: GgufHeader, tensor: TensorInfo) -> NDArray[np.float32]:
    """Return a tensor of one of the PLAIN_KINDS as float32, the slowest axis first.

    The header must have been read from this file by ``read_header``, which checked that all of it is
    there; a model in parts has its tensors elsewhere.
    """
    stored = np.memmap(
        path,
        np.dtype(_LAYOUTS[tensor.kind]),
        "r",
        offset=header.data_offset + tensor.offset,
        shape=tensor.shape[::-1],
    )
    if tensor.kind == TENSOR_BF16:
        # bfloat16 is the upper half of a float32.
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)
