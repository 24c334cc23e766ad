"""The batch setting that SAM measured, against every setting of a grid tried by hand in the same run."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.demo.models.tiny_models import write_llama_chat
from engines.gguf.reader import read_header
from engines.machine import cores
from engines.runtimes.llama_cpp.embedding.batch_settings import BatchSetting, is_quiet
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.specs import EmbeddingSpec, EngineSpec
from tests.benchmarks.re_embed import real_texts
from tests.fixtures_models import ensure_minilm

ROUNDS = 5
CHUNKS, QUESTIONS = 32, 64
WORDS = 12
"""Of a question; chunks are as they are."""
PACKS = (0, 64, 128, 256, 512, 1024)
GOAL = 0.95
SETTLE_SECONDS = 90.0


@dataclass(eq=False)
class Entry:
    """One setting, its engine, and its best seconds for each kind of text."""

    setting: BatchSetting
    engine: LlamaCppEngine
    seconds: list[float] = field(default_factory=lambda: [math.inf, math.inf])

    def run(self, samples: Sequence[Sequence[str]]) -> None:
        for number, texts in enumerate(samples):
            begun = time.perf_counter()
            self.engine.embed_documents(texts)
            self.seconds[number] = min(self.seconds[number], time.perf_counter() - begun)

    @property
    def score(self) -> float:
        """The kinds of text weigh the same; more is faster."""
        return 1 / math.prod(self.seconds) ** (1 / len(self.seconds))


def run(console: Console) -> None:
    """Print a table and a verdict for a real embedder and for a tiny model."""
    chunks = real_texts()[:CHUNKS]
    questions = [" ".join(text.split()[:WORDS]) for text in real_texts()[:QUESTIONS]]
    with tempfile.TemporaryDirectory() as folder:
        tiny = write_llama_chat(Path(folder) / "tiny-llama-f16.gguf")
        for model in (ensure_minilm(), tiny):
            _compare(console, model, Path(folder), [chunks, questions])


def _compare(console: Console, model: Path, folder: Path, samples: Sequence[Sequence[str]]) -> None:
    if not _settled():
        console.print("The machine is busy: SAM measures nothing here, and neither does this.")
        return
    with ExitStack() as stack:
        chosen = _loaded(stack, model, LlamaOptions(batch_settings=str(folder)))
        entries = [Entry(_setting_of(chosen), chosen)]
        for lanes, pack in product(sorted({1, max(1, cores() // 2), cores()}), PACKS):
            options = LlamaOptions(embedding_lanes=lanes, pack_tokens=pack)
            entries.append(Entry(BatchSetting(lanes, pack), _loaded(stack, model, options)))
        for number in range(ROUNDS):
            for entry in entries if number % 2 else reversed(entries):
                entry.run(samples)
    console.print(_table(model.name, entries, samples))
    console.print(verdict(entries))


def _settled() -> bool:
    """Wait until what was measured before is over."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not is_quiet() and time.monotonic() < deadline:
        time.sleep(1.0)
    return is_quiet()


def _loaded(stack: ExitStack, model: Path, options: LlamaOptions) -> LlamaCppEngine:
    header = read_header(model)
    architecture = header.text("general.architecture")
    spec = EmbeddingSpec(
        dimension=header.number(f"{architecture}.embedding_length"),
        max_tokens=min(512, header.number(f"{architecture}.context_length")),
    )
    engine = LlamaCppEngine.from_spec(
        EngineSpec(model.stem, model.stem, str(model), embedding=spec), options
    )
    stack.enter_context(engine)
    engine.load_model()
    return engine


def _setting_of(engine: LlamaCppEngine) -> BatchSetting:
    info = engine.get_engine_info()
    return BatchSetting(info["embedding_lanes"], info["pack_tokens"])


def verdict(entries: Sequence[Entry]) -> str:
    """The setting of the first entry by the best of the grid; an equal one of the grid speaks for it."""
    chosen, *grid = entries
    best = max(grid, key=lambda entry: entry.score)
    own = max(entry.score for entry in entries if entry.setting == chosen.setting)
    ratio = own / best.score
    held = "reached" if ratio >= GOAL else "MISSED"
    return (
        f"SAM chose {_named(chosen.setting)}; the best of {len(grid)} by hand is "
        f"{_named(best.setting)}: {ratio:.2f} times as fast (goal {GOAL:.2f}: {held})."
    )


def _table(name: str, entries: Sequence[Entry], samples: Sequence[Sequence[str]]) -> Table:
    kinds = (f"{len(samples[0])} chunks, texts/s", f"{len(samples[1])} questions, texts/s")
    table = Table("setting", *kinds, title=f"{name}, the best of {ROUNDS} rounds")
    for number, entry in enumerate(entries):
        pairs = zip(samples, entry.seconds, strict=True)
        mark = "" if number else " (SAM's)"
        rates = [f"{len(texts) / seconds:.1f}" for texts, seconds in pairs]
        table.add_row(_named(entry.setting) + mark, *rates)
    return table


def _named(setting: BatchSetting) -> str:
    return f"{setting.lanes} lanes, packs of {setting.pack_tokens}"
