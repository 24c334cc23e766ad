"""A person's knowledge of 100,000 passages against one of 10,000: every stage, in one run.

Real text goes in through the door that people's documents take. Only the embedder is replaced: computing
100,000 vectors takes an hour on two cores, and `re_embed` measures it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Embedding, KnowledgeBase, VectorIndex
from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.documents import add_document
from engines.services.knowledge.embedding_rows import decode_vectors
from engines.services.knowledge.index_files import IndexFiles
from engines.services.knowledge.indexes import build_file, describe_recall
from engines.services.knowledge.keep_up import embed_missing
from engines.services.knowledge.search import search_index
from engines.vectors import ApproximateIndex
from migrations_app.plans.preview import preview_of
from tests.benchmarks import switch
from tests.benchmarks.knowledge.text_vectors import DIMENSION, WordVectors, documents
from tests.benchmarks.memory import own_mib, watching_memory

SIZES = tuple(map(int, os.environ.get("BENCH_PASSAGES", "10000,100000").split(",")))
QUESTIONS = 200
QUESTION_WORDS = 12
K = 10
SWITCHES = 9
MIB = 1024 * 1024


@dataclass(slots=True)
class Person:
    """A person with so much knowledge, and what was measured of it."""

    user: User
    passages: list[str]
    embedder: WordVectors
    base: KnowledgeBase
    live: VectorIndex
    other: VectorIndex
    facts: dict[str, str] = field(default_factory=dict)
    search_ms: list[float] = field(default_factory=list)
    switch_ms: list[float] = field(default_factory=list)
    rollback_ms: list[float] = field(default_factory=list)
    found: int = 0


def run(console: Console) -> None:
    """Measure both sizes, searches and switches turn by turn; print a table and the two ratios."""
    console.print(
        "The embedder is replaced by one that adds up directions of words (tests.benchmarks.knowledge.text_vectors.py): "
        "embedding 100,000 passages takes an hour on two cores. Its time is not in the table."
    )
    with tempfile.TemporaryDirectory() as folder:
        store, scratch = ArtifactStore(f"{folder}/store"), Path(folder) / "scratch"
        people = []
        for size in SIZES:
            begun = time.monotonic()
            people.append(_person(size, store, scratch))
            taken = f"{time.monotonic() - begun:,.0f} s"
            console.print(f"{size:,} passages are there, embedded in two spaces: after {taken}.")
        switch.let_the_server_settle()
        switch.let_the_collector_settle()
        _search_by_turns(people, store)
        _switch_by_turns(people)
    console.print(_table(people))
    few, many = people[0], people[-1]
    for name, times in (("search p95", _p95), ("switch", _median_switch)):
        console.print(f"{name}: {times(many) / times(few):.2f} times")


def _person(size: int, store: ArtifactStore, scratch: Path) -> Person:
    texts = list(documents(size))
    passages = [piece for _, pieces in texts for piece in pieces]
    user = User.objects.create_user(f"bench-{size}-{time.monotonic_ns()}")
    base = KnowledgeBase.objects.create(owner=user, name="Knowledge")
    live, other = (
        VectorIndex.objects.create(base=base, fingerprint=switch.engine(name)[1])
        for name in ("bench-a", "bench-b")
    )
    base.live_index = live
    base.save(update_fields=["live_index"])
    person = Person(user, passages, WordVectors(passages), base, live, other)
    _add(person, [text for text, _ in texts])
    _embed_and_build(person, store, scratch)
    return person


def _add(person: Person, texts: Sequence[str]) -> None:
    def add(text: str) -> None:
        add_document(person.base.pk, title="Page", text=text)

    times = [_time(partial(add, text)) for text in texts]
    few = len(texts) // 10
    person.facts["documents, passages"] = f"{len(texts):,}, {len(person.passages):,}"
    person.facts["add, ms a document, first tenth"] = f"{median(times[:few]):.1f}"
    person.facts["add, ms a document, last tenth"] = f"{median(times[-few:]):.1f}"


def _embed_and_build(person: Person, store: ArtifactStore, scratch: Path) -> None:
    """The live space first, then a plan's preview, then the space that it would move to."""
    _embed(person, person.live)
    _build(person, person.live, store, scratch, "first")
    plan = switch.plan_at_its_switch(person.user, person.base, person.other)
    person.facts["plan: its preview, s"] = f"{_time(lambda: preview_of(plan)) / 1000:.2f}"
    plan.delete()
    seconds = _embed(person, person.other)
    person.facts["re-embed: reading and storing, s"] = f"{seconds:.1f}"
    _build(person, person.other, store, scratch, "index")
    before = own_mib()
    opened = IndexFiles(store).open(VectorIndex.objects.get(pk=person.other.pk))
    person.facts["index: own memory when open, MiB"] = f"{max(own_mib() - before, 0):.1f}"
    if isinstance(opened, ApproximateIndex):
        person.facts["index: lists read of lists"] = f"{opened.measured.probes} of {opened.lists}"


def _embed(person: Person, index: VectorIndex) -> float:
    """Embed all that is missing; returns seconds without those that making vectors took."""
    timed = _Timed(person.embedder)
    begun = time.perf_counter()
    embed_missing(index, timed, lambda _done: None, after_seq=0)
    return time.perf_counter() - begun - timed.seconds


@dataclass(slots=True)
class _Timed:
    """An embedder, and how long it took."""

    embedder: WordVectors
    seconds: float = 0.0

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        begun = time.perf_counter()
        batch = self.embedder.embed_documents(texts)
        self.seconds += time.perf_counter() - begun
        return batch


def _build(
    person: Person, index: VectorIndex, store: ArtifactStore, scratch: Path, name: str
) -> None:
    with watching_memory() as peak:
        milliseconds = _time(lambda: build_file(index, store, scratch, checkpoint=lambda: None))
    row = VectorIndex.objects.get(pk=index.pk)
    if name != "index":
        return
    person.facts["index: build, s"] = f"{milliseconds / 1000:.1f}"
    person.facts["index: peak of own memory, MiB"] = f"{peak.mib:.0f}"
    person.facts["index: file, MiB"] = f"{store.size(row.file_key) / MIB:.1f}"
    person.facts["index: kind"] = describe_recall([row], store).strip(" ()") or "exact"


def _search_by_turns(people: Sequence[Person], store: ArtifactStore) -> None:
    random = np.random.default_rng(5)
    exact = [_vectors(person) for person in people]
    for number in range(-10, QUESTIONS):
        for person, rows in zip(people, exact, strict=True):
            words = person.passages[int(random.integers(len(person.passages)))].split()
            at = int(random.integers(max(1, len(words) - QUESTION_WORDS)))
            question = person.embedder.embed_query(" ".join(words[at : at + QUESTION_WORDS]))
            begun = time.perf_counter()
            hits = search_index(person.live, question, k=K, store=store)
            # The first open the file, and are not counted.
            if number >= 0:
                person.search_ms.append((time.perf_counter() - begun) * 1000)
                tenth = np.sort(rows @ question)[-K]
                person.found += sum(hit.score >= tenth - 1e-5 for hit in hits)
    for person in people:
        person.facts["search p50, ms"] = f"{median(person.search_ms):.1f}"
        person.facts["search p95, ms"] = f"{_p95(person):.1f}"
        person.facts["search: recall@10 of exact"] = f"{person.found / (K * QUESTIONS):.4f}"


def _vectors(person: Person) -> NDArray[np.float32]:
    """Return the vectors of each text once, of length 1: a search shows a text once."""
    hashes = Chunk.objects.filter(base=person.base).values("content_hash")
    rows = Embedding.objects.filter(
        fingerprint=person.live.fingerprint_id, content_hash__in=hashes
    ).values_list("vector", flat=True)
    vectors = decode_vectors([bytes(row) for row in rows if row is not None], DIMENSION)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _switch_by_turns(people: Sequence[Person]) -> None:
    for _ in range(SWITCHES):
        for person in people:
            there, back = switch.switch_and_return(person.user)
            person.switch_ms.append(there)
            person.rollback_ms.append(back)
    for person in people:
        person.facts["switch, ms"] = f"{median(person.switch_ms):.1f}"
        person.facts["rollback, ms"] = f"{median(person.rollback_ms):.1f}"


def _table(people: Sequence[Person]) -> Table:
    approximate = f"approximate from {settings.SAM_APPROXIMATE_FROM:,} passages"
    shown = Table("", title=f"Knowledge by its size ({approximate})")
    for person in people:
        shown.add_column(f"{len(person.passages):,}", justify="right")
    for name in people[-1].facts:
        shown.add_row(name, *(person.facts.get(name, "") for person in people))
    return shown


def _p95(person: Person) -> float:
    return quantiles(person.search_ms, n=20)[18]


def _median_switch(person: Person) -> float:
    return median(person.switch_ms)


def _time(work: Callable[[], object]) -> float:
    """Return the milliseconds that work takes."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000
