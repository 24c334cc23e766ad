"""The memory to compute in of models that are no plain transformers, against what llama.cpp reserves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engines.fit.memory import Load, estimate
from engines.fit.model_shape import ModelShape
from engines.gguf.reader import read_header
from tests.fit import more_shapes
from tests.fit.llama_says import reserved

MIB = 1024**2
LOADS = [
    Load(512),
    Load(32_768),
    Load(8192, parallel=4),
    Load(8192, parallel=16, shared=True),
    Load(32_768, flash_attention=False),
]
LONG = [Load(131_072), Load(262_144)]


@pytest.mark.parametrize(
    ("write", "loads"),
    [
        (more_shapes.mamba2, LOADS),
        (more_shapes.granite_hybrid, LOADS + LONG),
        (more_shapes.starcoder2, LOADS),
        (more_shapes.deepseek_v3, LOADS + LONG),
        (more_shapes.qwen35, LOADS + LONG),
        (more_shapes.qwen3_vl, LOADS),
        (more_shapes.gpt_oss, LOADS + LONG),
    ],
    ids=["mamba2", "granite-hybrid", "starcoder2", "deepseek-v3", "qwen35", "qwen3vl", "gpt-oss"],
)
def test_llama_cpp_reserves_what_is_estimated(
    tmp_path: Path, write: Callable[[Path], Path], loads: list[Load]
) -> None:
    path = write(tmp_path)
    shape = ModelShape.from_header(read_header(path))

    for load, said in zip(loads, reserved(path, loads), strict=True):
        found = estimate(shape, load)
        assert found.kv_cache / MIB == pytest.approx(said.kv_cache, abs=0.01), load
        assert found.states / MIB == pytest.approx(said.states, abs=0.01), load
        assert found.compute / MIB == pytest.approx(said.compute, rel=0.1), load
