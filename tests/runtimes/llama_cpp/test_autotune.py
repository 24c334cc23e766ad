"""Which layout wins, with a clock that only the layouts move."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.llama_cpp.embedding import autotune as llama_trials
from engines.runtimes.llama_cpp.embedding.autotune import (
    TuningResult,
    find_fastest_layout,
    list_layouts,
    sample_texts,
)
from engines.runtimes.llama_cpp.embedding.embedder import Embedder, EmbedLayout

USUAL = EmbedLayout(threads=2, lanes=2, pack_tokens=0)
Cost = dict[tuple[int, int], float]


@dataclass
class Clock:
    now: float = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(time, "process_time", lambda: clock.now)
    quiet = SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_nivcsw=0)
    monkeypatch.setattr(llama_trials, "getrusage", lambda _who: quiet)
    return clock


class TimedEmbedder:
    """Costs what its layout is said to cost, per text."""

    def __init__(self, layout: EmbedLayout, clock: Clock, costs: Cost, *, turned: Cost) -> None:
        self.layout = layout
        self._clock = clock
        self._costs = costs
        self._turned = turned

    limit = 512

    def with_room(self, lanes: int, pack_tokens: int) -> TimedEmbedder:
        assert (lanes, pack_tokens) == (2, 512)
        return self

    def with_layout(self, layout: EmbedLayout) -> TimedEmbedder:
        return TimedEmbedder(layout, self._clock, self._costs, turned=self._turned)

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        key = (self.layout.lanes, self.layout.pack_tokens)
        self._clock.now += self._costs.get(key, 0.002) * len(texts)
        vector = np.array([1.0, self._turned.get(key, 0.0)], np.float32)
        return EmbeddingBatch(np.tile(vector, (len(texts), 1)))


def _found(clock: Clock, costs: Cost, **turned: Any) -> TuningResult:
    embedder = TimedEmbedder(USUAL, clock, costs, turned=turned.get("turned", {}))
    return find_fastest_layout(cast("Embedder", embedder), on_gpu=False)


def test_clearly_faster_layout_is_chosen(clock: Clock) -> None:
    found = _found(clock, {(2, 0): 0.001, (2, 128): 0.0005, (2, 512): 0.0008})

    assert found.layout == EmbedLayout(threads=2, lanes=2, pack_tokens=128)
    gains = {(told["lanes"], told["pack_tokens"]): told["gain"] for told in found.trials}
    assert gains == {(2, 0): 1.0, (2, 128): 2.0, (2, 512): 1.25}


def test_layout_that_is_slower_for_long_texts_never_wins(clock: Clock) -> None:
    usual, other = (
        llama_trials.Trial(cast("Embedder", None)),
        llama_trials.Trial(cast("Embedder", None)),
    )
    usual.seconds, other.seconds = [1.0, 1.0], [0.4, 1.2]

    assert other.gain(usual) > 1.4
    assert not other.wins(usual)
    other.seconds = [0.4, 1.02]
    assert other.wins(usual)


def test_usual_layout_stays_when_the_others_are_within_noise(clock: Clock) -> None:
    found = _found(clock, {(2, 0): 0.001, (2, 128): 0.00098})

    assert found.layout == USUAL


@pytest.mark.parametrize("off", [0.01, float("nan")])
def test_layout_whose_vectors_are_others_never_wins(clock: Clock, off: float) -> None:
    costs = {(2, 0): 0.001, (2, 128): 0.0001, (2, 512): 0.0005}

    found = _found(clock, costs, turned={(2, 128): off})

    assert found.layout == EmbedLayout(threads=2, lanes=2, pack_tokens=512)
    assert [told["gain"] for told in found.trials] == [1.0, 0.0, 2.0]


def test_model_that_computes_for_long_is_not_tried(clock: Clock) -> None:
    found = _found(clock, {(2, 0): 10.0, (2, 128): 0.0001})

    assert (found.layout, found.trials) == (USUAL, [])


def test_candidates_fit_the_cores_and_leave_the_usual_out() -> None:
    lanes = {layout.lanes for layout in list_layouts(EmbedLayout(6, 6, 0), 512, on_gpu=False)}
    on_gpu = list_layouts(EmbedLayout(16, 1, 0), 512, on_gpu=True)

    assert lanes == {6}
    many = list_layouts(EmbedLayout(24, 8, 0), 512, on_gpu=False)
    assert {layout.lanes for layout in many} == {8, 16}
    assert USUAL not in list_layouts(USUAL, 512, on_gpu=False)
    assert max(layout.pack_tokens for layout in on_gpu) == 8192
    assert {layout.lanes for layout in on_gpu} == {1, 2}
    long = list_layouts(EmbedLayout(24, 8, 0), 8192, on_gpu=False)
    assert {layout.lanes for layout in long} == {8}


def test_times_taken_beside_other_work_are_not_believed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = itertools.count(0, 5_000)
    monkeypatch.setattr(
        llama_trials,
        "getrusage",
        lambda _who: SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_nivcsw=next(waits)),
    )

    assert _found(clock, {(2, 128): 0.0001}) == TuningResult(USUAL, [], disturbed=True)


@pytest.mark.parametrize("lanes", [1, 2, 16])
def test_samples_have_work_for_every_lane(lanes: int) -> None:
    short, long = sample_texts(lanes)

    assert min(len(short), len(long)) >= lanes
    assert {len(text.split()) for text in short} == {14}
    assert {len(text.split()) for text in long} == {110}
