"""Measures which layout embeds fastest on this host; imported in an engine's child only."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from resource import RUSAGE_SELF, getrusage

import numpy as np
from numpy.typing import NDArray

from engines.fit.embedding import MAX_LANE_TOKENS
from engines.runtimes.child.messages import TrialSummary
from engines.runtimes.llama_cpp.embedding.embedder import Embedder, EmbedLayout

ROUNDS = 3
MAX_PASS_SECONDS = 1.5
"""Where a pass takes longer, the computing outweighs the layout and nothing is tried."""
MAX_TUNING_SECONDS = 15.0
"""After this many seconds no further round begins."""
MIN_GAIN = 1.05
"""A smaller gain is noise: the default layout stays. No sample may become slower by more."""
MAX_WAITS_PER_SECOND = 100
"""Times per second of computing that a thread was made to wait for a core; hardly ever on a quiet host."""
MIN_COSINE = 0.99999
"""The lowest cosine to vectors computed one by one."""
CPU_LANES = (16, 32)
"""Tried besides the default, where there are so many cores; fewer lanes never won on few cores."""
GPU_LANES = (1, 2)
PACKS = (0, 128, 512)
GPU_PACKS = (0, 512, 2048, 8192)
SHORT_WORDS, LONG_WORDS = 14, 110
"""Words: a question, and a chunk of a document."""
SAMPLE_TEXTS = 8
"""Of each length; more when more lanes share them."""
PASSAGE = (
    "The harbour lies behind a long wall of grey stone, and every morning the boats leave it for the "
    "open sea. Fishermen mend their nets on the quay while the market opens; by noon the catch of the "
    "night is sold, weighed and carried away. In winter the ferry comes twice a week and brings the "
    "mail, flour, paraffin and the newspapers of the days before. Whoever wants to cross must write "
    "their name into a book that hangs at the door of the harbour office, with the number of passengers "
    "and animals. The oldest entry is from 1871. A keeper reads the barometer at six, at noon and at "
    "nine, and hoists a black ball when a storm is on its way: then nobody sails, whatever the season."
)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The layout to embed with, and the gain of each trial over the default."""

    layout: EmbedLayout
    trials: list[TrialSummary]
    disturbed: bool


@dataclass(eq=False)
class Trial:
    """One layout, and its best seconds for each sample."""

    embedder: Embedder
    seconds: list[float] = field(default_factory=list)

    def run(self, samples: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        """Embed every sample once; the faster of this time and the times before counts."""
        vectors, taken = [], []
        for texts in samples:
            begun = time.perf_counter()
            vectors.append(self.embedder.embed(texts, query=False).vectors)
            taken.append(time.perf_counter() - begun)
        self.seconds = list(map(min, self.seconds, taken)) if self.seconds else taken
        return vectors

    def gain(self, over: Trial) -> float:
        """How many times as fast as another one."""
        # The geometric mean: a question and a long text weigh the same.
        ratios = self._ratios(over)
        return math.prod(ratios) ** (1 / len(ratios))

    def wins(self, over: Trial) -> bool:
        """Whether it is clearly faster, and for no sample clearly slower."""
        return self.gain(over) >= MIN_GAIN and min(self._ratios(over)) >= 1 / MIN_GAIN

    def _ratios(self, over: Trial) -> list[float]:
        return [other / own for other, own in zip(over.seconds, self.seconds, strict=True)]


def find_fastest_layout(embedder: Embedder, *, on_gpu: bool) -> TuningResult:
    """Time all layouts; the embedder's own stays where none is clearly faster."""
    try:
        return _compare_layouts(embedder, _Watch(), on_gpu=on_gpu)
    except _Disturbed:
        return TuningResult(embedder.layout, [], disturbed=True)


def _compare_layouts(embedder: Embedder, watch: _Watch, *, on_gpu: bool) -> TuningResult:
    layouts = list_layouts(embedder.layout, embedder.limit, on_gpu=on_gpu)
    lanes = max(layout.lanes for layout in layouts)
    samples = sample_texts(lanes)
    seconds = _pass_seconds(embedder, samples)
    watch.check()
    if seconds > MAX_PASS_SECONDS:
        return TuningResult(embedder.layout, [], disturbed=False)
    widest = embedder.with_room(lanes, max(layout.pack_tokens for layout in layouts))
    default, *others = [Trial(widest.with_layout(layout)) for layout in (embedder.layout, *layouts)]
    _compete(default, others, samples, watch)
    winners = [trial for trial in others if trial.wins(default)]
    chosen = max(winners, key=lambda trial: trial.gain(default), default=default)
    trials = [_summarize(trial, default) for trial in (default, *others)]
    return TuningResult(chosen.embedder.layout, trials, disturbed=False)


class _Disturbed(Exception):  # noqa: N818 - no error: these times say nothing
    """Other work took the cores meanwhile."""


class _Watch:
    """Sees whether other work took this process's cores since it was made."""

    def __init__(self) -> None:
        self._before = getrusage(RUSAGE_SELF)

    def check(self) -> None:
        # The kernel counts how often a thread of ours lost its core to another one.
        now, before = getrusage(RUSAGE_SELF), self._before
        seconds = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
        if now.ru_nivcsw - before.ru_nivcsw > MAX_WAITS_PER_SECOND * (1 + seconds):
            raise _Disturbed


def list_layouts(default: EmbedLayout, limit: int, *, on_gpu: bool) -> list[EmbedLayout]:
    """Every layout worth a try but the default, for a model that reads ``limit`` tokens."""
    lanes = GPU_LANES if on_gpu else CPU_LANES
    is_short = limit <= MAX_LANE_TOKENS and not default.by_pieces
    several = [count for count in lanes if count <= default.threads and is_short]
    counts = sorted({default.lanes, *several})
    packs = GPU_PACKS if on_gpu else PACKS
    layouts = [
        replace(default, lanes=count, pack_tokens=pack) for count in counts for pack in packs
    ]
    return [layout for layout in layouts if layout != default]


def sample_texts(lanes: int) -> list[list[str]]:
    """Texts as long as questions and as chunks of documents, enough for all lanes."""
    count = max(SAMPLE_TEXTS, 2 * lanes)
    return [_cut(SHORT_WORDS, 4 * count), _cut(LONG_WORDS, count // 2)]


def _cut(length: int, count: int) -> list[str]:
    words = PASSAGE.split()
    around = words * (2 + length // len(words))
    starts = (7 * number % len(words) for number in range(count))
    return [" ".join(around[start : start + length]) for start in starts]


def _pass_seconds(embedder: Embedder, samples: Sequence[Sequence[str]]) -> float:
    """About how long one pass takes when nothing else runs; the first text only warms up."""
    text = samples[-1][0]
    embedder.embed([text], query=False)
    begun = time.process_time()
    embedder.embed([text], query=False)
    cpu_seconds = time.process_time() - begun
    words = sum(len(each.split()) for texts in samples for each in texts)
    return cpu_seconds / embedder.layout.threads * words / len(text.split())


def _compete(
    default: Trial, others: Sequence[Trial], samples: Sequence[Sequence[str]], watch: _Watch
) -> None:
    """Time all in turns; a layout whose vectors differ loses every comparison."""
    begun = time.perf_counter()
    expected = default.run(samples)
    running = []
    for trial in others:
        if _agrees(trial.run(samples), expected):
            running.append(trial)
        else:
            trial.seconds = [math.inf] * len(samples)
        watch.check()
    # In turns, not one after the other: a host that becomes slower meanwhile slows all of them.
    for _ in range(ROUNDS):
        if time.perf_counter() - begun > MAX_TUNING_SECONDS:
            return
        for trial in (default, *running):
            trial.run(samples)
            watch.check()


def _agrees(found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> bool:
    """Whether these are the same vectors; NaN never is."""
    pairs = zip(found, expected, strict=True)
    return all(bool((cosines_of(left, right) >= MIN_COSINE).all()) for left, right in pairs)


def cosines_of(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each pair of rows."""
    scale = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: NDArray[np.float32] = (left * right).sum(axis=1) / scale
    return cosines


def _summarize(trial: Trial, default: Trial) -> TrialSummary:
    layout = trial.embedder.layout
    gain = round(trial.gain(default), 3)
    return {"lanes": layout.lanes, "pack_tokens": layout.pack_tokens, "openvino": "", "gain": gain}
