from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.gguf.layout import TENSOR_BF16
from engines.gguf.reader import read_header
from engines.gguf.tensors import load_floats
from engines.gguf.writer import Metadata, write_gguf

ROWS = np.array([[1.0, -2.5, 3.25], [0.0, 65504.0, -0.125]], np.float32)


def test_plain_tensors_are_read_as_floats(tmp_path: Path) -> None:
    metadata: Metadata = {
        "general.architecture": "bert",
        "bert.block_count": 1,
        "bert.attention.head_count": 1,
    }
    upper = (ROWS.view(np.uint32) >> 16).astype(np.uint16)
    tensors: dict[str, NDArray[Any]] = {
        "whole": ROWS,
        "half": ROWS.astype(np.float16),
        "upper": upper.view(np.float16),
    }
    path = write_gguf(tmp_path / "a.gguf", metadata, tensors)
    header = read_header(path)
    whole, half, upper_half = header.tensors

    np.testing.assert_array_equal(load_floats(path, header, whole), ROWS)
    np.testing.assert_array_equal(load_floats(path, header, half), ROWS)
    found = load_floats(path, header, replace(upper_half, kind=TENSOR_BF16))
    np.testing.assert_array_equal(found, (upper.astype(np.uint32) << 16).view(np.float32))
