"""Rows that the tests of knowledge begin with, and threads with connections of their own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import connection

from engines.models import (
    CatalogModel,
    Chunk,
    Document,
    Fingerprint,
    KnowledgeBase,
    ModelRevision,
    ModelRole,
    VectorIndex,
)
from engines.services.knowledge.documents import add_document, create_base
from engines.services.knowledge.fingerprints import fingerprint_for
from engines.services.knowledge.indexes import index_for, missing_chunks
from tests.knowledge.hash_embedder import DIMENSION

T = TypeVar("T")
WAIT_SECONDS = 120


def make_model(name: str, *, dimension: int = DIMENSION, facts: bool = True) -> ModelRevision:
    model = CatalogModel.objects.create(
        model_id=name,
        display_name=name,
        model_family="hash",
        role=ModelRole.EMBEDDING,
        huggingface_repo="demo/hash",
        filename=f"{name}.gguf",
    )
    known = {"embedding_length": dimension, "context_length": 512, "pooling": "mean"}
    model.current_revision = ModelRevision.objects.create(
        model=model,
        commit=hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        file_size=1000,
        facts=known if facts else {},
    )
    model.save()
    return model.current_revision


def make_space(name: str, *, dimension: int = DIMENSION) -> Fingerprint:
    revision = make_model(name, dimension=dimension)
    return fingerprint_for(revision.model, revision)


def make_base(owner: User, space: Fingerprint, name: str = "Notes") -> KnowledgeBase:
    """A base whose live index is in ``space``."""
    base = create_base(owner=owner, name=name)
    base.live_index = index_for(base, space)
    base.save(update_fields=["live_index"])
    return base


def live_index(base: KnowledgeBase) -> VectorIndex:
    return VectorIndex.objects.get(live_for=base)


def add(base: KnowledgeBase, text: str, *, title: str = "Note") -> Document:
    return add_document(base.pk, title=title, text=text)


def live_pairs(base: KnowledgeBase) -> set[tuple[int, bytes]]:
    rows = Chunk.objects.filter(base=base, deleted_seq__isnull=True)
    return {(pk, bytes(key)) for pk, key in rows.values_list("pk", "content_hash")}


def count_missing(index: VectorIndex) -> int:
    return len(missing_chunks(index, after_seq=0, limit=1_000_000))


def fill(base: KnowledgeBase, count: int, *, first: int = 0) -> None:
    """Live chunks in one document, written by the database itself."""
    digest = hashlib.sha256(b"bulk").hexdigest()
    document = Document.objects.create(base=base, title="Bulk", text="bulk", sha256=digest)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO engines_chunk "
            "(base_id, document_id, position, text, content_hash, created_seq) "
            "SELECT %s, %s, n, 'text ' || n, sha256(('text ' || n)::bytea), n + 1 "
            "FROM generate_series(%s::int, %s::int) AS n",
            [base.pk, document.pk, first, first + count - 1],
        )
    KnowledgeBase.objects.filter(pk=base.pk).update(write_seq=first + count)


class Threads:
    """Runs functions side by side, each with a database connection that is closed at its end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=16)

    def start(self, function: Callable[[], T]) -> Future[T]:
        def run() -> T:
            try:
                return function()
            finally:
                connection.close()

        return self._pool.submit(run)

    def run_all(self, functions: list[Callable[[], T]]) -> list[T]:
        futures = [self.start(function) for function in functions]
        return [future.result(timeout=WAIT_SECONDS) for future in futures]

    def close(self) -> None:
        self._pool.shutdown()


def wait_until_somebody_waits_for_a_lock() -> None:
    for _ in range(WAIT_SECONDS * 50):
        with connection.cursor() as cursor:
            # Not pg_stat_activity, which stands still within a transaction.
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waits for a lock")
