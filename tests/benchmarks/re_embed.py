"""How fast SAM re-embeds real text, against the fastest loops over the same texts and model."""

from __future__ import annotations

import json
import os
import random
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from deploy.demo.texts import MARKDOWN, OWN_MODULES, SHARED_MODULES, project_pages, python_pages
from engines.models import KnowledgeBase, ModelRevision
from engines.services.knowledge.cutting.chunking import cut_text
from tests.benchmarks.line_process import REPOSITORY, Answer, LineProcess
from tests.benchmarks.loops.raw_loop import RawSetting
from tests.benchmarks.steps import base_with, embedder_here, forget_vectors, re_embed_step
from tests.fixtures_models import ensure_minilm

MOST_TEXTS = 1_000
LEAST_TEXTS = 64
ROUNDS = 5
ROUND_SECONDS = 30.0
"""On a slow machine fewer texts are taken, so that all ends within ten minutes."""
TRIAL_TEXTS = 12
DEFAULT_SHARE = 6
"""The defaults are several times slower: they get a sixth of the (shuffled) texts."""
GOAL = 0.90
MORE_MODULES = (
    *("argparse", "asyncio", "decimal", "difflib", "email", "http", "inspect", "ipaddress"),
    *("logging", "multiprocessing", "optparse", "os", "queue", "socket", "ssl", "subprocess"),
    *("tarfile", "turtle", "typing", "unittest", "urllib", "zipfile"),
)


@dataclass(frozen=True, slots=True)
class Pass:
    """One way once over ``texts`` texts."""

    texts: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Texts per second."""
        return self.texts / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds per text, of all processes."""
        return 1000 * self.cpu_seconds / self.texts


@dataclass(frozen=True, slots=True)
class Round:
    """The three ways, one after the other."""

    sam: Pass
    raw: Pass
    default: Pass


class _Ways:
    """Everything that is measured, loaded and warm."""

    def __init__(self, raw: LineProcess, sam: LineProcess, revision: ModelRevision) -> None:
        self._raw = raw
        self._sam = sam
        self._revision = revision

    def raw(self, setting: RawSetting) -> Pass:
        answer = self._raw.ask(asdict(setting))
        return _pass(answer, setting.texts)

    def sam(self, base: KnowledgeBase) -> Pass:
        forget_vectors(base)
        count = base.chunks.count()
        answer = self._sam.ask({"step": re_embed_step(base, self._revision)})
        expected = f"Embedded {count} texts; 1 index files built."
        if answer.content["sentence"] != expected:
            raise RuntimeError(f"SAM says: {answer.content['sentence']}")
        return _pass(answer, count)


def _pass(answer: Answer, texts: int) -> Pass:
    return Pass(texts, answer.content["seconds"], answer.cpu_seconds)


def run(console: Console) -> None:
    """Choose the best raw loop by trying all, then measure in alternated rounds; print tables."""
    texts = real_texts()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "texts.json"
        source.write_text(json.dumps(texts))
        model = ensure_minilm()
        revision = embedder_here("bench-minilm", model)
        with (
            LineProcess("tests.benchmarks.loops.raw_loop", str(model), str(source)) as raw,
            LineProcess("tests.benchmarks.worker_process") as sam,
        ):
            _measure(console, _Ways(raw, sam, revision), texts)


def _measure(console: Console, ways: _Ways, texts: list[str]) -> None:
    trials = _trials(ways)
    console.print(trial_table(trials))
    best = max(trials, key=lambda setting: trials[setting].rate)
    default = RawSetting(default=True, texts=TRIAL_TEXTS)
    count = text_count(trials[best].rate, ways.raw(default).rate, len(texts))
    ways.sam(base_with(texts[:TRIAL_TEXTS]))
    base = base_with(texts[:count])
    raw = replace(best, texts=count)
    default = replace(default, texts=max(1, count // DEFAULT_SHARE))
    rounds = []
    for number in range(ROUNDS):
        rounds.append(_round(ways, base, raw, default, number))
        console.print(f"Round {number + 1} of {ROUNDS}: {verdict(rounds)}")
    console.print(round_table(rounds, best))


def _trials(ways: _Ways) -> dict[RawSetting, Pass]:
    """The faster of two passes of each: who was disturbed once must not lose by it."""
    settings = raw_settings()
    trials = [(setting, ways.raw(setting)) for setting in [*settings, *reversed(settings)]]
    return dict(sorted(trials, key=lambda trial: trial[1].rate))


def _round(
    ways: _Ways, base: KnowledgeBase, raw: RawSetting, default: RawSetting, number: int
) -> Round:
    """Whoever was first is last the next time."""
    calls = {
        "sam": lambda: ways.sam(base),
        "default": lambda: ways.raw(default),
        "raw": lambda: ways.raw(raw),
    }
    order = list(calls) if number % 2 == 0 else list(reversed(calls))
    return Round(**{name: calls[name]() for name in order})


def real_texts() -> list[str]:
    """Chunks of the project's documentation and Python's, distinct, in a fixed random order."""
    modules = [*OWN_MODULES, *SHARED_MODULES, *MORE_MODULES]
    pages = [*project_pages(REPOSITORY), *python_pages(dict.fromkeys(modules))]
    chunks = [
        page.text[span.start : span.end] for page in pages for span in cut_text(page.text, MARKDOWN)
    ]
    texts = list(dict.fromkeys(chunks))
    random.Random(1).shuffle(texts)  # noqa: S311 - no secret
    return texts[:MOST_TEXTS]


def raw_settings() -> list[RawSetting]:
    """Flash attention off and on, three sizes of packs, one context with all cores or one per core."""
    cores = len(os.sched_getaffinity(0))
    return [
        RawSetting(flash, pack, contexts, cores // contexts, texts=TRIAL_TEXTS * max(1, cores // 2))
        for flash in (False, True)
        for pack in (1, 192, 512)
        for contexts in sorted({1, cores})
    ]


def text_count(raw_rate: float, default_rate: float, most: int) -> int:
    """How many texts a round of ROUND_SECONDS has time for."""
    seconds_per_text = 2 / raw_rate + 1 / (DEFAULT_SHARE * default_rate)
    return max(LEAST_TEXTS, min(most, int(ROUND_SECONDS / seconds_per_text)))


def trial_table(trials: dict[RawSetting, Pass]) -> Table:
    table = Table("raw loop", "texts/s", "CPU ms/text", title="Raw loops, the faster of two trials")
    for setting, one in sorted(trials.items(), key=lambda trial: trial[1].rate):
        table.add_row(str(setting), f"{one.rate:.1f}", f"{one.cpu_ms:.1f}")
    return table


def round_table(rounds: list[Round], best: RawSetting) -> Table:
    """Texts per second, and processor milliseconds per text beside them."""
    title = f"Re-embedding end to end, {rounds[0].sam.texts} texts; best raw loop: {best}"
    heads = ("round", "SAM", "best raw loop", "Llama.embed(list)", "SAM ÷ best", "SAM ÷ default")
    table = Table(*heads, title=title, caption="texts/s (CPU ms/text)")
    for number, row in enumerate(rounds, 1):
        cells = [f"{one.rate:.1f} ({one.cpu_ms:.1f})" for one in (row.sam, row.raw, row.default)]
        ratios = [f"{row.sam.rate / other.rate:.2f}" for other in (row.raw, row.default)]
        table.add_row(str(number), *cells, *ratios)
    return table


def verdict(rounds: list[Round]) -> str:
    """The medians of the rounds' ratios, and whether the goal is met."""
    best = median(row.sam.rate / row.raw.rate for row in rounds)
    cpu = median(row.raw.cpu_ms / row.sam.cpu_ms for row in rounds)
    default = median(row.sam.rate / row.default.rate for row in rounds)
    held = "reached" if best >= GOAL else "MISSED"
    return (
        f"SAM is {best:.2f} times the best raw loop (goal {GOAL:.2f}: {held}; "
        f"{cpu:.2f} times by processor time) and {default:.1f} times Llama.embed(list)."
    )
