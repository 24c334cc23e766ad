"""Differences between estimates are differences of a real process's resident memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.fit.memory import Load, MemoryEstimate, estimate
from engines.fit.model_shape import ModelShape
from engines.gguf.reader import read_header
from engines.gguf.writer import write_gguf
from tests.fit.llama_process import Resident, resident
from tests.fit.shapes import Dense

MIB = 1024**2
SHORT, LONG = Load(512), Load(8192)
QUANTISED = Load(8192, cache_type="q8_0")
MODEL = Dense("llama", 11, 1024, 2816, 16, 16, 8000, head=64)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 MB with random weights."""
    random = np.random.default_rng(7)
    shapes = MODEL.ends()
    for layer in range(MODEL.layers):
        shapes |= MODEL.attention(layer) | MODEL.dense_part(layer)
    tensors = {
        name: (0.02 * random.standard_normal(shape, np.float32)).astype(
            np.float32 if len(shape) == 1 else np.float16
        )
        for name, shape in shapes.items()
    }
    path = tmp_path_factory.mktemp("measured") / "model.gguf"
    return write_gguf(path, MODEL.metadata(), tensors)


@pytest.fixture(scope="module")
def measured(model: Path) -> dict[Load, Resident]:
    return {load: resident(model, load) for load in (SHORT, LONG, QUANTISED)}


@pytest.fixture(scope="module")
def estimated(model: Path) -> dict[Load, MemoryEstimate]:
    shape = ModelShape.from_header(read_header(model))
    return {load: estimate(shape, load) for load in (SHORT, LONG, QUANTISED)}


def test_a_longer_context_costs_what_is_estimated(
    measured: dict[Load, Resident], estimated: dict[Load, MemoryEstimate]
) -> None:
    expected = estimated[LONG].total - estimated[SHORT].total

    assert expected > 300 * MIB
    assert measured[LONG].after - measured[SHORT].after == pytest.approx(expected, rel=0.1)


def test_a_quantised_cache_saves_what_is_estimated(
    measured: dict[Load, Resident], estimated: dict[Load, MemoryEstimate]
) -> None:
    expected = estimated[LONG].total - estimated[QUANTISED].total

    assert expected > 150 * MIB
    assert measured[LONG].after - measured[QUANTISED].after == pytest.approx(expected, rel=0.1)


def test_a_loaded_file_costs_what_is_estimated(
    model: Path, measured: dict[Load, Resident], estimated: dict[Load, MemoryEstimate]
) -> None:
    found = estimated[SHORT]

    assert 290e6 < model.stat().st_size < 320e6
    grown = measured[SHORT].after - measured[SHORT].before
    assert grown == pytest.approx(found.total - found.process, rel=0.1)
