"""Re-embedding by OpenVINO against the same by llama.cpp, end to end, and against a raw loop of each.

``BENCH_TEXTS`` and ``BENCH_ROUNDS`` make it shorter or longer; ``SAM_SENTENCE_TRANSFORMERS`` names a Python that
has that package, and it takes part.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from deploy.demo.models.weights import MINILM, ensure_weights
from engines.machine import cores
from engines.models import KnowledgeBase, ModelRevision
from engines.runtimes.openvino.network import usable_precisions
from tests.benchmarks.line_process import LineProcess
from tests.benchmarks.loops.raw_loop import RawSetting
from tests.benchmarks.re_embed import Pass, real_texts
from tests.benchmarks.steps import base_with, embedder_here, forget_vectors, re_embed_step
from tests.fixtures_models import ensure_minilm, models_cache

TEXTS = int(os.environ.get("BENCH_TEXTS", "512"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
GOALS = {"bf16": 2.5, "f32": 1.4}
"""Times today's rate, of the precision that the processor has instructions for."""
RAW_GOAL = 0.9
LLAMA = "never"
SENTENCE_TRANSFORMERS = "sentence-transformers"
OTHER_PYTHON = os.environ.get("SAM_SENTENCE_TRANSFORMERS", "")


@dataclass(frozen=True, slots=True)
class Way:
    """SAM, or a loop without it; ``never`` is llama.cpp."""

    precision: str
    is_raw: bool = False

    def __str__(self) -> str:
        if self.precision == SENTENCE_TRANSFORMERS:
            return f"{SENTENCE_TRANSFORMERS}, torch f32"
        who = "llama.cpp" if self.precision == LLAMA else f"OpenVINO {self.precision}"
        return f"raw loop over {who}" if self.is_raw else f"SAM, {who}"


Rates = dict[Way, list[Pass]]


class _Ways:
    """A process for each way, loaded and warm."""

    def __init__(self, stack: ExitStack, model: Path, source: Path) -> None:
        self._processes = {
            way: stack.enter_context(_process(way, model, source)) for way in list_ways()
        }

    def once(self, way: Way, base: KnowledgeBase, revision: ModelRevision) -> Pass:
        """Embed the base's texts once."""
        count = base.chunks.count()
        question: dict[str, object] = {"texts": count}
        if way.is_raw and way.precision == LLAMA:
            # The best of re_embed's raw loops on the machines we have: a context for each core.
            question = asdict(RawSetting(flash=True, contexts=cores(), threads=1, texts=count))
        elif not way.is_raw:
            forget_vectors(base)
            question = {"step": re_embed_step(base, revision)}
        answer = self._processes[way].ask(question)
        sentence = answer.content.get("sentence", "")
        if sentence and not sentence.startswith(f"Embedded {count} texts"):
            raise RuntimeError(f"SAM says: {sentence}")
        return Pass(count, answer.content["seconds"], answer.cpu_seconds)


def list_ways() -> list[Way]:
    """Return all ways that this processor has instructions for, and sentence-transformers' where it is."""
    names = [LLAMA, *usable_precisions()]
    ways = [Way(name, is_raw) for name in names for is_raw in (False, True)]
    return [*ways, Way(SENTENCE_TRANSFORMERS, is_raw=True)] if OTHER_PYTHON else ways


def _process(way: Way, model: Path, source: Path) -> LineProcess:
    if not way.is_raw:
        return LineProcess(
            "tests.benchmarks.worker_process", variables={"SAM_OPENVINO": way.precision}
        )
    if way.precision == LLAMA:
        return LineProcess("tests.benchmarks.loops.raw_loop", str(model), str(source))
    if way.precision == SENTENCE_TRANSFORMERS:
        folder = str(ensure_weights(MINILM, models_cache()))
        arguments = (folder, str(source), str(cores()))
        return LineProcess("tests.benchmarks.loops.sentence_loop", *arguments, python=OTHER_PYTHON)
    return LineProcess(
        "tests.benchmarks.loops.openvino_loop", str(model), str(source), way.precision
    )


def run(console: Console) -> None:
    """Measure in rounds that take all ways in turns, and print the table."""
    texts = real_texts()[:TEXTS]
    model = ensure_minilm()
    revision = embedder_here("bench-openvino", model)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source = Path(folder) / "texts.json"
        source.write_text(json.dumps(texts))
        ways = _Ways(stack, model, source)
        warm, base = base_with(texts[:16]), base_with(texts)
        rates: Rates = {way: [] for way in list_ways()}
        for way in rates:
            ways.once(way, warm, revision)
        for number in range(ROUNDS):
            # Whoever was first is last the next time.
            for way in list(rates) if number % 2 == 0 else reversed(list(rates)):
                rates[way].append(ways.once(way, base, revision))
            console.print(f"Round {number + 1} of {ROUNDS}: {verdict(rates)}")
        console.print(table(rates))


def ratio(rates: Rates, way: Way, other: Way, *, by_processor: bool = False) -> float:
    """Return the median of the rounds' ratios: both were measured a moment apart."""
    pairs = zip(rates[way], rates[other], strict=True)
    if by_processor:
        return median(slow.cpu_ms / fast.cpu_ms for fast, slow in pairs)
    return median(fast.rate / slow.rate for fast, slow in pairs)


def verdict(rates: Rates) -> str:
    """Say how SAM with OpenVINO stands to SAM with llama.cpp, and to the raw loop of its own precision."""
    today, sentences = Way(LLAMA), []
    for precision in (way.precision for way in rates if not way.is_raw and way != today):
        way, raw = Way(precision), Way(precision, is_raw=True)
        gain, share = ratio(rates, way, today), ratio(rates, way, raw)
        by_cpu = ratio(rates, way, today, by_processor=True)
        share_by_cpu = ratio(rates, way, raw, by_processor=True)
        goal = GOALS[precision]
        sentences.append(
            f"{precision}: {gain:.2f} times llama.cpp (goal {goal}: {_said(gain, goal)}; "
            f"{by_cpu:.2f} by processor time), {share:.2f} of its raw loop (goal {RAW_GOAL}: "
            f"{_said(share, RAW_GOAL)}; {share_by_cpu:.2f} by processor time)."
        )
        torch = Way(SENTENCE_TRANSFORMERS, is_raw=True)
        if torch in rates:
            sentences.append(f"{ratio(rates, way, torch):.2f} times {SENTENCE_TRANSFORMERS}.")
    return " ".join(sentences)


def _said(value: float, goal: float) -> str:
    return "reached" if value >= goal else "MISSED"


def table(rates: Rates) -> Table:
    """Medians of texts per second, and processor milliseconds per text."""
    found = Table("way", "texts/s", "CPU ms/text", title=f"Re-embedding {TEXTS} texts, MiniLM f16")
    for way, passes in rates.items():
        rate = median(one.rate for one in passes)
        found.add_row(str(way), f"{rate:.1f}", f"{median(one.cpu_ms for one in passes):.1f}")
    return found
