from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.exceptions import InvalidRequestError
from engines.gguf.header import GgufArray
from engines.gguf.layout import ValueKind
from engines.gguf.reader import read_header
from engines.gguf.writer import Metadata, write_gguf

METADATA: Metadata = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "negative": -7,
    "large": 2**40,
    "decimal": 0.5,
    "yes": True,
    "words": ["a", "ö", ""],
    "whole": [1, -2],
    "decimals": [0.25, -1.5],
    "flags": (True, False),
}
MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)
HALVES = np.arange(5, dtype=np.float16)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", METADATA, {"matrix": MATRIX, "halves": HALVES})

    header = read_header(path)

    arrays = {
        "words": GgufArray(ValueKind.STRING, 3, ("a", "ö", "")),
        "whole": GgufArray(ValueKind.INT32, 2, (1, -2)),
        "decimals": GgufArray(ValueKind.FLOAT32, 2, (0.25, -1.5)),
        "flags": GgufArray(ValueKind.BOOL, 2, (True, False)),
    }
    assert header.metadata == {**METADATA, **arrays}
    assert [(info.name, info.shape, info.kind_name) for info in header.tensors] == [
        ("matrix", (3, 2), "F32"),
        ("halves", (5,), "F16"),
    ]


def test_tensor_bytes_are_where_the_header_says(tmp_path: Path) -> None:
    turned = MATRIX.T
    path = write_gguf(tmp_path / "a.gguf", METADATA, {"turned": turned, "halves": HALVES})

    header, whole = read_header(path), path.read_bytes()

    first, second = (header.data_offset + info.offset for info in header.tensors)
    assert first % 32 == second % 32 == len(whole) % 32 == 0
    assert whole[first : first + 24] == np.ascontiguousarray(turned).tobytes()
    assert whole[second : second + 10] == HALVES.tobytes()


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    one = write_gguf(tmp_path / "1.gguf", METADATA, {"matrix": MATRIX})
    two = write_gguf(tmp_path / "2.gguf", METADATA, {"matrix": MATRIX})

    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("values", [[], [1, "a"], [True, 1]])
def test_an_array_without_one_type_is_refused(tmp_path: Path, values: list[int | str]) -> None:
    with pytest.raises(InvalidRequestError, match="array odd must hold"):
        write_gguf(tmp_path / "a.gguf", {"odd": values}, {})

    assert list(tmp_path.iterdir()) == []


def test_another_element_type_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"old")

    with pytest.raises(InvalidRequestError, match="Tensor a holds float64"):
        write_gguf(path, METADATA, {"a": np.zeros(2)})

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
