from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from django.contrib.auth.models import User
from numpy.typing import NDArray

from engines.exceptions import EngineCrashed, EngineError, NotFoundError
from engines.models import Chunk, Embedding, Fingerprint, KnowledgeBase
from engines.services.knowledge import embeddings
from engines.services.knowledge.documents import delete_document
from engines.services.knowledge.embedding_rows import NO_FINITE_VECTOR
from engines.services.knowledge.embeddings import (
    MANY,
    BatchSizes,
    RangeCounts,
    embed_range,
    embed_texts,
    load_vectors,
    missing_hashes,
    store_embeddings,
)
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import Threads, add, make_base, make_space

pytestmark = pytest.mark.django_db
LAST = 2**62


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def unit(*values: float) -> NDArray[np.float32]:
    return np.array([*values, *([0.0] * (32 - len(values)))], dtype=np.float32)


def nothing(_done: int) -> None:
    return None


def embed_all(
    base: KnowledgeBase, space: Fingerprint, embedder: HashEmbedder, sizes: BatchSizes = MANY
) -> RangeCounts:
    return embed_range(base.pk, space.pk, 0, LAST, embedder, checkpoint=nothing, sizes=sizes)


def test_stored_vectors_come_back_in_half_precision(space: Fingerprint) -> None:
    vector = HashEmbedder().vector("anything")

    stored = store_embeddings(space.pk, {key("a"): vector}, {key("b"): "It is a picture."})

    assert stored == 2
    loaded = load_vectors(space.pk, [key("a"), key("b"), key("c")])
    assert list(loaded) == [key("a")]
    np.testing.assert_array_equal(loaded[key("a")], vector.astype(np.float16))
    assert Embedding.objects.get(content_hash=key("b")).error == "It is a picture."


def test_a_fact_already_there_is_kept_and_not_counted(space: Fingerprint) -> None:
    store_embeddings(space.pk, {key("a"): unit(1.0)}, {})

    again = store_embeddings(space.pk, {key("a"): unit(0.0, 1.0), key("b"): unit(1.0)}, {})

    assert again == 1
    np.testing.assert_array_equal(load_vectors(space.pk, [key("a")])[key("a")], unit(1.0))


def test_missing_are_those_with_neither_vector_nor_error_in_this_space(space: Fingerprint) -> None:
    other = make_space("hash-b")
    store_embeddings(space.pk, {key("a"): unit(1.0)}, {key("b"): "No."})

    assert missing_hashes(space.pk, [key("a"), key("b"), key("c")]) == {key("c")}
    assert missing_hashes(other.pk, [key("a"), key("b")]) == {key("a"), key("b")}
    assert missing_hashes(space.pk, []) == set()


@pytest.mark.parametrize("useless", [math.nan, math.inf, 1e9, 0.0])
def test_a_vector_nobody_can_search_with_becomes_an_error(
    space: Fingerprint, useless: float
) -> None:
    store_embeddings(space.pk, {key("a"): unit(useless)}, {})

    row = Embedding.objects.get()
    assert (row.vector, row.error) == (None, NO_FINITE_VECTOR)


def test_vectors_of_another_dimension_are_refused_and_not_stored(space: Fingerprint) -> None:
    with pytest.raises(EngineError, match="vectors of 8 numbers, the space has 32"):
        embed_texts(space.pk, {key("a"): "a"}, HashEmbedder(dimension=8))
    with pytest.raises(NotFoundError, match="no vector space"):
        embed_texts(space.pk + 1, {key("a"): "a"}, HashEmbedder())

    assert Embedding.objects.count() == 0


def test_equal_text_is_embedded_once_for_everybody(
    owner: User, base: KnowledgeBase, space: Fingerprint, embedder: HashEmbedder
) -> None:
    others = make_base(User.objects.create_user("bob"), space)
    for target in (base, base, others):
        add(target, "The same words.")

    mine, theirs = (embed_all(each, space, embedder) for each in (base, others))

    assert mine == RangeCounts(embedded=1, failed=0, already=0)
    assert theirs == RangeCounts(embedded=0, failed=0, already=1)
    assert embedder.texts == ["The same words."]


def test_only_live_chunks_of_the_base_within_the_range_are_embedded(
    owner: User, base: KnowledgeBase, space: Fingerprint, embedder: HashEmbedder
) -> None:
    first, second, gone = (add(base, f"Text {name}.") for name in ("one", "two", "three"))
    add(make_base(owner, space, "Other"), "Text of another base.")
    delete_document(gone.pk)
    only = second.chunks.get().pk

    embed_range(base.pk, space.pk, only, LAST, embedder, checkpoint=nothing)
    assert embedder.texts == ["Text two."]
    embed_range(base.pk, space.pk, 0, only, embedder, checkpoint=nothing)
    assert embedder.texts == ["Text two.", "Text one."]
    assert first.chunks.get().pk < only


def test_batches_are_stored_before_the_checkpoint_that_stops_the_work(
    base: KnowledgeBase, space: Fingerprint, embedder: HashEmbedder
) -> None:
    for number in range(10):
        add(base, f"Text {number}.")
    told: list[int] = []
    kept: list[RangeCounts] = []

    def stop_at_four(done: int) -> None:
        told.append(done)
        if done >= 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        embed_range(
            *(base.pk, space.pk, 0, LAST, embedder),
            checkpoint=stop_at_four,
            kept=kept.append,
            sizes=BatchSizes(2, 2),
        )

    assert told == [0, 2, 4]
    assert kept == [RangeCounts(embedded=2, failed=0, already=0)] * 2
    assert Embedding.objects.count() == 4
    assert embed_all(base, space, embedder) == RangeCounts(embedded=6, failed=0, already=4)
    assert sorted(embedder.texts) == [f"Text {number}." for number in range(10)]


@pytest.mark.parametrize(("quick", "batches"), [(0.0, [2] * 6), (float("inf"), [2, 4, 5, 1])])
def test_batches_grow_while_the_embedder_is_quick(
    base: KnowledgeBase,
    space: Fingerprint,
    embedder: HashEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    quick: float,
    batches: list[int],
) -> None:
    monkeypatch.setattr(embeddings, "QUICK_SECONDS", quick)
    for number in range(12):
        add(base, f"Text {number}.")
    kept: list[RangeCounts] = []

    embed_range(
        *(base.pk, space.pk, 0, LAST, embedder),
        checkpoint=nothing,
        kept=kept.append,
        sizes=BatchSizes(2, 5),
    )

    assert [counts.embedded for counts in kept] == batches


def test_a_text_deleted_while_its_range_is_embedded_is_left_alone(
    base: KnowledgeBase, space: Fingerprint, embedder: HashEmbedder
) -> None:
    documents = [add(base, f"Text {number}.") for number in range(4)]
    embedder.before = lambda: Chunk.objects.filter(document=documents[3]).update(
        deleted_seq=99, text=""
    )

    counts = embed_all(base, space, embedder, sizes=BatchSizes(2, 2))

    assert counts == RangeCounts(embedded=3, failed=0, already=0)
    assert "" not in embedder.texts


def test_a_text_that_somebody_else_embeds_while_its_range_is_embedded_is_not_embedded_again(
    base: KnowledgeBase, space: Fingerprint, embedder: HashEmbedder
) -> None:
    """As whoever is frozen and thaws, or keeps up with the same base: it costs the batch under way at most."""
    for number in range(6):
        add(base, f"Text {number}.")
    others = {key(f"Text {number}."): unit(1.0) for number in (2, 3, 4)}
    embedder.before = lambda: store_embeddings(space.pk, others, {})

    counts = embed_all(base, space, embedder, sizes=BatchSizes(2, 2))

    assert counts == RangeCounts(embedded=3, failed=0, already=3)
    assert embedder.texts == ["Text 0.", "Text 1.", "Text 5."]
    assert Embedding.objects.count() == 6


def test_text_that_cannot_be_embedded_is_counted_with_its_reason_and_blocks_nothing(
    base: KnowledgeBase, space: Fingerprint
) -> None:
    for text in ("good one", "unreadable", "good two"):
        add(base, text)
    embedder = HashEmbedder(unreadable="unreadable")

    assert embed_all(base, space, embedder) == RangeCounts(embedded=2, failed=1, already=0)
    assert Embedding.objects.exclude(error="").get().error == (
        "The text holds what no tokenizer reads."
    )
    assert embed_all(base, space, embedder) == RangeCounts(embedded=0, failed=0, already=3)


@pytest.mark.parametrize("place", [0, 1, 17, 31])
def test_one_poisonous_text_costs_few_restarts_and_its_neighbours_keep_their_vectors(
    base: KnowledgeBase, space: Fingerprint, place: int
) -> None:
    for number in range(32):
        add(base, "poison" if number == place else f"Text {number}.")
    embedder = HashEmbedder(poison="poison")

    assert embed_all(base, space, embedder) == RangeCounts(embedded=31, failed=1, already=0)
    assert embedder.crashes == math.log2(32) + 1
    assert Embedding.objects.get(content_hash=key("poison")).error == (
        "The embedder crashes at this text, again and alone: "
        "The engine's process ended with signal 6."
    )
    assert Embedding.objects.filter(error="").count() == 31


def test_several_poisonous_texts_are_all_found(base: KnowledgeBase, space: Fingerprint) -> None:
    for number in range(16):
        add(base, f"poison {number}" if number % 5 == 0 else f"Text {number}.")

    counts = embed_all(base, space, HashEmbedder(poison="poison"))

    assert counts == RangeCounts(embedded=12, failed=4, already=0)


def test_an_engine_killed_once_costs_no_text_its_vector(
    base: KnowledgeBase, space: Fingerprint
) -> None:
    add(base, "the only text")
    embedder = HashEmbedder(poison="only")

    def heal_after_the_first_crash() -> None:
        if embedder.crashes:
            embedder.poison = None

    embedder.before = heal_after_the_first_crash

    assert embed_all(base, space, embedder) == RangeCounts(embedded=1, failed=0, already=0)


def test_an_engine_that_crashes_at_everything_is_an_error_and_no_text_is_blamed(
    base: KnowledgeBase, space: Fingerprint
) -> None:
    for number in range(4):
        add(base, f"Text {number}.")

    with pytest.raises(EngineCrashed, match="signal 6"):
        embed_all(base, space, HashEmbedder(poison=""))

    assert Embedding.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_writers_of_the_same_facts_in_different_orders_do_not_deadlock(threads: Threads) -> None:
    space = make_space("hash-a")
    facts = {key(str(number)): HashEmbedder().vector(str(number)) for number in range(400)}
    backwards = dict(reversed(facts.items()))

    for round_number in range(5):
        Embedding.objects.all().delete()
        stored = threads.run_all(
            [
                lambda given=given: store_embeddings(space.pk, given, {})  # type: ignore[misc]
                for given in (facts, backwards, facts, backwards)
            ]
        )
        assert sum(stored) == 400, round_number

    assert Embedding.objects.count() == 400
