"""Models in several files: names, headers that belong together, and those that do not."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest

from engines.exceptions import ArtifactMissingError, UnsafeModelFileError
from engines.fit.model_shape import ModelShape
from engines.gguf.parts import find_misnomer, part_names, read_model_header
from engines.gguf.reader import read_header
from engines.gguf.writer import write_gguf
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from tests.split_models import write_llama_in_parts


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("a-00001-of-00002.gguf", ["a-00002-of-00002.gguf"]),
        ("q4/a-00001-of-00002.gguf", ["q4/a-00002-of-00002.gguf"]),
        ("a-00001-of-00001.gguf", []),
        ("a-1-of-2.gguf", []),
        ("model.gguf", []),
        ("a-00001-of-00002.gguf.gguf", []),
        ("gemma-2-9b-it-Q4_K_M-imatrix.gguf", []),
        ("model-imatrix-IQ4_XS.gguf", []),
    ],
)
def test_the_first_part_names_them_all(name: str, others: list[str]) -> None:
    assert part_names(name) == (name, *others)
    assert find_misnomer(name) is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("q4/a-00002-of-00003.gguf", "choose q4/a-00001-of-00003.gguf, and SAM fetches all 3"),
        ("a-00004-of-00003.gguf", "part 4 of 3"),
        ("a-00000-of-00003.gguf", "part 0 of 3"),
        ("a-00001-of-00000.gguf", "part 1 of 0"),
        ("a-00001-of-99999.gguf", "at most 512"),
        ("mmproj-model-f16.gguf", "that has no mmproj in its name"),
        ("vision/Gemma.mmproj-Q8_0.gguf", "that has no mmproj in its name"),
        ("MMPROJ-F16.gguf", "that has no mmproj in its name"),
        ("big.i1-Q6_K.gguf.part1of2", "join the pieces in their order"),
        ("big.Q6_K.gguf-split-a", "join the pieces in their order"),
        ("imatrix_unsloth.gguf", "that has no imatrix in its name"),
        ("model.imatrix.gguf", "that has no imatrix in its name"),
    ],
)
def test_what_is_no_model_by_itself_is_told_with_what_to_choose(name: str, told: str) -> None:
    assert told in (find_misnomer(name) or "")


def test_the_header_of_all_parts_is_that_of_the_whole(tmp_path: Path, tiny_llama: Path) -> None:
    first, *_ = write_llama_in_parts(tmp_path)

    header = read_model_header(first)

    assert ModelShape.from_header(header) == ModelShape.from_header(read_header(tiny_llama))
    assert header.facts() == read_header(tiny_llama).facts()
    # Of the first alone a third would be counted, as "27 of 131 GiB".
    alone = ModelShape.from_header(read_header(first)).weights_bytes
    assert alone < ModelShape.from_header(header).weights_bytes


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first, second, third = write_llama_in_parts(tmp_path / "a")
    other = write_llama_in_parts(tmp_path / "b", count=2)
    swapped = write_llama_in_parts(tmp_path / "c")
    swapped[1].rename(tmp_path / "aside")
    copyfile(swapped[2], swapped[1])
    renamed = copyfile(first, tmp_path / "model.gguf")

    with pytest.raises(UnsafeModelFileError, match="part 2 of 3 says that it is part 3 of 3"):
        read_model_header(swapped[0])
    with pytest.raises(UnsafeModelFileError, match="3 parts, and its name says 1"):
        read_model_header(Path(renamed))
    with pytest.raises(UnsafeModelFileError, match="not the first part"):
        read_model_header(second)
    copyfile(other[1], third)
    with pytest.raises(UnsafeModelFileError, match="part 3 of 3 says that it is part 2 of 2"):
        read_model_header(first)
    third.unlink()
    with pytest.raises(ArtifactMissingError, match="is not beside it"):
        read_model_header(first)


@pytest.mark.parametrize(
    ("count", "told"), [(7, "all parts have 7 tensors"), (None, "must be INT32")]
)
def test_counts_that_llama_cpp_would_stumble_over_are_refused(
    tmp_path: Path, count: int | None, told: str
) -> None:
    for number in range(2):
        write_gguf(
            tmp_path / f"a-{number + 1:05}-of-00002.gguf",
            {
                "general.architecture": "llama",
                "llama.block_count": 1,
                "llama.attention.head_count": 1,
                "split.no": np.uint16(number),
                "split.count": np.uint16(2),
                "split.tensors.count": np.int32(count) if count else 2,
            },
            {f"tensor.{number}": np.ones(32, np.float32)},
        )

    with pytest.raises(UnsafeModelFileError, match=told):
        read_model_header(tmp_path / "a-00001-of-00002.gguf")


def test_a_folder_lists_models_and_neither_later_parts_nor_projectors(tmp_path: Path) -> None:
    first, *_ = write_llama_in_parts(tmp_path)
    for name in ("mmproj-f16.gguf", "whole.gguf"):
        copyfile(first, tmp_path / name)

    assert LlamaCppEngine.list_models(str(tmp_path)) == [str(first), str(tmp_path / "whole.gguf")]
