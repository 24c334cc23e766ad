from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from engines.exceptions import NotFoundError
from engines.files.artifacts import ArtifactStore
from engines.models import Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import delete_document
from engines.services.knowledge.indexes import COMPACT_AT_LEAST, index_for, is_ready
from engines.services.knowledge.keep_up import keep_up, lagging_indexes
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add, count_missing, fill, live_index, make_base, make_space

pytestmark = pytest.mark.django_db


def run(index: VectorIndex, embedder: HashEmbedder, store: ArtifactStore, scratch: Path) -> str:
    return keep_up(index.pk, embedder, store, scratch, lambda _done: None)


def test_lagging_are_live_or_needed_indexes_whose_base_was_written_to(
    owner: User, base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    old = index_for(base, make_space("hash-b"))
    make_base(owner, space, "Untouched")
    assert list(lagging_indexes()) == []

    document = add(base, "one")
    assert list(lagging_indexes()) == [live_index(base)]
    assert list(lagging_indexes([old.pk])) == [live_index(base), old]

    run(live_index(base), HashEmbedder(), store, scratch)
    assert list(lagging_indexes([old.pk])) == [old]
    delete_document(document.pk)
    assert list(lagging_indexes()) == [live_index(base)]


def test_keeping_up_embeds_what_is_missing_and_says_so(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    index = live_index(base)
    add(base, "one")
    add(base, "unreadable")
    embedder = HashEmbedder(unreadable="unreadable")

    first = run(index, embedder, store, scratch)
    add(base, "two")
    second = run(index, embedder, store, scratch)
    third = run(index, embedder, store, scratch)

    assert first == f"Index {index.pk}: 1 texts embedded, 1 could not be and its file was rebuilt."
    assert second == f"Index {index.pk}: 1 texts embedded."
    assert third == f"Index {index.pk}: 0 texts embedded."
    assert embedder.texts == ["one", "unreadable", "two"]
    assert is_ready(index)


def test_many_pages_are_embedded_and_told_as_one_work(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    fill(base, 2500)
    told: list[int] = []

    keep_up(live_index(base).pk, HashEmbedder(), store, scratch, told.append)

    assert told == sorted(told)
    assert told[-1] == 2500
    assert live_index(base).file_count == 2500
    assert count_missing(live_index(base)) == 0


def test_what_is_written_meanwhile_is_left_to_the_next_call(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    embedder = HashEmbedder()
    embedder.before = lambda: add(base, f"late {len(embedder.texts)}")

    run(live_index(base), embedder, store, scratch)

    assert embedder.texts == ["one"]
    index = live_index(base)
    assert (index.base_seq, index.covered_seq) == (1, 1)
    assert list(lagging_indexes()) == [index]


def test_work_that_is_stopped_keeps_what_is_done_and_still_lags(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    fill(base, 100)
    embedder = HashEmbedder()

    def stop(done: int) -> None:
        if done >= 64:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        keep_up(live_index(base).pk, embedder, store, scratch, stop)
    assert list(lagging_indexes()) == [live_index(base)]
    run(live_index(base), embedder, store, scratch)

    assert len(embedder.texts) == 100
    assert len(set(embedder.texts)) == 100


def test_a_large_delta_is_compacted_a_small_one_is_not(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    run(live_index(base), HashEmbedder(), store, scratch)
    fill(base, COMPACT_AT_LEAST)
    run(live_index(base), HashEmbedder(), store, scratch)
    assert live_index(base).file_count == 0

    fill(base, 1, first=COMPACT_AT_LEAST)
    run(live_index(base), HashEmbedder(), store, scratch)
    assert live_index(base).file_count == COMPACT_AT_LEAST + 1


def test_an_index_that_is_gone_is_said(db: None, store: ArtifactStore, scratch: Path) -> None:
    with pytest.raises(NotFoundError, match="The index 77 is gone"):
        keep_up(77, HashEmbedder(), store, scratch, lambda _done: None)
