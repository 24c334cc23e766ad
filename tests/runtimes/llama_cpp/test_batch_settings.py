"""How a model embeds fastest is found once, and nothing wrong is ever remembered."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_django import Settings

from engines.exceptions import EngineCrashed
from engines.host_runtimes import engine_registry
from engines.runtimes.llama_cpp.embedding import batch_settings
from engines.runtimes.llama_cpp.embedding.batch_settings import (
    BatchMeasurement,
    BatchSetting,
    BatchSettings,
)
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.specs import EmbeddingSpec, EngineSpec

SPEC = EngineSpec("e", "E", "e.gguf", embedding=EmbeddingSpec(8, 64), model_sha256="5a" * 32)
FOUND = BatchMeasurement(
    BatchSetting(lanes=2, pack_tokens=128),
    [{"lanes": 2, "pack_tokens": 128, "openvino": "", "gain": 1.4}],
)
USUAL = BatchSetting()


class Measurer:
    """Finds what it is told to, and counts."""

    def __init__(self, outcome: BatchMeasurement | BaseException = FOUND) -> None:
        self.outcome = outcome
        self.count = 0

    def __call__(self) -> BatchMeasurement:
        self.count += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture(autouse=True)
def pressure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel says of a quiet machine."""
    path = tmp_path / "pressure"
    path.write_text("some avg10=0.40 avg60=55.00 avg300=9.00 total=1\nfull avg10=0.00\n")
    monkeypatch.setattr(batch_settings, "PRESSURE", path)
    return path


@pytest.fixture
def settings_here(tmp_path: Path) -> BatchSettings:
    return BatchSettings(tmp_path / "settings")


def _remembered(folder: Path) -> list[Path]:
    return list((folder / "settings").glob("*.json"))


def test_what_was_measured_is_remembered_for_every_process(
    settings_here: BatchSettings, tmp_path: Path
) -> None:
    measure = Measurer()

    first = settings_here.setting(SPEC, 2, measure)
    second = BatchSettings(tmp_path / "settings").setting(SPEC, 2, measure)

    assert first == second == FOUND.setting
    assert measure.count == 1


@pytest.mark.parametrize(
    "other",
    [
        {"model_sha256": "6b" * 32},
        {"embedding": EmbeddingSpec(8, 32)},
        {"device": "cpu"},
        {"use_flash_attention": False},
    ],
)
def test_another_model_or_way_to_compute_is_measured_for_itself(
    settings_here: BatchSettings, other: dict[str, Any]
) -> None:
    measure = Measurer()
    settings_here.setting(SPEC, 2, measure)

    settings_here.setting(replace(SPEC, **other), 2, measure)
    settings_here.setting(SPEC, 4, measure)

    assert measure.count == 3


@pytest.mark.parametrize("name", ["cpu_name", "cores", "openvino_version"])
def test_folder_that_moved_to_another_machine_is_measured_again(
    settings_here: BatchSettings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    measure = Measurer()
    settings_here.setting(SPEC, 2, measure)
    monkeypatch.setattr(batch_settings, name, lambda: 999)

    settings_here.setting(SPEC, 2, measure)

    assert measure.count == 2


def test_model_without_a_digest_is_known_by_its_file(
    settings_here: BatchSettings, tmp_path: Path
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"one")
    spec = replace(SPEC, model_sha256="", model_path=str(file))
    measure = Measurer()
    for content in (b"one", b"another"):
        file.write_bytes(content)
        settings_here.setting(spec, 2, measure)

    assert measure.count == 2


@pytest.mark.parametrize(
    "outcome", [EngineCrashed("it crashed"), OSError("no room"), replace(FOUND, disturbed=True)]
)
def test_measurement_that_says_nothing_leaves_the_usual_until_the_next_time(
    settings_here: BatchSettings, tmp_path: Path, outcome: BatchMeasurement | BaseException
) -> None:
    measure = Measurer(outcome)

    assert settings_here.setting(SPEC, 2, measure) == USUAL
    assert _remembered(tmp_path) == []
    measure.outcome = FOUND
    assert settings_here.setting(SPEC, 2, measure) == FOUND.setting


def test_measurement_that_is_killed_begins_anew(
    settings_here: BatchSettings, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        settings_here.setting(SPEC, 2, Measurer(KeyboardInterrupt()))

    assert _remembered(tmp_path) == []
    assert settings_here.setting(SPEC, 2, Measurer()) == FOUND.setting


@pytest.mark.parametrize("told", ["some avg10=10.40 avg60=0.00", "", None])
def test_busy_machine_is_not_measured(
    settings_here: BatchSettings,
    pressure: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: str | None,
) -> None:
    """Where the kernel says nothing, its load does."""
    monkeypatch.setattr(os, "getloadavg", lambda: (10_000.0, 0.0, 0.0))
    if told is None:
        pressure.unlink()
    else:
        pressure.write_text(told)
    measure = Measurer()

    assert settings_here.setting(SPEC, 2, measure) == USUAL
    assert (measure.count, _remembered(pressure.parent)) == (0, [])


def test_busy_machine_is_only_measured_for_what_other_work_does_not_change(
    settings_here: BatchSettings, pressure: Path
) -> None:
    pressure.write_text("some avg10=60.00 avg60=0.00")
    quiet, beside = Measurer(), Measurer(replace(FOUND, disturbed=True))

    assert settings_here.setting(SPEC, 2, quiet, beside) == USUAL
    beside.outcome = BatchMeasurement(BatchSetting(openvino="bf16"), [])
    for _ in range(2):
        assert settings_here.setting(SPEC, 2, quiet, beside) == BatchSetting(openvino="bf16")

    assert (quiet.count, beside.count) == (0, 2)


@pytest.mark.parametrize(
    "content",
    [
        b'{"setting": {"openvino": "f8"}}',
        b"",
        b"{",
        b"[]",
        b'{"setting": {"lanes": -1}}',
        b'{"setting": {"lanes": "2"}}',
        b'{"setting": 3}',
    ],
)
def test_file_without_sense_is_replaced(
    settings_here: BatchSettings, tmp_path: Path, content: bytes
) -> None:
    settings_here.setting(SPEC, 2, Measurer())
    [path] = _remembered(tmp_path)
    path.chmod(0o600)
    path.write_bytes(content)
    measure = Measurer()

    assert settings_here.setting(SPEC, 2, measure) == FOUND.setting
    assert measure.count == 1


def test_who_waits_takes_what_the_other_found(settings_here: BatchSettings) -> None:
    count = 4
    together = threading.Barrier(count)
    measure = Measurer()

    def ask() -> BatchSetting:
        together.wait()
        return settings_here.setting(SPEC, 2, measure)

    with ThreadPoolExecutor(count) as pool:
        found = [future.result() for future in [pool.submit(ask) for _ in range(count)]]

    assert found == [FOUND.setting] * count
    assert measure.count == 1


def _undisturbed(measure: Callable[[LlamaCppEngine], BatchMeasurement]) -> Any:
    """Whatever else runs beside this test."""
    return lambda engine: replace(measure(engine), disturbed=False)


@pytest.mark.slow
def test_engine_measures_at_its_first_load_and_embeds_the_same_ever_after(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the harbour at night", "rain", "a wall of grey stone " * 12] * 3
    folder = tmp_path / "settings"
    with LlamaCppEngine("e", "E", str(tiny_llama)) as plain:
        plain.load_model()
        dimension = len(plain.embed("rain"))
    spec = EngineSpec("e", "E", str(tiny_llama), embedding=EmbeddingSpec(dimension, 128), threads=2)
    options = LlamaOptions(batch_settings=str(folder))
    monkeypatch.setattr(LlamaCppEngine, "_measure", _undisturbed(LlamaCppEngine._measure))
    with LlamaCppEngine.from_spec(spec, options) as engine:
        engine.load_model()
        first, info = engine.embed_many(texts), engine.get_engine_info()
        np.testing.assert_array_equal(engine.embed_many(texts), first)
    [path] = folder.glob("*.json")
    measured = path.read_bytes()
    monkeypatch.setattr(LlamaCppEngine, "_measure", Measurer(AssertionError("measured again")))

    with LlamaCppEngine.from_spec(spec, options) as again, LlamaCppEngine.from_spec(spec) as usual:
        again.load_model()
        usual.load_model()
        np.testing.assert_array_equal(again.embed_many(texts), first)
        one_by_one = usual.embed_many(texts)

    assert (info["embedding_lanes"] in {1, 2}, info["pack_tokens"] in {0, 128, 512}) == (True, True)
    assert path.read_bytes() == measured
    assert ((first * one_by_one).sum(axis=1) >= 0.99999).all()


def test_setting_given_by_hand_is_not_measured(tiny_llama: Path, tmp_path: Path) -> None:
    spec = EngineSpec("e", "E", str(tiny_llama), embedding=EmbeddingSpec(64, 64))
    folder = tmp_path / "settings"
    options = LlamaOptions(batch_settings=str(folder), embedding_lanes=1, pack_tokens=96)
    engine = LlamaCppEngine.from_spec(spec, options)

    assert engine._batch_setting() == BatchSetting(1, 96)
    assert not folder.exists()


@pytest.mark.parametrize("measures", [True, False])
def test_engines_of_a_host_are_run_as_its_settings_say(
    settings: Settings, *, measures: bool
) -> None:
    settings.SAM_MEASURE_EMBEDDING = measures
    settings.SAM_EMBEDDING_LANES, settings.SAM_EMBEDDING_PACK_TOKENS = 3, 256
    engine_registry.cache_clear()

    engine = engine_registry().create(SPEC)

    engine_registry.cache_clear()
    assert isinstance(engine, LlamaCppEngine)
    assert engine.options == LlamaOptions(
        embedding_lanes=3,
        pack_tokens=256,
        adapter_folders=str(settings.SAM_DATA_DIR / "engine-adapters"),
        batch_settings=str(settings.SAM_DATA_DIR / "batch-settings") if measures else "",
    )
