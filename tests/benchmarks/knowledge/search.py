"""A person's search in bases of 10,000 and 100,000 passages: by meaning and words, and by each alone."""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data import topics
from statistics import quantiles
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import connection
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Document, Embedding, KnowledgeBase, VectorIndex
from engines.services.knowledge.hybrid import Searched, search_passages
from engines.services.knowledge.indexes import build_file
from engines.services.knowledge.search import FoundBy
from engines.services.knowledge.search_filters import SearchFilter, SearchMode
from engines.services.knowledge.words import search as word_search
from engines.services.knowledge.words.rows import store_words
from engines.vectors import IndexCache
from tests.knowledge.world import live_index, make_base, make_space

SIZES = tuple(map(int, os.environ.get("BENCH_PASSAGES", "10000,100000").split(",")))
DIMENSION, ROUNDS, K, BATCH = 384, 100, 5, 1000
SENTENCES_EACH = 6


def run(console: Console) -> None:
    """Fill two bases, ask each the same way, and look at how PostgreSQL finds the words."""
    table = Table(title="Search, ms in the worker without embedding the question (p50 / p95)")
    for column in (
        "passages",
        "words stored /s",
        *[mode.value for mode in SearchMode],
        "p95 ratio",
    ):
        table.add_column(column, justify="right")
    plans = []
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(f"{folder}/store")
        for size in SIZES:
            base, rate = _fill(size, store, Path(folder))
            times = _time(base, store)
            ratio = times[SearchMode.HYBRID][1] / times[SearchMode.VECTORS][1]
            shown = [f"{p50:.1f} / {p95:.1f}" for p50, p95 in times.values()]
            table.add_row(f"{size:,}", f"{rate:.0f}", *shown, f"{ratio:.2f}")
            plans.append(f"{size:,} passages: {_plan(base)}")
    console.print(table)
    console.print("\n".join(plans))


def _sentences() -> list[str]:
    """Real English of the standard library's manual."""
    text = " ".join(" ".join(topics.topics.values()).split())
    return [one for one in re.split(r"(?<=[.!?]) ", text) if 30 < len(one) < 200]


def _fill(size: int, store: ArtifactStore, scratch: Path) -> tuple[KnowledgeBase, float]:
    """Return a base of real sentences in another order each time, and words stored per second."""
    owner = User.objects.create_user(f"reader-{size}")
    base = make_base(owner, make_space(f"space-{size}", dimension=DIMENSION))
    chance, sentences, taken = random.Random(size), _sentences(), 0.0  # noqa: S311
    numbers = np.random.default_rng(size)
    for start in range(0, size, BATCH):
        document = Document.objects.create(base=base, title=f"Part {start}", text="-", sha256="0")
        texts = [
            f"{' '.join(chance.sample(sentences, SENTENCES_EACH))} Case {start + n}."[-900:]
            for n in range(BATCH)
        ]
        rows = list(_rows(base, document, start, texts))
        Chunk.objects.bulk_create(rows)
        vectors = numbers.standard_normal((BATCH, DIMENSION)).astype("<f2")
        space = live_index(base).fingerprint
        Embedding.objects.bulk_create(
            Embedding(fingerprint=space, content_hash=row.content_hash, vector=vector.tobytes())
            for row, vector in zip(rows, vectors, strict=True)
        )
        began = time.perf_counter()
        store_words(rows)
        taken += time.perf_counter() - began
    KnowledgeBase.objects.filter(pk=base.pk).update(write_seq=1, words_seq=1)
    build_file(live_index(base), store, scratch, checkpoint=lambda: None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return base, size / taken


def _rows(base: KnowledgeBase, document: Document, start: int, texts: list[str]) -> Iterator[Chunk]:
    for number, text in enumerate(texts):
        yield Chunk(
            base=base,
            document=document,
            position=number,
            text=text,
            content_hash=(start + number).to_bytes(8) + base.pk.to_bytes(24),
            created_seq=1,
        )


def _time(base: KnowledgeBase, store: ArtifactStore) -> dict[SearchMode, tuple[float, float]]:
    """Ask each question in each way, one after the other: a machine is not as busy at every moment."""
    index, cache = live_index(base), IndexCache(4)
    where = Searched([base.pk], [(base.pk, VectorIndex.objects.get(pk=index.pk))])
    taken: dict[SearchMode, list[float]] = {mode: [] for mode in SearchMode}
    found = Counter[SearchMode]()
    for number, (question, case) in enumerate(_questions(base, ROUNDS + 5)):
        vector: Callable[[VectorIndex], NDArray[np.float32]] = _vector(number)
        for mode in SearchMode:
            how = SearchFilter(mode=mode)
            began = time.perf_counter()
            hits = search_passages(question, where, K, vector, (store, cache), how).hits
            taken[mode].append((time.perf_counter() - began) * 1000)
            by_words = [hit for hit in hits if hit.found_by != FoundBy.VECTORS]
            found[mode] += any(hit.text.endswith(case) for hit in by_words)
    for mode in (SearchMode.HYBRID, SearchMode.WORDS):
        if found[mode] < ROUNDS:
            raise RuntimeError(f"Only {found[mode]} of {ROUNDS + 5} questions found their case.")
    # The first ones open the file and load dictionaries.
    cuts = {mode: quantiles(times[5:], n=20) for mode, times in taken.items()}
    return {mode: (cut[9], cut[18]) for mode, cut in cuts.items()}


def _vector(seed: int) -> Callable[[VectorIndex], NDArray[np.float32]]:
    row = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return lambda _index: row


def _questions(base: KnowledgeBase, count: int) -> Iterator[tuple[str, str]]:
    """Yield a question of a passage's words and number, and how the passage ends."""
    chance = random.Random(7)  # noqa: S311
    texts = list(Chunk.objects.filter(base=base).order_by("pk").values_list("text", flat=True))
    for text in chance.sample(texts, count):
        *words, _, number = text.split()
        end = f"Case {number}"
        yield f"What is said about {' '.join(words[-10:])} in case {number}?", end


def _plan(base: KnowledgeBase) -> str:
    with connection.cursor() as cursor:
        cursor.execute(word_search._BY_INDEX.replace("%b", "%s"), ["off", "off"])
        statement = word_search._FOUND.replace("%b", "%s")
        values: list[Any] = [f"'#b{base.pk}'", 1000, ["'the'", "'class' | 'en:class'", "'777'"]]
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(word_search._BY_INDEX.replace("%b", "%s"), ["on", "on"])
    used = "words_by_word" in plan and "Seq Scan" not in plan
    return "the GIN index is used" if used else f"the GIN index is NOT used:\n{plan}"
