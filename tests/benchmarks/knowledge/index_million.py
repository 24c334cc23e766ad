"""The index alone at a million passages: building, its memory, opening, searching and what is found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.vectors import ApproximateIndex, IndexFile, OpenIndex, build_index, open_index
from tests.benchmarks.memory import own_mib, watching_memory

COUNT = 1_000_000
DIMENSION = 384
BATCH = 2_000
SUBJECTS = 20_000
SUBJECT_NUMBERS = 32
"""Of how many numbers subjects are made: vectors of embedders fill few of their directions."""
NOISE = 0.15
QUESTIONS = 200
MIB = 1024 * 1024


def run(console: Console) -> None:
    """Build an approximate and an exact index of the same rows and search both; print a table."""
    shown = Table("", "approximate", "exact", title=f"{COUNT:,} synthetic vectors of {DIMENSION}")
    with tempfile.TemporaryDirectory() as folder:
        columns = [_measure(Path(folder) / name, start) for name, start in (("a", 1), ("e", 0))]
        questions = _questions()
        exact = columns[1][0]
        for column in columns:
            column[1]["recall@10 against exact"] = f"{_recall(column[0], exact, questions):.4f}"
        for name, value in columns[0][1].items():
            shown.add_row(name, value, columns[1][1].get(name, ""))
    console.print(shown)


def _measure(path: Path, approximate_from: int) -> tuple[OpenIndex, dict[str, str]]:
    begun = time.perf_counter()
    with watching_memory() as peak:
        file = build_index(
            path,
            np.arange(COUNT),
            _rows(),
            dimension=DIMENSION,
            approximate_from=approximate_from,
            checkpoint=lambda: None,
        )
    built = time.perf_counter() - begun
    before, begun = own_mib(), time.perf_counter()
    index = _open(file)
    opened = time.perf_counter() - begun
    times = [_time_search(index, question) for question in _questions()]
    cut = quantiles(times, n=20)
    facts = {
        "build, making the rows included, s": f"{built:.0f}",
        "peak of own memory while building, MiB": f"{peak.mib:.0f}",
        "file, MiB": f"{path.stat().st_size / MIB:.0f}",
        "open (the whole file is hashed), s": f"{opened:.2f}",
        "own memory of the open index, MiB": f"{own_mib() - before:.1f}",
        "search p50, ms": f"{cut[9]:.2f}",
        "search p95, ms": f"{cut[18]:.2f}",
    }
    if isinstance(index, ApproximateIndex):
        facts["lists read of lists"] = f"{index.measured.probes} of {index.lists}"
        facts["recall@10 as measured when built"] = f"{index.measured.recall:.4f}"
    return index, facts


def _open(file: IndexFile) -> OpenIndex:
    return open_index(file.path, sha256=file.sha256, count=file.count, dimension=file.dimension)


def _time_search(index: OpenIndex, question: NDArray[np.float32]) -> float:
    begun = time.perf_counter()
    index.search(question, 26)
    return (time.perf_counter() - begun) * 1000


def _recall(index: OpenIndex, exact: OpenIndex, questions: NDArray[np.float32]) -> float:
    found = 0
    for question in questions:
        nearest = exact.search(question, 10).ids
        found += len(np.intersect1d(index.search(question, 26).ids, nearest))
    return found / (10 * len(questions))


def _rows(seed: int = 1) -> Iterator[NDArray[np.float16]]:
    random, subjects = np.random.default_rng(seed), _subjects()
    for _ in range(0, COUNT, BATCH):
        near = subjects[random.integers(0, SUBJECTS, BATCH)]
        raw = near + NOISE * random.standard_normal((BATCH, DIMENSION), np.float32)
        yield (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float16)


def _questions() -> NDArray[np.float32]:
    return next(_rows(seed=2))[:QUESTIONS].astype(np.float32)


def _subjects() -> NDArray[np.float32]:
    random = np.random.default_rng(7)
    few = random.standard_normal((SUBJECTS, SUBJECT_NUMBERS), np.float32)
    spread = random.standard_normal((SUBJECT_NUMBERS, DIMENSION), np.float32)
    return np.asarray(few @ spread / SUBJECT_NUMBERS**0.5, np.float32)
