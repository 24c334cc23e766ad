from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from engines.exceptions import ConflictError, IndexFileError, NotFoundError
from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Embedding, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import delete_base, delete_document, update_document
from engines.services.knowledge.index_files import IndexFiles
from engines.services.knowledge.indexes import (
    COMPACT_AT_LEAST,
    IndexCounts,
    base_content,
    base_digest,
    build_file,
    delta,
    describe_recall,
    index_content,
    index_counts,
    index_digest,
    index_for,
    is_ready,
    missing_chunks,
    should_compact,
)
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import search_index
from engines.vectors import write_index
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add, fill, live_index, live_pairs, make_base, make_space

pytestmark = pytest.mark.django_db


def nothing() -> None:
    return None


def embed(base: KnowledgeBase, *texts: str) -> None:
    """Store vectors of these texts in the space of the base's live index."""
    embedder, space_id = HashEmbedder(), live_index(base).fingerprint_id
    for text in texts:
        Embedding.objects.create(
            fingerprint_id=space_id,
            content_hash=hashlib.sha256(text.encode()).digest(),
            vector=embedder.vector(text).astype("<f2").tobytes(),
        )


def build(base: KnowledgeBase, store: ArtifactStore, scratch: Path) -> VectorIndex:
    return build_file(live_index(base), store, scratch, checkpoint=nothing)


def ids_in_file(index: VectorIndex, store: ArtifactStore) -> list[int]:
    opened = IndexFiles(store).open(index)
    return opened.ids().tolist() if opened else []


def test_one_row_per_base_and_space(base: KnowledgeBase) -> None:
    other = make_space("hash-b")

    assert index_for(base, other) == index_for(base, other)
    assert index_for(base, other) != live_index(base)


def test_the_file_holds_what_is_live_and_embedded(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    kept, gone = add(base, "one"), add(base, "two")
    delete_document(gone.pk)
    embed(base, "one", "two")

    index = build(base, store, scratch)

    assert (index.base_seq, index.covered_seq, index.file_count) == (3, 3, 1)
    assert ids_in_file(index, store) == [kept.chunks.get().pk]
    assert list(scratch.iterdir()) == []
    assert is_ready(index)


def test_an_empty_base_gets_an_empty_file(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    index = build(base, store, scratch)

    assert (index.base_seq, index.file_count) == (0, 0)
    assert ids_in_file(index, store) == []
    assert is_ready(index)


def test_the_file_claims_no_more_than_is_embedded(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for text in ("one", "two", "three"):
        add(base, text)
    embed(base, "one", "three")

    index = build(base, store, scratch)

    assert (index.base_seq, index.file_count) == (1, 2)
    assert not is_ready(index)
    embed(base, "two")
    assert is_ready(index)
    assert index_digest(index, store) == base_digest(base, index.fingerprint_id)


def test_a_large_base_is_searched_in_lists_and_says_how_well(
    base: KnowledgeBase,
    store: ArtifactStore,
    scratch: Path,
    embedder: HashEmbedder,
) -> None:
    fill(base, 90)
    with override_settings(SAM_APPROXIMATE_FROM=91):
        keep_up(live_index(base).pk, embedder, store, scratch, lambda _: None)
    exact = live_index(base)
    assert describe_recall([exact], store) == ""
    with override_settings(SAM_APPROXIMATE_FROM=90):
        index = build(base, store, scratch)
        said = describe_recall([index], store)
    late, gone = add(base, "text late"), base.documents.order_by("pk")[0]
    hits = search_index(live_index(base), embedder.vector("text late"), k=90, store=store)

    assert said == " (approximate: 100.0% of the ten nearest passages are found)"
    assert live_index(base).file_key != exact.file_key
    assert len(hits) == 90
    delete_document(gone.pk)
    sentence = keep_up(live_index(base).pk, embedder, store, scratch, lambda _: None)
    hits = search_index(live_index(base), embedder.vector("text late"), k=90, store=store)
    assert sentence == f"Index {exact.pk}: 1 texts embedded."
    assert [hit.document_id for hit in hits] == [late.pk]
    index = live_index(base)
    assert index_digest(index, store) == base_digest(base, index.fingerprint_id)
    assert list(scratch.iterdir()) == []


def test_what_was_written_since_the_file_is_the_delta(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    embed(base, "one", "two")
    index = build(base, store, scratch)
    late, _unembedded = add(base, "two"), add(base, "three")

    found = delta(index)

    assert found.ids.tolist() == [late.chunks.get().pk]
    assert found.hashes == [hashlib.sha256(b"two").digest()]
    np.testing.assert_array_equal(
        found.vectors, HashEmbedder().vector("two")[np.newaxis].astype(np.float16)
    )
    assert delta(index_for(base, make_space("hash-b"))).vectors.shape == (0, 32)


def test_missing_are_live_chunks_with_neither_vector_nor_error_oldest_first(
    base: KnowledgeBase,
) -> None:
    one, two, three = (add(base, text) for text in ("one", "two", "three"))
    embed(base, "two")
    delete_document(one.pk)
    four = add(base, "four")
    index = live_index(base)

    def missing(after_seq: int = 0, limit: int = 10, up_to_seq: int = 99) -> list[int | None]:
        chunks = missing_chunks(index, after_seq=after_seq, limit=limit, up_to_seq=up_to_seq)
        return [chunk.document_id for chunk in chunks]

    assert two.pk not in missing()
    assert missing() == [three.pk, four.pk]
    assert missing(limit=1) == [three.pk]
    assert missing(after_seq=3) == [four.pk]
    assert missing(up_to_seq=3) == [three.pk]


def test_an_index_without_a_file_is_not_ready_even_when_nothing_is_missing(
    base: KnowledgeBase,
) -> None:
    assert not is_ready(live_index(base))


def test_a_text_with_an_error_makes_an_index_ready_and_is_counted(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for text in ("one", "bad", "late"):
        add(base, text)
    embed(base, "one")
    index = live_index(base)
    Embedding.objects.create(
        fingerprint_id=index.fingerprint_id,
        content_hash=hashlib.sha256(b"bad").digest(),
        error="It is a picture.",
    )

    index = build(base, store, scratch)
    assert index_counts(index, store) == IndexCounts(3, 1, 1, 1, in_file=1)
    assert not is_ready(index)

    embed(base, "late")
    assert is_ready(index)
    assert index_counts(index, store) == IndexCounts(3, 2, 1, 0, in_file=1)


def test_a_late_builder_does_not_put_the_row_back(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    embed(base, "one", "two")

    def another_builds_meanwhile() -> None:
        if not live_index(base).file_key:
            add(base, "two")
            build(base, store, scratch)

    index = build_file(live_index(base), store, scratch, checkpoint=another_builds_meanwhile)

    assert (index.base_seq, index.file_count) == (2, 2)
    assert index == live_index(base)


def test_of_two_builders_at_one_sequence_the_first_to_publish_wins(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for text in ("one", "gap", "three"):
        add(base, text)
    embed(base, "one")
    calls: list[int] = []

    def another_knows_more_meanwhile() -> None:
        calls.append(1)
        if len(calls) == 3:
            embed(base, "three")
            build(base, store, scratch)

    index = build_file(live_index(base), store, scratch, checkpoint=another_knows_more_meanwhile)

    assert (index.base_seq, index.file_count) == (1, 2)


def test_a_file_that_would_hold_less_than_the_present_one_is_not_published(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    add(base, "two")
    embed(base, "one", "two")
    before = build(base, store, scratch)
    Embedding.objects.filter(content_hash=hashlib.sha256(b"one").digest()).delete()

    after = build(base, store, scratch)

    assert (after.base_seq, after.file_key) == (before.base_seq, before.file_key)


def test_a_builder_that_is_stopped_leaves_nothing_behind(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    embed(base, "one")
    calls: list[int] = []

    def stop_late() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        build_file(live_index(base), store, scratch, checkpoint=stop_late)

    assert live_index(base).base_seq is None
    assert list(scratch.iterdir()) == []


def test_a_base_deleted_while_its_file_is_built_is_said_and_leaves_nothing(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    embed(base, "one")
    index = live_index(base)
    calls: list[int] = []

    def delete_late() -> None:
        calls.append(1)
        if len(calls) == 3:
            delete_base(base.pk)

    with pytest.raises(ConflictError, match="nothing was published"):
        build_file(index, store, scratch, checkpoint=delete_late)
    with pytest.raises(NotFoundError, match="gone with its base"):
        build_file(index, store, scratch, checkpoint=nothing)

    assert list(scratch.iterdir()) == []


def test_a_file_is_rebuilt_when_enough_was_written_or_deleted_since(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    assert should_compact(live_index(base))
    index = build(base, store, scratch)
    fill(base, COMPACT_AT_LEAST)
    assert not should_compact(index)
    fill(base, 1, first=COMPACT_AT_LEAST)
    assert should_compact(index)

    VectorIndex.objects.filter(pk=index.pk).update(base_seq=COMPACT_AT_LEAST + 1)
    index = live_index(base)
    assert not should_compact(index)
    chunks = Chunk.objects.filter(base=base)
    chunks.update(deleted_seq=COMPACT_AT_LEAST + 2)
    assert should_compact(index)


def test_rebuilding_forgets_the_dead_and_the_delta(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    old = add(base, "one")
    keep_up(live_index(base).pk, HashEmbedder(), store, scratch, lambda _done: None)
    update_document(old.pk, text="two")
    embed(base, "two")
    assert len(delta(live_index(base)).ids) == 1

    index = build(base, store, scratch)

    assert ids_in_file(index, store) == [old.chunks.get().pk]
    assert len(delta(index).ids) == 0


def test_what_an_index_answers_for_is_what_the_database_holds(
    owner: User, base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    documents = [add(base, text) for text in ("one", "two", "three")]
    other = make_base(owner, space, "Other")
    add(other, "four")
    embed(base, "one", "two", "three", "four", "five", "six")
    index = build(base, store, scratch)
    delete_document(documents[0].pk)
    update_document(documents[1].pk, text="five")
    add(base, "six")

    assert index_content(index, store) == live_pairs(base) == base_content(base, space.pk)
    assert index_digest(index, store) == base_digest(base, space.pk)
    assert base_digest(base, space.pk) != base_digest(other, space.pk)


def test_rows_of_a_file_that_are_not_the_vectors_of_their_texts_do_not_count(
    owner: User, base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    mine = add(base, "one").chunks.get()
    theirs = add(make_base(owner, space, "Other"), "two").chunks.get()
    embed(base, "one", "two")
    vector = HashEmbedder().vector("two")
    plant(base, store, scratch, {mine.pk: vector, theirs.pk: vector, 10**9: vector})

    assert index_content(live_index(base), store) == set()


def plant(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path, rows: dict[int, np.ndarray]
) -> None:
    """Give the live index a file that holds these rows, with a right checksum."""
    path = scratch / "planted.faiss"
    ids = np.array(sorted(rows), dtype=np.int64)
    vectors = np.stack([rows[pk] for pk in ids.tolist()])
    file = write_index(path, ids, [vectors], dimension=32)
    artifact = store.put_file(path, kind="indexes")
    VectorIndex.objects.filter(live_for=base).update(
        file_key=artifact.key, file_sha256=file.sha256, file_count=file.count, base_seq=99
    )


def test_a_changed_file_is_an_error_not_an_answer(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    embed(base, "one")
    index = build(base, store, scratch)
    path = store.local_path(index.file_key, scratch)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")

    with pytest.raises(IndexFileError, match="changed or damaged"):
        index_content(index, store)
