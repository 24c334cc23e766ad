"""Writers at random, upkeep and compaction all at once: at every look file ∪ delta = database."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError

from engines.files.artifacts import ArtifactStore
from engines.models import Document, Fingerprint, KnowledgeBase, VectorIndex
from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.documents import add_document, delete_document, update_document
from engines.services.knowledge.indexes import (
    base_digest,
    build_file,
    index_content,
    index_digest,
    index_for,
    missing_chunks,
)
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import search_index
from engines.services.people.snapshot import one_moment
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import (
    WAIT_SECONDS,
    Threads,
    add,
    live_index,
    live_pairs,
    make_base,
    make_space,
)

pytestmark = pytest.mark.django_db(transaction=True)

OPERATIONS = 40
WRITERS = 4


class Crowd:
    """Writers on several bases, each with documents of its own, and what they deleted so far."""

    def __init__(self, bases: list[KnowledgeBase]) -> None:
        self.bases = bases
        self.gone: list[str] = []
        self.done = threading.Event()
        self.embedder = HashEmbedder()

    def writer(self, seed: int) -> Callable[[], None]:
        dice = random.Random(seed)  # noqa: S311 - a test's choice
        mine: dict[int, str] = {}

        def write() -> None:
            for number in range(OPERATIONS):
                self._change(dice, mine, f"writer {seed} wrote number {number}")

        return write

    def _change(self, dice: random.Random, mine: dict[int, str], text: str) -> None:
        action = dice.choice(["add", "add", "update", "delete"]) if mine else "add"
        if action == "add":
            base = dice.choice(self.bases)
            document = add_document(base.pk, title="Note", text=text, embed=self._embed)
            mine[document.pk] = text
            return
        pk = dice.choice(list(mine))
        if action == "update":
            update_document(pk, text=text, embed=self._embed)
        else:
            delete_document(pk)
        self.gone.append(mine.pop(pk))
        if action == "update":
            mine[pk] = text

    def _embed(self, _fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
        return self.embedder.embed_documents(texts)

    def until_done(self, work: Callable[[], object]) -> Callable[[], int]:
        def repeat() -> int:
            rounds = 0
            while not self.done.is_set():
                work()
                rounds += 1
            return rounds

        return repeat


@pytest.fixture
def crowd(owner: User, space: Fingerprint) -> Crowd:
    return Crowd([make_base(owner, space, f"Base {number}") for number in range(3)])


@dataclass
class Upkeep:
    """All that goes on beside the writers: two spaces per base keep up, are compacted and compared."""

    crowd: Crowd
    store: ArtifactStore
    scratch: Path
    live: list[VectorIndex]
    beside: list[VectorIndex]
    dice: random.Random

    @property
    def indexes(self) -> list[VectorIndex]:
        return [*self.live, *self.beside]

    def keep_all_up(self) -> None:
        for index in self.indexes:
            keep_up(index.pk, self.crowd.embedder, self.store, self.scratch, lambda _done: None)

    def compact_one(self) -> None:
        index = self.dice.choice(self.indexes)
        build_file(index, self.store, self.scratch, checkpoint=lambda: None)

    def ask_for_what_is_gone(self) -> None:
        for text in self.crowd.gone[-3:]:
            question = self.crowd.embedder.embed_query(text)
            for index in self.live:
                hits = search_index(index, question, k=5, store=self.store)
                assert text not in {hit.text for hit in hits}

    def compare(self) -> None:
        with one_moment():
            for index in self.indexes:
                expected = base_digest(index.base, index.fingerprint_id)
                assert index_digest(index, self.store) == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_an_index_answers_for_what_the_database_holds_at_every_moment(
    crowd: Crowd, store: ArtifactStore, scratch: Path, threads: Threads, seed: int
) -> None:
    upkeep = Upkeep(
        crowd,
        store,
        scratch,
        live=[live_index(base) for base in crowd.bases],
        beside=[index_for(base, make_space(f"hash-{base.pk}")) for base in crowd.bases],
        dice=random.Random(seed),  # noqa: S311 - a test's choice
    )
    works = (upkeep.keep_all_up, upkeep.compact_one, upkeep.ask_for_what_is_gone, upkeep.compare)
    helpers = [threads.start(crowd.until_done(work)) for work in works]
    threads.run_all([crowd.writer(10 * seed + number) for number in range(WRITERS)])
    crowd.done.set()
    assert all(helper.result(WAIT_SECONDS) > 0 for helper in helpers)

    upkeep.keep_all_up()
    for index in upkeep.indexes:
        assert index_content(index, store) == live_pairs(index.base)
    live = {text for base in crowd.bases for text in _texts(base)}
    assert live.isdisjoint(crowd.gone)
    assert len(live) == Document.objects.count()
    assert_nothing_wrong(store)


def _texts(base: KnowledgeBase) -> list[str]:
    return list(base.chunks.filter(deleted_seq__isnull=True).values_list("text", flat=True))


def test_from_the_moment_writers_embed_on_write_no_vector_is_ever_missing(
    crowd: Crowd, store: ArtifactStore, scratch: Path, threads: Threads
) -> None:
    targets = [index_for(base, make_space(f"hash-{base.pk}")) for base in crowd.bases]
    writers = [threads.start(crowd.writer(number)) for number in range(WRITERS)]
    while Document.objects.count() < 10:
        threading.Event().wait(0.01)

    for index in targets:
        KnowledgeBase.objects.filter(pk=index.base_id).update(embed_on_write_for=index)
    for index in targets:
        keep_up(index.pk, crowd.embedder, store, scratch, lambda _done: None)

    looks = 0
    while looks == 0 or not all(writer.done() for writer in writers):
        assert [missing_chunks(index, after_seq=0, limit=5) for index in targets] == [[], [], []]
        looks += 1
    for writer in writers:
        writer.result(WAIT_SECONDS)
    assert [missing_chunks(index, after_seq=0, limit=5) for index in targets] == [[], [], []]


def test_a_snapshot_for_comparing_cannot_write(base: KnowledgeBase) -> None:
    with pytest.raises(DatabaseError, match="read-only"), one_moment():
        add(base, "words")

    assert not base.documents.exists()
