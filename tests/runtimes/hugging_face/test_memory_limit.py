"""How much memory a transformers child may take; torch is not needed to count it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines import machine
from engines.runtimes.hugging_face import memory_limit as counting
from engines.runtimes.hugging_face.memory_limit import MARGIN_BYTES, THREAD_BYTES, memory_limit
from engines.specs import EngineSpec

GIB = 2**30
BASE = MARGIN_BYTES + THREAD_BYTES
SMALL: dict[str, Any] = {
    "dtype": "bfloat16",
    "max_position_embeddings": 8192,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "vocab_size": 150_000,
}
SPEC = EngineSpec("e", "E", "/models/e", device="cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose weights have a GiB, on a machine of 64."""
    monkeypatch.setattr(machine, "memory_bytes", lambda: 64 * GIB)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(GIB)
    return tmp_path


def limit(folder: Path, config: dict[str, Any], spec: EngineSpec = SPEC) -> int:
    return memory_limit(spec, [(folder, config)], threads=1)


@pytest.mark.parametrize(("dtype", "grown"), [("float32", 1), ("bfloat16", 2), ("int8", 4)])
def test_weights_are_counted_as_the_float32_they_become(
    folder: Path, dtype: str, grown: int
) -> None:
    assert limit(folder, {"dtype": dtype}) == grown * GIB + BASE


def test_a_context_costs_what_is_kept_and_what_is_computed(folder: Path) -> None:
    whole, short = limit(folder, SMALL), limit(folder, SMALL, replace(SPEC, context_length=512))

    kept = 28 * 2 * 1024 * 4
    assert whole - short == (8192 - 512) * kept
    assert 2 * GIB + BASE < short < whole < 9 * GIB


def test_without_flash_attention_all_pairs_of_tokens_are_counted(folder: Path) -> None:
    plain = limit(folder, SMALL, replace(SPEC, use_flash_attention=False))

    assert plain - limit(folder, SMALL) == 16 * 8192**2 * 2 * 4


def test_the_text_part_of_a_nested_configuration_is_read(folder: Path) -> None:
    nested = {"dtype": "bfloat16", "text_config": SMALL}

    assert limit(folder, nested) == limit(folder, SMALL)


@pytest.mark.parametrize("value", [None, "x", [], {}, -1, True, 1.5])
def test_a_configuration_of_nonsense_counts_as_nothing(folder: Path, value: object) -> None:
    config = dict.fromkeys(SMALL, value) | {"text_config": value}

    assert limit(folder, config) == 4 * GIB + BASE


def test_more_than_the_machine_has_is_most_of_the_machine(folder: Path) -> None:
    assert limit(folder, SMALL | {"max_position_embeddings": 10**12}) == 0


def test_where_a_gpu_may_be_used_nothing_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "gpu_devices", lambda: ["/dev/nvidia0"])

    assert limit(folder, SMALL, replace(SPEC, device="auto")) == 0
    assert limit(folder, SMALL) > 0
