from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Embedding, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.access import readable_bases
from engines.services.knowledge.documents import (
    create_base,
    delete_base,
    delete_document,
    update_document,
)
from engines.services.knowledge.indexes import build_file, is_ready
from engines.services.knowledge.keep_up import keep_up, lagging_indexes
from engines.services.knowledge.search import (
    Hit,
    read_hits,
    search_bases,
    search_index,
)
from engines.vectors import IndexCache
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.test_indexes import plant
from tests.knowledge.world import add, live_index, make_base, make_space

pytestmark = pytest.mark.django_db

SCORE_TOLERANCE = 1e-3
"""Half precision moves a cosine by 2e-4 at most in these 32 dimensions; in 384 it is less."""


def catch_up(base: KnowledgeBase, store: ArtifactStore, scratch: Path) -> VectorIndex:
    keep_up(live_index(base).pk, HashEmbedder(), store, scratch, lambda _done: None)
    return live_index(base)


def search(store: ArtifactStore, question: str, *bases: KnowledgeBase, k: int = 3) -> list[Hit]:
    bindings = [(base.pk, live_index(base)) for base in bases]
    return search_bases(
        bindings, lambda _index: HashEmbedder().embed_query(question), k, store, IndexCache(4)
    )


def texts(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def test_what_was_found_otherwise_is_compared_where_it_has_a_vector(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    assert base.owner is not None
    other = add(make_base(base.owner, live_index(base).fingerprint, "Other"), "one")
    filed = add(base, "one")
    index = catch_up(base, store, scratch)
    late = add(base, "not embedded yet")
    query = np.asarray(HashEmbedder().embed_query("one"), dtype=np.float32)
    keys = [Chunk.objects.get(document=each).pk for each in (filed, late, other)]

    hits = read_hits(base.pk, keys, (index, query))

    scores = {hit.document_id: hit.score for hit in hits}
    assert scores == {filed.pk: pytest.approx(1, abs=SCORE_TOLERANCE), late.pk: 0.0}


def test_a_passage_is_found_with_its_document_from_the_file_and_from_the_delta(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    filed = add(base, "one", title="First")
    catch_up(base, store, scratch)
    late = add(base, "two", title="Second")
    catch_up(base, store, scratch)

    [hit, *_] = search(store, "one", base)
    assert (hit.document_id, hit.title, hit.text, hit.base_id) == (
        filed.pk,
        "First",
        "one",
        base.pk,
    )
    assert hit.chunk_id == filed.chunks.get().pk
    [hit, *_] = search(store, "two", base)
    assert (hit.document_id, hit.title, hit.text) == (late.pk, "Second", "two")


def test_scores_are_the_cosines_of_question_and_text(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for number in range(40):
        add(base, f"Text {number}.")
        if number == 20:
            catch_up(base, store, scratch)
    catch_up(base, store, scratch)
    embedder = HashEmbedder()

    hits = search(store, "a question", base, k=40)

    assert len(hits) == 40
    question = embedder.vector("a question").astype(np.float64)
    for hit in hits:
        assert hit.score == pytest.approx(
            float(question @ embedder.vector(hit.text)), abs=SCORE_TOLERANCE
        )
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_new_base_is_searched_before_its_first_file(
    base: KnowledgeBase, store: ArtifactStore
) -> None:
    add(base, "one")
    assert search(store, "one", base) == []
    Embedding.objects.create(
        fingerprint=live_index(base).fingerprint,
        content_hash=base.chunks.get().content_hash,
        vector=HashEmbedder().vector("one").astype("<f2").tobytes(),
    )

    assert texts(search(store, "one", base)) == ["one"]


def test_deleted_and_replaced_text_is_never_found_though_the_file_holds_it(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    gone, changed, _kept = (add(base, text) for text in ("one", "two", "three"))
    catch_up(base, store, scratch)

    delete_document(gone.pk)
    update_document(changed.pk, text="new two")

    assert texts(search(store, "one", base)) == ["three"]
    assert texts(search(store, "two", base)) == ["three"]
    catch_up(base, store, scratch)
    assert texts(search(store, "new two", base))[0] == "new two"


def test_dead_rows_at_the_top_do_not_hide_live_ones(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    copies = [add(base, "the same words") for _ in range(60)]
    survivor = add(base, "something else")
    catch_up(base, store, scratch)
    for copy in copies:
        delete_document(copy.pk)

    hits = search(store, "the same words", base, k=1)

    assert [hit.document_id for hit in hits] == [survivor.pk]


def test_the_oldest_of_equal_texts_is_the_hit_wherever_they_lie(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    first = add(base, "the same words")
    catch_up(base, store, scratch)
    second = add(base, "the same words")

    [hit] = search(store, "the same words", base)

    assert hit.document_id == first.pk
    assert [twin.document_id for twin in hit.also] == [second.pk]


def test_another_persons_text_is_not_found_even_with_a_planted_file(
    base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    other = make_base(User.objects.create_user("eve"), space)
    secret = add(base, "a secret").chunks.get()
    own = add(other, "own words").chunks.get()
    catch_up(base, store, scratch)
    catch_up(other, store, scratch)
    vector = HashEmbedder().vector("a secret")

    plant(other, store, scratch, {secret.pk: vector, own.pk: vector, 10**9: vector})

    [hit] = search(store, "a secret", other)
    assert [hit] == search(store, "a secret", other, k=1)
    assert hit.text == "own words"
    assert hit.score == pytest.approx(
        float(vector @ HashEmbedder().vector("own words")), abs=SCORE_TOLERANCE
    )
    with pytest.raises(IndexFileError, match="not of base"):
        search_bases([(other.pk, live_index(base))], lambda _index: vector, 3, store)


def test_several_bases_give_one_ranking_and_one_question_per_space(
    owner: User, base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    second, elsewhere = make_base(owner, space, "B"), make_base(owner, make_space("hash-b"), "C")
    for number, target in enumerate((base, second, elsewhere)):
        add(target, f"Text {number}.")
        catch_up(target, store, scratch)
    asked: list[int] = []

    def ask(index: VectorIndex) -> NDArray[np.float32]:
        asked.append(index.fingerprint_id)
        return HashEmbedder().embed_query("Text 1.")

    bindings = [(each.pk, live_index(each)) for each in (base, second, elsewhere)]
    hits = search_bases(bindings, ask, 2, store)

    assert (len(hits), hits[0].text) == (2, "Text 1.")
    assert len(asked) == len(set(asked)) == 2


def test_a_base_deleted_since_the_bindings_were_read_gives_no_passages(
    owner: User, base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    other = make_base(owner, space, "Other")
    add(other, "one")
    catch_up(other, store, scratch)
    bindings = [(each.pk, live_index(each)) for each in (base, other)]
    delete_base(base.pk)

    hits = search_bases(bindings, lambda _index: HashEmbedder().embed_query("one"), 3, store)

    assert texts(hits) == ["one"]


def test_a_file_replaced_and_collected_since_the_binding_was_read_is_found_again(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    stale = catch_up(base, store, scratch)
    add(base, "two")
    catch_up(base, store, scratch)
    build_file(live_index(base), store, scratch, checkpoint=lambda: None)
    store.delete(stale.file_key)

    hits = search_index(stale, HashEmbedder().embed_query("two"), k=2, store=store)

    assert texts(hits) == ["two", "one"]


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_without_a_sound_file_the_rows_answer_and_upkeep_builds_it_again(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path, damage: str
) -> None:
    add(base, "one")
    index = catch_up(base, store, scratch)
    path = store.local_path(index.file_key, scratch)
    if damage == "lost":
        store.delete(index.file_key)
    else:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"\1")

    assert texts(search(store, "one", base)) == ["one"]

    assert list(lagging_indexes()) == [index]
    keep_up(index.pk, HashEmbedder(), store, scratch, lambda _done: None)
    assert store.verify(live_index(base).file_key).sha256 == index.file_sha256
    assert list(lagging_indexes()) == []
    assert is_ready(index)


def test_a_question_of_another_dimension_is_an_error(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    add(base, "one")
    index = catch_up(base, store, scratch)

    with pytest.raises(IndexFileError, match="own embedder"):
        search_index(index, np.ones(8, dtype=np.float32), k=1, store=store)


def test_one_reads_own_bases_and_those_of_own_groups(owner: User, base: KnowledgeBase) -> None:
    mine, foreign = Group.objects.create(name="a"), Group.objects.create(name="b")
    owner.groups.add(mine)
    shared = create_base(group=mine, name="Shared")
    create_base(group=foreign, name="Foreign")
    create_base(owner=User.objects.create_user("eve"), name="Eve's")

    assert list(readable_bases(owner)) == [base, shared]
    assert list(readable_bases(AnonymousUser())) == []
