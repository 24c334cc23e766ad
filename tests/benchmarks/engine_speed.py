"""SAM's engine and ``/v1`` against llama.cpp without SAM: tokens per second, first token, pauses of others.

All have the same model file (SmolLM2-135M), threads and context, and take turns within each round; what is
compared are the figures of one round. ``BENCH_STREAMS``, ``BENCH_ROUNDS``, ``BENCH_TOKENS``,
``BENCH_PROBES``, ``BENCH_CROWD`` and ``BENCH_THREADS`` make it shorter or longer, ``BENCH_PARTS`` chooses of
``rates,first,crowd,pause``, ``BENCH_MODEL`` names another GGUF file, and ``SAM_LLAMA_SERVER`` a
``llama-server`` that takes part.
"""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from django.contrib.auth.models import User
from llama_cpp import Llama
from rich.console import Console
from rich.table import Table

from deploy.demo.models.weights import SMOLLM2, ensure_weights
from engines.models import CatalogModel, EnginePreference, ModelRevision
from engines.runtimes.llama_cpp.generator import PROMPT_PIECE
from tests.benchmarks.sam_stack import SamStack
from tests.benchmarks.speed.contenders import (
    CONTEXT,
    Contender,
    Library,
    SamEngine,
    Server,
    library_server,
    llama_server,
)
from tests.benchmarks.speed.measuring import (
    Pause,
    Rate,
    first_tokens,
    first_tokens_in_turn,
    long_text,
    pause_by_long_prompt,
    together,
)
from tests.benchmarks.steps import embedder_here
from tests.fixtures_models import models_cache
from tests.tokens import token_for

STREAMS = tuple(map(int, os.environ.get("BENCH_STREAMS", "1,4,16,64").split(",")))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
TOKENS = int(os.environ.get("BENCH_TOKENS", "64"))
PROBES = int(os.environ.get("BENCH_PROBES", "40"))
THREADS = int(os.environ.get("BENCH_THREADS", "0")) or max((os.cpu_count() or 2) // 2, 1)
"""By itself what llama-cpp-python takes."""
CROWD = int(os.environ.get("BENCH_CROWD", "15"))
"""Others who are answered while the sixteenth asks."""
PARTS = os.environ.get("BENCH_PARTS", "rates,first,crowd,pause").split(",")
MODEL = os.environ.get("BENCH_MODEL", "")
ENGINE = "SAM's engine"
V1 = "SAM's /v1"
LEAST_RATE = 0.95
MOST_MEDIAN_MS = 3.0
MOST_P99_MS = 15.0


def run(console: Console) -> None:
    """Measure and print the tables."""
    path = Path(MODEL) if MODEL else ensure_weights(SMOLLM2, models_cache()) / SMOLLM2.file
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        # As in earnest, where the benchmarks' own settings count nothing.
        limits = {"SAM_ANSWERS_AT_ONCE": "8", "SAM_RATE_USER": "1000000/min"}
        sam = stack.enter_context(SamStack(Path(folder), SAM_ENGINE_THREADS=str(THREADS), **limits))
        keys = _people(path)
        contenders: list[Contender] = [
            stack.enter_context(Server(V1, sam.address, keys, at_once=True)),
            stack.enter_context(SamEngine(path, THREADS)),
            stack.enter_context(Library(path, THREADS)),
            stack.enter_context(library_server(path, THREADS)),
        ]
        if (server := llama_server(path, THREADS)) is not None:
            contenders.append(stack.enter_context(server))
        console.print(f"{path.name}, {THREADS} threads, {CONTEXT} cells, {ROUNDS} rounds")
        asyncio.run(_measure(console, contenders, _count_pieces(path)))


def _people(path: Path) -> list[str]:
    """Make a person for each stream whose engine is this file; return their keys."""
    revision = embedder_here("bench-smollm2", path)
    CatalogModel.objects.filter(pk=revision.model_id).update(context_length=CONTEXT)
    return [_person(revision, number) for number in range(max(*STREAMS, CROWD + 1))]


def _person(revision: ModelRevision, number: int) -> str:
    user = User.objects.create_user(f"bench-speed-{revision.pk}-{number}")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return token_for(user)


def _count_pieces(path: Path) -> int:
    """Return in how many pieces an engine of ours reads the long text."""
    words = Llama(str(path), vocab_only=True, verbose=False)
    tokens = len(words.tokenize(long_text().encode()))
    words.close()
    return math.ceil(tokens / PROMPT_PIECE)


async def _measure(console: Console, contenders: Sequence[Contender], pieces: int) -> None:
    # Processes and connections are opened, and PostgreSQL settles on plans after a few questions.
    for number in range(1, 8):
        for contender in contenders:
            await together(contender, max(STREAMS) if number == 1 else 1, 4, -number)
    for streams in STREAMS if "rates" in PARTS else ():
        console.print(await _rates(contenders, streams))
    ours = [each for each in contenders if each.at_once]
    if "first" in PARTS:
        console.print(_first_words(await first_tokens_in_turn(contenders, ROUNDS * PROBES), 0))
    if "crowd" in PARTS:
        console.print(_first_words(await _in_a_crowd(ours), CROWD))
    if "pause" in PARTS:
        console.print(await _pauses(ours, pieces))


def _in_turn(contenders: Sequence[Contender]) -> Iterator[tuple[int, Contender]]:
    """Yield rounds in which each has its turn, another one first in each."""
    for number in range(ROUNDS):
        at = number % len(contenders)
        for contender in (*contenders[at:], *contenders[:at]):
            yield number, contender


async def _rates(contenders: Sequence[Contender], streams: int) -> Table:
    rates: dict[str, list[Rate]] = defaultdict(list)
    for number, contender in _in_turn(contenders):
        asked = number * len(STREAMS) + STREAMS.index(streams)
        rates[contender.name].append(await together(contender, streams, TOKENS, asked))
    others = [name for name in rates if name not in (V1, ENGINE)]
    best = [
        max(rates[name][n].tokens_per_second for name in others if n < len(rates[name]))
        for n in range(ROUNDS)
    ]
    title = f"{streams} streams of {TOKENS} tokens: tokens per second of all together"
    table = Table("", "median", "best", "of the best other", "same text", title=title)
    for name, found in rates.items():
        seconds = [rate.tokens_per_second for rate in found]
        ratios = [mine / other for mine, other in zip(seconds, best, strict=True)]
        wanted = f" (wanted {LEAST_RATE})" if name in (V1, ENGINE) else ""
        share = f"{median(ratios):.2f}×{wanted}"
        row = (f"{median(seconds):.1f}", f"{max(seconds):.1f}", share)
        table.add_row(name, *row, _same(found, rates[ENGINE]))
    return table


def _same(found: Sequence[Rate], ours: Sequence[Rate]) -> str:
    pairs = [
        pair
        for one, other in zip(found, ours, strict=True)
        for pair in zip(one.texts, other.texts, strict=False)
    ]
    return f"{sum(one == other for one, other in pairs)} of {len(pairs)}"


async def _in_a_crowd(contenders: Sequence[Contender]) -> Mapping[str, Sequence[float]]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for _, contender in _in_turn(contenders):
        seconds[contender.name] += await first_tokens(contender, CROWD, PROBES)
    return seconds


def _first_words(seconds: Mapping[str, Sequence[float]], others: int) -> Table:
    title = f"First token beside {others} other streams, ms; {ROUNDS * PROBES} questions"
    columns = ("", "p50", "p99", f"p50 above {ENGINE}", "p99 above", "of its, question by question")
    table = Table(*columns, title=title)
    engine = seconds[ENGINE]
    middle, late = (_milliseconds(of, engine) for of in (median, _p99))
    for name, found in seconds.items():
        more, latest = _milliseconds(median, found) - middle, _milliseconds(_p99, found) - late
        row = (f"{_milliseconds(median, found):.1f}", f"{_milliseconds(_p99, found):.1f}")
        share = median(mine / its for mine, its in zip(found, engine, strict=True))
        table.add_row(name, *row, f"{more:+.1f}", f"{latest:+.1f}", f"{share:.3f}×")
    table.caption = f"Wanted of {V1}: at most {MOST_MEDIAN_MS:+.0f} and {MOST_P99_MS:+.0f}"
    return table


def _milliseconds(of: Callable[[Sequence[float]], float], seconds: Sequence[float]) -> float:
    return of(seconds) * 1000


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[98]


async def _pauses(contenders: Sequence[Contender], pieces: int) -> Table:
    found: dict[str, list[Pause]] = defaultdict(list)
    for _, contender in _in_turn(contenders):
        found[contender.name].append(await pause_by_long_prompt(contender, 4, pieces))
    title = f"4 streams while a text of {pieces * PROMPT_PIECE} tokens is read: longest pause, ms"
    table = Table("", "before", "meanwhile", "a piece and a token", title=title)
    for name, pauses in found.items():
        row = [
            f"{median(getattr(pause, field) for pause in pauses) * 1000:.0f}"
            for field in ("usual", "longest", "turn")
        ]
        table.add_row(name, *row)
    return table
