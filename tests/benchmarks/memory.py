"""Whether the memory of SAM's own processes grows with the number of chunks that it embeds."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.models.tiny_models import write_llama_chat
from engines.models import ModelRevision
from tests.benchmarks.line_process import LineProcess
from tests.benchmarks.steps import base_with, embedder_here, forget_vectors, re_embed_step

SIZES = (1_000, 2_000, 20_000)
EVERY_SECONDS = 0.02
WARM_UP = 2_000
"""A whole page: what a worker needs for any base, however small, is not growth."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Resident memory of a warm worker and of its engine, and how far a step's peak is above it, MiB."""

    chunks: int
    worker: float
    worker_more: float
    engine: float
    engine_more: float
    seconds: float


def run(console: Console) -> None:
    """Embed bases of both sizes with a tiny model, each in a new worker; print a table."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_llama_chat(Path(folder) / "tiny.gguf")
        revision = embedder_here("bench-tiny", model)
        peaks = [measure(revision, chunks) for chunks in SIZES]
    console.print(table(peaks))
    console.print(verdict(peaks))


def measure(revision: ModelRevision, chunks: int) -> Peak:
    """Run the whole step, the index file included, over texts of equal length, in a warm worker."""
    with LineProcess("tests.benchmarks.worker_process") as worker:
        _run_step(worker, revision, WARM_UP)
        content = _run_step(worker, revision, chunks)
    return Peak(
        chunks=chunks,
        worker=content["worker_kib"] / 1024,
        worker_more=content["worker_grown_kib"] / 1024,
        engine=content["engine_kib"] / 1024,
        engine_more=content["engine_grown_kib"] / 1024,
        seconds=content["seconds"],
    )


def _run_step(worker: LineProcess, revision: ModelRevision, chunks: int) -> dict[str, Any]:
    base = base_with([f"Note {number:06d} of the harbour." for number in range(chunks)])
    forget_vectors(base)
    content = worker.ask({"step": re_embed_step(base, revision)}).content
    if content["sentence"] != f"Embedded {chunks} texts; 1 index files built.":
        raise RuntimeError(f"SAM says: {content['sentence']}")
    return content


def table(peaks: list[Peak]) -> Table:
    title = "Memory of re-embedding: before the step, and its peak above that (MiB)"
    shown = Table("chunks", "worker", "engine", "seconds", title=title)
    for peak in peaks:
        shown.add_row(
            f"{peak.chunks:,}",
            f"{peak.worker:.1f} {peak.worker_more:+.1f}",
            f"{peak.engine:.1f} {peak.engine_more:+.1f}",
            f"{peak.seconds:.1f}",
        )
    return shown


def verdict(peaks: list[Peak]) -> str:
    """How much higher the peak of many chunks is than that of few, also per chunk."""
    few, many = peaks[0], peaks[-1]
    worker, engine = many.worker_more - few.worker_more, many.engine_more - few.engine_more
    per_chunk = (worker + engine) * 1024 * 1024 / (many.chunks - few.chunks)
    return (
        f"{many.chunks:,} against {few.chunks:,} chunks: worker {worker:+.1f} MiB, "
        f"engine {engine:+.1f} MiB; {per_chunk:+.0f} bytes per chunk."
    )


@dataclass(slots=True)
class OwnPeak:
    """MiB above what there was before."""

    mib: float = 0.0


@contextmanager
def watching_memory() -> Iterator[OwnPeak]:
    """Look at the process's anonymous memory all the while, and give the peak at the end."""
    peak, before, done = OwnPeak(), own_mib(), threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_SECONDS):
            peak.mib = max(peak.mib, own_mib() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def own_mib() -> float:
    """Return this process's anonymous resident memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024
