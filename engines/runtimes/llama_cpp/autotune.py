"""Finds out by trying how an embedder is fastest on this host; imported in an engine's child only."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.runtimes.llama_cpp.embedder import LONGEST_LANE, Embedder, EmbedLayout

ROUNDS = 3
PASS_LIMIT = 1.5
"""Seconds; where a pass takes longer, what is computed outweighs how it is laid out."""
TIME_LIMIT = 15.0
"""Seconds after which no further round begins."""
SURE_GAIN = 1.05
"""Less than this is noise: the usual layout stays, and nothing may be slower by more."""
DISTURBANCES = 100
"""Times per second of computing that a thread was made to wait for a core; hardly ever on a quiet host."""
SAME = 0.99999
"""The lowest cosine to vectors computed one by one."""
MORE_LANES = (16, 32)
"""Tried besides the usual lanes, where there are so many cores; fewer never won on few cores."""
GPU_LANES = (1, 2)
PACKS = (0, 128, 512)
GPU_PACKS = (0, 512, 2048, 8192)
SHORT, LONG = 14, 110
"""Words: a question, and a chunk of a document."""
TEXTS = 8
"""Of each length; more where more lanes share them."""
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
class Found:
    """The layout to embed with, and what each tried one gained over the usual one."""

    layout: EmbedLayout
    trials: list[dict[str, Any]]
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
        """How many times as fast as another, the samples weighing the same."""
        ratios = self._ratios(over)
        return math.prod(ratios) ** (1 / len(ratios))

    def wins(self, over: Trial) -> bool:
        """Whether it is clearly faster, and for no sample clearly slower."""
        return self.gain(over) >= SURE_GAIN and min(self._ratios(over)) >= 1 / SURE_GAIN

    def _ratios(self, over: Trial) -> list[float]:
        return [other / own for other, own in zip(over.seconds, self.seconds, strict=True)]


def fastest_layout(embedder: Embedder, *, on_gpu: bool) -> Found:
    """Try all layouts; the embedder's own stays where none is clearly faster."""
    try:
        return _found(embedder, _Watch(), on_gpu=on_gpu)
    except _Disturbed:
        return Found(embedder.layout, [], disturbed=True)


def _found(embedder: Embedder, watch: _Watch, *, on_gpu: bool) -> Found:
    layouts = candidates(embedder.layout, embedder.limit, on_gpu=on_gpu)
    lanes = max(layout.lanes for layout in layouts)
    samples = sample_texts(lanes)
    seconds = _pass_seconds(embedder, samples)
    watch.check()
    if seconds > PASS_LIMIT:
        return Found(embedder.layout, [], disturbed=False)
    widest = embedder.widened(lanes, max(layout.pack_tokens for layout in layouts))
    usual, *others = [Trial(widest.laid_out(layout)) for layout in (embedder.layout, *layouts)]
    _compete(usual, others, samples, watch)
    winners = [trial for trial in others if trial.wins(usual)]
    chosen = max(winners, key=lambda trial: trial.gain(usual), default=usual)
    told = [_told(trial, usual) for trial in (usual, *others)]
    return Found(chosen.embedder.layout, told, disturbed=False)


class _Disturbed(Exception):  # noqa: N818 - no error: these times say nothing
    """Other work took the cores."""


class _Watch:
    """Sees whether other work took this process's cores since it was made."""

    def __init__(self) -> None:
        self._before = getrusage(RUSAGE_SELF)

    def check(self) -> None:
        now, before = getrusage(RUSAGE_SELF), self._before
        seconds = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
        if now.ru_nivcsw - before.ru_nivcsw > DISTURBANCES * (1 + seconds):
            raise _Disturbed


def candidates(usual: EmbedLayout, limit: int, *, on_gpu: bool) -> list[EmbedLayout]:
    """Every layout worth a try but the usual one, for a model that reads ``limit`` tokens."""
    lanes = GPU_LANES if on_gpu else MORE_LANES
    several = [count for count in lanes if count <= usual.threads and limit <= LONGEST_LANE]
    counts = sorted({usual.lanes, *several})
    packs = GPU_PACKS if on_gpu else PACKS
    layouts = [replace(usual, lanes=count, pack_tokens=pack) for count in counts for pack in packs]
    return [layout for layout in layouts if layout != usual]


def sample_texts(lanes: int) -> list[list[str]]:
    """Texts of the lengths that people ask and documents have, enough for all lanes."""
    count = max(TEXTS, 2 * lanes)
    return [_cut(SHORT, 4 * count), _cut(LONG, count // 2)]


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
    usual: Trial, others: Sequence[Trial], samples: Sequence[Sequence[str]], watch: _Watch
) -> None:
    """Time all in turns; who gives other vectors loses every comparison."""
    begun = time.perf_counter()
    expected = usual.run(samples)
    running = []
    for trial in others:
        if _agrees(trial.run(samples), expected):
            running.append(trial)
        else:
            trial.seconds = [math.inf] * len(samples)
        watch.check()
    for _ in range(ROUNDS):
        if time.perf_counter() - begun > TIME_LIMIT:
            return
        for trial in (usual, *running):
            trial.run(samples)
            watch.check()


def _agrees(found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> bool:
    """Whether these are the same vectors; one that is not a number never is."""
    pairs = zip(found, expected, strict=True)
    return all(bool((_cosines(left, right) >= SAME).all()) for left, right in pairs)


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    scale = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: NDArray[np.float32] = (left * right).sum(axis=1) / scale
    return cosines


def _told(trial: Trial, usual: Trial) -> dict[str, Any]:
    layout = trial.embedder.layout
    gain = round(trial.gain(usual), 3)
    return {"lanes": layout.lanes, "pack_tokens": layout.pack_tokens, "gain": gain}
