"""A person's knowledge of 100,000 passages against one of 10,000: every stage, in one run.

Real text goes in through the door that people's documents take. Only the embedder is replaced: computing
100,000 vectors takes an hour on two cores. How long it would take is told by a sample that the real one embeds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import psutil
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Embedding, KnowledgeBase, VectorIndex
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.knowledge.documents import add_document
from engines.services.knowledge.embedding_rows import decode_vectors
from engines.services.knowledge.index_files import IndexFiles
from engines.services.knowledge.indexes import build_file, describe_recall
from engines.services.knowledge.keep_up import embed_missing
from engines.services.knowledge.search import search_index
from engines.specs import EmbeddingSpec, EngineSpec
from engines.vectors import ApproximateIndex
from migrations_app.plans.preview import preview_of
from tests.benchmarks import switch
from tests.benchmarks.knowledge.text_vectors import DIMENSION, WordVectors, documents
from tests.benchmarks.memory import own_mib, watching_memory
from tests.fixtures_models import ensure_minilm

SIZES = tuple(map(int, os.environ.get("BENCH_PASSAGES", "10000,100000").split(",")))
QUESTIONS = 200
QUESTION_WORDS = 12
K = 10
SWITCHES = 9
EMBEDDED = 128
"""Passages that the real embedder embeds, of all sizes together."""
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
        "The embedder is replaced by one that adds up directions of words (tests.benchmarks.knowledge.text_vectors.py); "
        "its time is not in the table. A stage tells how long it took, and how much of that this process and its "
        "connection to PostgreSQL computed: on a busy machine the rest is waiting."
    )
    with tempfile.TemporaryDirectory() as folder:
        store, scratch = ArtifactStore(f"{folder}/store"), Path(folder) / "scratch"
        people = [_person(size, store, scratch, console) for size in SIZES]
        with _stage(console, "settle"):
            switch.let_the_server_settle()
            switch.let_the_collector_settle()
        with _stage(console, "search"):
            _search_by_turns(people, store)
        with _stage(console, "switch and roll back"):
            _switch_by_turns(people)
        with _stage(console, "embed a sample with the real embedder"):
            _tell_real_embedder(people)
    console.print(_table(people))
    few, many = people[0], people[-1]
    for name, times in (("search p95", _p95), ("switch", _median_switch)):
        console.print(f"{name}: {times(many) / times(few):.2f} times")


@contextmanager
def _stage(console: Console, name: str) -> Iterator[None]:
    """Say how long a stage took, and how much of it was computed."""
    begun, computed = time.monotonic(), _computed()
    yield
    seconds, own = time.monotonic() - begun, _computed() - computed
    console.print(f"  {name}: {seconds:,.0f} s, {own:,.0f} s of them computed")


def _computed() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    times = psutil.Process(row[0]).cpu_times()
    return time.process_time() + float(times.user + times.system)


def _person(size: int, store: ArtifactStore, scratch: Path, console: Console) -> Person:
    console.print(f"{size:,} passages")
    with _stage(console, "read and cut the texts"):
        texts = list(documents(size))
        passages = [piece for _, pieces in texts for piece in pieces]
        embedder = WordVectors(passages)
    user = User.objects.create_user(f"bench-{size}-{time.monotonic_ns()}")
    base = KnowledgeBase.objects.create(owner=user, name="Knowledge")
    live, other = (
        VectorIndex.objects.create(base=base, fingerprint=switch.engine(name)[1])
        for name in ("bench-a", "bench-b")
    )
    base.live_index = live
    base.save(update_fields=["live_index"])
    person = Person(user, passages, embedder, base, live, other)
    with _stage(console, "add the documents"):
        _add(person, [text for text, _ in texts])
    with _stage(console, "embed in two spaces, preview a plan, build both indexes"):
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


def _tell_real_embedder(people: Sequence[Person]) -> None:
    """Embed passages of all sizes with the real embedder, and tell how long all of a base would take it."""
    each = EMBEDDED // len(people)
    texts = [
        text
        for person in people
        for text in person.passages[:: max(1, len(person.passages) // each)][:each]
    ]
    how = EmbeddingSpec(dimension=DIMENSION, max_tokens=512)
    spec = EngineSpec("minilm", "all-MiniLM-L6-v2", str(ensure_minilm()), embedding=how)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        engine.embed_documents(texts[:8])
        rate = len(texts) / _time(lambda: engine.embed_documents(texts)) * 1000
    for person in people:
        minutes = len(person.passages) / rate / 60
        person.facts["all-MiniLM-L6-v2 would embed it in, minutes"] = f"{minutes:,.0f}"


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
