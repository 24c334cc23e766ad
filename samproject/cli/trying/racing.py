"""Which runtime answers fastest with one model on this machine, by measuring."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings

from engines.exceptions import EngineError, InvalidRequestError, NotFoundError
from engines.host_runtimes import engine_registry
from engines.models import CopyStatus, ModelCopy
from engines.runtime_names import GGUF_RUNTIMES
from engines.runtimes.base import ChatMessage
from engines.runtimes.streaming import StreamingEngine
from engines.services.catalog.copies import engine_spec
from engines.services.catalog.entries import get_model
from engines.specs import EngineSpec

FILE = ".gguf"
RUNTIMES = sorted(GGUF_RUNTIMES)
WARM_UP_TOKENS = 8
QUESTION = "Write a long story about a lighthouse, its keeper and the ship number {}."


@dataclass(frozen=True, slots=True)
class Lap:
    """So many answers at the same time by one runtime."""

    runtime: str
    streams: int
    tokens_per_second: float
    """Of all answers together."""
    first_ms: float
    """Until half of them had begun."""


@dataclass(frozen=True, slots=True)
class Race:
    """What was measured, and why a runtime was not."""

    laps: list[Lap]
    problems: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"laps": [asdict(lap) for lap in self.laps], "problems": self.problems}

    def rows(self) -> list[tuple[str, int, str, str]]:
        """Return a line for each lap."""
        return [
            (lap.runtime, lap.streams, f"{lap.tokens_per_second:.1f}", f"{lap.first_ms:.0f}")
            for lap in self.laps
        ]

    def winners(self) -> list[str]:
        """Return a sentence for each number of streams that more than one runtime answered."""
        said = []
        for streams in sorted({lap.streams for lap in self.laps}):
            best, *others = sorted(
                (lap for lap in self.laps if lap.streams == streams),
                key=lambda lap: -lap.tokens_per_second,
            )
            for other in others:
                times = best.tokens_per_second / max(other.tokens_per_second, 0.001)
                said.append(
                    f"At {streams}: {best.runtime} is {times:.2f} times as fast as {other.runtime}."
                )
        return said


def race(model: str, streams: Iterable[int], tokens: int, threads: int) -> Race:
    """Answer with a GGUF file, or an entry of the catalog, by each runtime of such files."""
    spec = replace(_spec_of(model), threads=threads)
    laps: list[Lap] = []
    problems: dict[str, str] = {}
    for runtime in RUNTIMES:
        try:
            laps += _laps(replace(spec, runtime=runtime), list(streams), tokens)
        except (InvalidRequestError, EngineError) as error:
            problems[runtime] = str(error)
    return Race(laps, problems)


def _laps(spec: EngineSpec, streams: list[int], tokens: int) -> list[Lap]:
    with engine_registry().create(spec) as engine:
        if not isinstance(engine, StreamingEngine):
            raise InvalidRequestError(f"The runtime {spec.runtime} streams no answers.")
        engine.load_model()
        engine.complete(_question(0), max_tokens=WARM_UP_TOKENS)
        return [_lap(engine, spec.runtime, count, tokens) for count in streams]


def _lap(engine: StreamingEngine, runtime: str, count: int, tokens: int) -> Lap:
    start = threading.Barrier(count + 1)

    def answer(number: int) -> tuple[int, float]:
        start.wait()
        begun = time.monotonic()
        first = 0.0
        pieces = engine.stream_pieces(_question(number), max_tokens=tokens, temperature=0)
        while True:
            try:
                next(pieces)
                first = first or time.monotonic() - begun
            except StopIteration as end:
                return end.value.completion_tokens, first

    with ThreadPoolExecutor(count) as pool:
        answers = [pool.submit(answer, number) for number in range(count)]
        start.wait()
        begun = time.monotonic()
        found = [each.result() for each in answers]
    seconds = time.monotonic() - begun
    made = sum(tokens for tokens, _ in found)
    return Lap(runtime, count, made / seconds, median(first for _, first in found) * 1000)


def _question(number: int) -> list[ChatMessage]:
    # Each differs: nothing of one may be found in a cache by the next.
    return [{"role": "user", "content": QUESTION.format(number)}]


def _spec_of(model: str) -> EngineSpec:
    if model.endswith(FILE):
        return EngineSpec(Path(model).stem, Path(model).stem, str(Path(model).absolute()))
    entry = get_model(model)
    copy = ModelCopy.objects.filter(
        revision__model=entry, host__name=settings.SAM_HOST_NAME, status=CopyStatus.DOWNLOADED
    ).first()
    if copy is None or entry.runtime not in RUNTIMES:
        raise NotFoundError(
            f"{model} is no GGUF model on this host; download it first, or name a file."
        )
    return engine_spec(copy.revision, copy.path)
