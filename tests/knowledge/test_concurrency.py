"""Several connections at once: what one sees of the other, and that nobody is left waiting for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from engines.exceptions import NotFoundError
from engines.files.artifacts import ArtifactStore
from engines.models import EnginePreference, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge import search
from engines.services.knowledge.documents import (
    add_document,
    create_base,
    delete_base,
    delete_document,
    update_document,
)
from engines.services.knowledge.indexes import base_digest, build_file, index_digest, is_ready
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import search_index
from engines.services.people.preferences import lock_preference
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import (
    WAIT_SECONDS,
    Threads,
    add,
    live_index,
    live_pairs,
    wait_until_somebody_waits_for_a_lock,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ready(base: KnowledgeBase, store: ArtifactStore, scratch: Path) -> VectorIndex:
    """The index of a base with one document, its file built and nothing missing."""
    add(base, "the first words")
    keep_up(live_index(base).pk, HashEmbedder(), store, scratch, lambda _done: None)
    return live_index(base)


def lock(base: KnowledgeBase) -> KnowledgeBase:
    return KnowledgeBase.objects.select_for_update(no_key=True).get(pk=base.pk)


def test_readiness_checked_after_the_lock_sees_the_writer_who_held_it(
    base: KnowledgeBase, ready: VectorIndex, threads: Threads
) -> None:
    written, may_commit = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            add(base, "words written meanwhile")
            written.set()
            assert may_commit.wait(WAIT_SECONDS)

    def check_under_the_lock() -> tuple[bool, bool]:
        with transaction.atomic():
            before = is_ready(ready)
            lock(base)
            return before, is_ready(ready)

    writer = threads.start(write)
    assert written.wait(WAIT_SECONDS)
    switch = threads.start(check_under_the_lock)
    wait_until_somebody_waits_for_a_lock()
    may_commit.set()

    assert switch.result(WAIT_SECONDS) == (True, False)
    writer.result(WAIT_SECONDS)


def test_a_writer_waits_for_the_switch_and_then_sees_what_it_wants(
    base: KnowledgeBase, ready: VectorIndex, threads: Threads
) -> None:
    embedder = HashEmbedder()
    with transaction.atomic():
        lock(base)
        writer = threads.start(
            lambda: add_document(
                base.pk,
                title="Note",
                text="late words",
                embed=lambda _space, texts: embedder.embed_documents(texts),
            )
        )
        wait_until_somebody_waits_for_a_lock()
        KnowledgeBase.objects.filter(pk=base.pk).update(embed_on_write_for=ready)
        assert embedder.texts == []

    writer.result(WAIT_SECONDS)
    assert embedder.texts == ["late words"]
    assert is_ready(ready)


def test_writers_of_one_base_take_turns_and_each_gets_a_number_of_its_own(
    base: KnowledgeBase, threads: Threads
) -> None:
    def writer(name: int) -> Callable[[], None]:
        def write() -> None:
            for number in range(5):
                document = add(base, f"writer {name} text {number}")
                update_document(document.pk, text=f"writer {name} text {number} again")

        return write

    threads.run_all([writer(name) for name in range(6)])

    numbers = list(base.chunks.order_by("created_seq").values_list("created_seq", flat=True))
    assert numbers == list(range(1, 61))
    assert len(live_pairs(base)) == 30


def test_one_document_deleted_twice_at_once_is_deleted_once(
    base: KnowledgeBase, threads: Threads
) -> None:
    document = add(base, "words")

    def delete() -> bool:
        try:
            delete_document(document.pk)
        except NotFoundError:
            return False
        return True

    assert sorted(threads.run_all([delete] * 4)) == [False, False, False, True]
    assert KnowledgeBase.objects.get(pk=base.pk).write_seq == 2


def test_creating_and_deleting_bases_waits_for_whoever_holds_the_preference(
    owner: User, base: KnowledgeBase, space: Fingerprint, threads: Threads
) -> None:
    EnginePreference.objects.get_or_create(user=owner)
    for change in (
        lambda: create_base(owner=owner, name="New"),
        lambda: delete_base(base.pk),
    ):
        with transaction.atomic():
            lock_preference(owner.pk)
            before = set(KnowledgeBase.objects.values_list("pk", flat=True))
            changing = threads.start(change)
            wait_until_somebody_waits_for_a_lock()
            assert set(KnowledgeBase.objects.values_list("pk", flat=True)) == before
        changing.result(WAIT_SECONDS)

    assert [each.name for each in KnowledgeBase.objects.all()] == ["New"]


def test_builders_at_once_leave_one_complete_file(
    base: KnowledgeBase,
    ready: VectorIndex,
    store: ArtifactStore,
    scratch: Path,
    threads: Threads,
) -> None:
    for number in range(20):
        add(base, f"Text {number}.")
    keep_up(ready.pk, HashEmbedder(), store, scratch, lambda _done: None)

    threads.run_all([lambda: build_file(ready, store, scratch, checkpoint=lambda: None)] * 4)

    index = live_index(base)
    assert (index.base_seq, index.file_count) == (21, 21)
    assert index_digest(index, store) == base_digest(base, index.fingerprint_id)
    assert list(scratch.iterdir()) == []


def test_a_known_passage_is_found_at_every_moment_while_files_are_replaced_and_collected(
    base: KnowledgeBase,
    ready: VectorIndex,
    store: ArtifactStore,
    scratch: Path,
    threads: Threads,
) -> None:
    done = threading.Event()
    question = HashEmbedder().embed_query("the first words")

    def ask() -> int:
        asked = 0
        while not done.is_set():
            hits = search_index(ready, question, k=1, store=store)
            assert [hit.text for hit in hits] == ["the first words"]
            asked += 1
        return asked

    def replace() -> None:
        try:
            for number in range(12):
                old = VectorIndex.objects.get(pk=ready.pk)
                add(base, f"Text {number}.")
                keep_up(ready.pk, HashEmbedder(), store, scratch, lambda _done: None)
                build_file(ready, store, scratch, checkpoint=lambda: None)
                store.delete(old.file_key)
        finally:
            done.set()

    searchers = [threads.start(ask) for _ in range(3)]
    threads.start(replace).result(WAIT_SECONDS)

    assert all(searcher.result(WAIT_SECONDS) > 0 for searcher in searchers)


@pytest.mark.parametrize("tries", [search.TRIES, 0], ids=["texts read after", "in one statement"])
def test_a_document_that_is_replaced_again_and_again_is_found_at_every_moment(
    base: KnowledgeBase,
    ready: VectorIndex,
    store: ArtifactStore,
    threads: Threads,
    monkeypatch: pytest.MonkeyPatch,
    tries: int,
) -> None:
    """A search sees the old version or the new one, both embedded; never neither, never both."""
    monkeypatch.setattr(search, "TRIES", tries)
    document = add(base, "version zero of it")
    KnowledgeBase.objects.filter(pk=base.pk).update(embed_on_write_for=ready)
    done = threading.Event()
    versions = ["version one of it", "version two of it"]
    embedder = HashEmbedder()

    def replace() -> None:
        try:
            for number in range(60):
                update_document(
                    document.pk,
                    text=versions[number % 2],
                    embed=lambda _space, texts: embedder.embed_documents(texts),
                )
        finally:
            done.set()

    def ask() -> int:
        asked = 0
        while not done.is_set():
            hits = search_index(ready, embedder.embed_query("version"), k=5, store=store)
            assert len(hits) == 2
            asked += 1
        return asked

    update_document(
        document.pk,
        text=versions[1],
        embed=lambda _space, texts: embedder.embed_documents(texts),
    )
    searchers = [threads.start(ask) for _ in range(2)]
    threads.start(replace).result(WAIT_SECONDS)

    assert all(searcher.result(WAIT_SECONDS) > 0 for searcher in searchers)
