"""Texts that stand in several documents: found once, with all their documents, as long as one of them is there."""

from __future__ import annotations

from pathlib import Path

from django.contrib.auth.models import User

from engines.files.artifacts import ArtifactStore
from engines.models import KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import delete_document
from engines.services.knowledge.search import search_bases
from engines.services.knowledge.search_filters import SearchFilter
from engines.vectors import IndexCache
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.test_search import catch_up, search, texts
from tests.knowledge.world import add, live_index, make_base


def test_a_text_is_found_once_with_all_its_documents(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    same = [add(base, "one", title=f"Copy {number}") for number in range(30)]
    add(base, "two")
    catch_up(base, store, scratch)
    late = add(base, "one", title="Late")
    catch_up(base, store, scratch)

    hits = search(store, "one", base, k=2)

    assert texts(hits) == ["one", "two"]
    assert (hits[0].document_id, hits[0].title) == (same[0].pk, "Copy 0")
    named = [twin.document_id for twin in hits[0].also]
    assert named == [document.pk for document in same[1:21]]
    assert late.pk not in named
    assert hits[1].also == ()


def test_a_text_is_found_until_its_last_document_is_deleted(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    first, second = (add(base, "one", title=title) for title in ("First", "Second"))
    catch_up(base, store, scratch)

    delete_document(first.pk)

    [hit] = search(store, "one", base)
    assert (hit.document_id, hit.also) == (second.pk, ())
    late = add(base, "one", title="Third")
    catch_up(base, store, scratch)
    delete_document(second.pk)
    [hit] = search(store, "one", base)
    assert hit.document_id == late.pk
    delete_document(late.pk)
    assert search(store, "one", base) == []


def test_a_filter_names_no_document_beside_it(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    first, second = (add(base, "one", title=title) for title in ("First", "Second"))
    catch_up(base, store, scratch)
    narrowed = SearchFilter(documents=[second.pk])

    [hit] = search_bases(
        [(base.pk, live_index(base))],
        lambda _index: HashEmbedder().embed_query("one"),
        5,
        store,
        IndexCache(4),
        narrowed,
    )

    assert first.pk != second.pk
    assert (hit.document_id, hit.also) == (second.pk, ())


def test_an_index_whose_file_is_gone_is_to_be_built_again_and_no_other(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    other = make_base(User.objects.get(knowledge_bases=base), live_index(base).fingerprint, "Other")
    for each in (base, other):
        add(each, "one")
        catch_up(each, store, scratch)
        VectorIndex.objects.filter(live_for=each).update(covered_seq=1)
    VectorIndex.objects.filter(live_for=base).update(file_key=f"index/00/{'0' * 64}", base_seq=1)

    assert texts(search(store, "one", base)) == ["one"]

    assert (live_index(base).covered_seq, live_index(other).covered_seq) == (0, 1)


def test_the_same_text_in_two_bases_is_one_hit(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    other = make_base(User.objects.get(knowledge_bases=base), live_index(base).fingerprint, "Other")
    mine, theirs = add(base, "one", title="Mine"), add(other, "one", title="Theirs")
    for each in (base, other):
        catch_up(each, store, scratch)

    [hit] = search(store, "one", base, other)

    assert hit.document_id == mine.pk
    assert [(twin.document_id, twin.title) for twin in hit.also] == [(theirs.pk, "Theirs")]
    # Of a base that was not asked nothing is told.
    assert [hit.also for hit in search(store, "one", base)] == [()]
