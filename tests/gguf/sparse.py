"""Model files of any size that take no room: a real header, and holes where the weights would be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.gguf.layout import DEFAULT_ALIGNMENT, padding
from engines.gguf.writer import Metadata, header_bytes

Shapes = Mapping[str, tuple[int, ...]]
SINKS = "attn_sinks.weight"
"""llama.cpp ends the process where they are of another type."""


def hollow(shape: tuple[int, ...], kind: type[np.generic] = np.float16) -> NDArray[Any]:
    """An array of this shape that holds one number; a shape counts the slowest axis first."""
    return np.broadcast_to(np.zeros((), kind), shape)


def write_sparse(path: Path, metadata: Metadata, shapes: Shapes) -> Path:
    """Write the header and let the file be as long as its float16 tensors make it; sinks are float32 in any file."""
    tensors = {
        name: hollow(shape, np.float32 if name.endswith(SINKS) else np.float16)
        for name, shape in shapes.items()
    }
    header = header_bytes(metadata, tensors)
    sizes = [
        tensor.nbytes + padding(tensor.nbytes, DEFAULT_ALIGNMENT) for tensor in tensors.values()
    ]
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + sum(sizes))
    return path
