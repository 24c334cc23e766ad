"""Both rankings fused: recall against each alone, what `score` means, bases without vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from numpy.typing import NDArray

from engines.exceptions import HostUnavailableError, InvalidRequestError, TextNotEmbeddableError
from engines.files.artifacts import ArtifactStore
from engines.models import Fingerprint, KnowledgeBase, VectorIndex
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.knowledge.documents import create_base, delete_document
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.hybrid import (
    NOT_EMBEDDED,
    Found,
    Searched,
    search_passages,
)
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import EmbedQuery, FoundBy, Hit
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter, SearchMode
from engines.specs import EngineSpec
from engines.vectors import IndexCache
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.test_meaning import PASSAGES, QUESTIONS
from tests.knowledge.words.facts import FACTS, Fact
from tests.knowledge.world import add, live_index, make_base, make_space

pytestmark = pytest.mark.django_db

K = 5
BESIDE = 6
"""Passages that look to an embedder without the script as the fact does: more than are asked for."""
Recall = dict[tuple[str, SearchMode], float]


def places(*bases: KnowledgeBase) -> Searched:
    with_index = [base for base in bases if base.live_index_id is not None]
    return Searched([base.pk for base in bases], [(one.pk, live_index(one)) for one in with_index])


def find(
    store: ArtifactStore,
    question: str,
    *bases: KnowledgeBase,
    narrowed: SearchFilter = EVERYTHING,
    embed: EmbedQuery | None = None,
) -> Found:
    def by_hash(_index: VectorIndex) -> NDArray[np.float32]:
        return HashEmbedder().embed_query(question)

    files = (store, IndexCache(4))
    return search_passages(question, places(*bases), K, embed or by_hash, files, narrowed)


def ask(
    store: ArtifactStore,
    question: str,
    *bases: KnowledgeBase,
    narrowed: SearchFilter = EVERYTHING,
    embed: EmbedQuery | None = None,
) -> list[Hit]:
    return find(store, question, *bases, narrowed=narrowed, embed=embed).hits


def catch_up(base: KnowledgeBase, store: ArtifactStore, scratch: Path) -> None:
    keep_up(live_index(base).pk, HashEmbedder(), store, scratch, lambda _done: None)


@dataclass(frozen=True)
class Corpus:
    """Passages of a base, and which document each question should find."""

    base: KnowledgeBase
    facts: dict[str, int]
    meanings: dict[str, int]

    @classmethod
    def plant(cls, owner: User, facts: Sequence[Fact]) -> Corpus:
        """Each fact comes after passages in its own script that are nonsense."""
        base = make_base(owner, make_space("minilm", dimension=384))
        for fact in facts:
            for start in range(BESIDE):
                add(base, fact.text[start:][::-1])
        asked = {fact.question: add(base, fact.text).pk for fact in facts}
        meant = {title: add(base, text, title=title).pk for title, text in PASSAGES.items()}
        return cls(base, asked, {question: meant[title] for question, title in QUESTIONS.items()})


def measure_recall(corpus: Corpus, store: ArtifactStore, scratch: Path, minilm: Path) -> Recall:
    """Return, of facts and of questions about meaning, the share that each mode finds within K."""
    index = live_index(corpus.base)
    spec = EngineSpec("minilm", "MiniLM", str(minilm), embedding=spec_of(index.fingerprint))
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        keep_up(index.pk, engine, store, scratch, lambda _done: None)
        asked = {*corpus.facts, *corpus.meanings}
        vectors = {question: engine.embed_query(question) for question in asked}

    def find(question: str, mode: SearchMode) -> set[int]:
        narrowed = SearchFilter(mode=mode)
        hits = ask(
            store, question, corpus.base, narrowed=narrowed, embed=lambda _: vectors[question]
        )
        return {hit.document_id for hit in hits}

    return {
        (kind, mode): sum(document in find(question, mode) for question, document in wanted.items())
        / len(wanted)
        for kind, wanted in (("facts", corpus.facts), ("meanings", corpus.meanings))
        for mode in SearchMode
    }


def test_facts_are_found_in_scripts_that_the_embedder_does_not_know(
    owner: User, minilm: Path, store: ArtifactStore, scratch: Path
) -> None:
    """MiniLM reads Thai and Khmer as one unknown word each; questions about meaning stay its strength."""
    unknown = [fact for fact in FACTS if fact.language in ("th", "km", "zh", "")]

    recall = measure_recall(Corpus.plant(owner, unknown), store, scratch, minilm)

    assert recall["facts", SearchMode.HYBRID] == 1.0 > recall["facts", SearchMode.VECTORS]
    assert recall["meanings", SearchMode.HYBRID] == recall["meanings", SearchMode.VECTORS] == 1.0
    assert recall["meanings", SearchMode.WORDS] < 1.0


@pytest.mark.slow
def test_every_fact_is_found_in_every_script(
    owner: User, minilm: Path, store: ArtifactStore, scratch: Path
) -> None:
    recall = measure_recall(Corpus.plant(owner, FACTS), store, scratch, minilm)

    assert recall["facts", SearchMode.HYBRID] == recall["meanings", SearchMode.HYBRID] == 1.0


def test_score_is_the_cosine_and_found_by_says_what_found_it(
    base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    for number in range(40):
        add(base, f"Text {number}.")
    add(base, "The harbour master is called Wojtylko.")
    catch_up(base, store, scratch)
    question = "Who is Wojtylko?"

    hits = ask(store, question, base)

    assert hits[0].text.endswith("Wojtylko.")
    asked = HashEmbedder().vector(question).astype(np.float64)
    for hit in hits:
        cosine = float(asked @ HashEmbedder().vector(hit.text))
        assert hit.score == pytest.approx(cosine, abs=1e-3)
    assert hits[0].found_by in (FoundBy.WORDS, FoundBy.BOTH)
    assert {hit.found_by for hit in hits[1:]} == {FoundBy.VECTORS}
    near = ask(store, question, base, narrowed=SearchFilter(min_score=0.99))
    assert near == []
    only = ask(store, question, base, narrowed=SearchFilter(mode=SearchMode.WORDS))
    assert [(hit.text, hit.score) for hit in only] == [(hits[0].text, 0.0)]
    vectors = ask(store, question, base, narrowed=SearchFilter(mode=SearchMode.VECTORS))
    assert [hit.score for hit in vectors] == sorted((hit.score for hit in vectors), reverse=True)


def _unreachable(_index: VectorIndex) -> Sequence[float]:
    raise HostUnavailableError("No active host has the embedder.")


def _unreadable(_index: VectorIndex) -> Sequence[float]:
    raise TextNotEmbeddableError("The text has no token.")


def test_words_answer_while_there_are_no_vectors(
    owner: User, base: KnowledgeBase, store: ArtifactStore
) -> None:
    new = create_base(owner=owner, name="New")
    add(new, "the lighthouse is new")
    add(base, "the lighthouse is old")

    for embed in (None, _unreachable, _unreadable):
        hits = ask(store, "lighthouse", new, base, embed=embed)
        assert {hit.text for hit in hits} == {"the lighthouse is new", "the lighthouse is old"}
        assert {(hit.score, hit.found_by) for hit in hits} == {(0.0, FoundBy.WORDS)}
    with pytest.raises(HostUnavailableError, match="embedder"):
        ask(store, "nothing of this", base, embed=_unreachable)
    vectors = SearchFilter(mode=SearchMode.VECTORS)
    with pytest.raises(HostUnavailableError, match="embedder"):
        ask(store, "lighthouse", base, narrowed=vectors, embed=_unreachable)


def test_a_search_by_words_alone_says_why_and_what_to_do(
    owner: User, base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    new = create_base(owner=owner, name="New")
    add(new, "the lighthouse is new")
    add(base, "the lighthouse is old")
    catch_up(base, store, scratch)
    words = SearchFilter(mode=SearchMode.WORDS)

    def said(*bases: KnowledgeBase, **how: Any) -> str:
        return find(store, "lighthouse", *bases, **how).words_only

    assert said(base) == said(base, new) == said(new, narrowed=words) == ""
    assert said(new) == said(base, new, narrowed=SearchFilter(bases=[new.pk])) == NOT_EMBEDDED
    assert "Choose an engine" in NOT_EMBEDDED
    assert said(base, embed=_unreachable).endswith("meanings: No active host has the embedder.")
    unreadable = said(base, embed=_unreadable)
    assert unreadable.endswith("of the question: The text has no token. Ask in other words.")


def test_only_the_bases_whose_embedder_is_away_are_searched_by_words_alone(
    owner: User, base: KnowledgeBase, store: ArtifactStore, scratch: Path
) -> None:
    """Each base beside it keeps its meaning, and the sentence names those that lost it, each with its reason."""
    away = make_base(owner, make_space("other"), "Minutes")
    unreadable = make_base(owner, make_space("third"), "Codes")
    new = create_base(owner=owner, name="New")
    for one, text in ((away, "away"), (base, "here"), (unreadable, "odd"), (new, "new")):
        add(one, f"the lighthouse is {text}")
    far = add(base, "Something without a word of the question.")
    catch_up(base, store, scratch)
    refusals = {away.pk: _unreachable, unreadable.pk: _unreadable}

    def embed(index: VectorIndex) -> Sequence[float] | NDArray[np.float32]:
        refuse = refusals.get(index.base_id)
        return refuse(index) if refuse else HashEmbedder().embed_query("lighthouse")

    found = find(store, "lighthouse", away, base, unreadable, new, embed=embed)

    by = {hit.text: hit.found_by for hit in found.hits}
    assert by.pop("Something without a word of the question.") is FoundBy.VECTORS
    assert by.pop("the lighthouse is here") is FoundBy.BOTH
    assert set(by.values()) == {FoundBy.WORDS}
    assert len(by) == 3
    assert found.words_only == (
        "Only words were searched in “Minutes”, since nothing here could compare meanings: No active host has the "
        "embedder. Only words were searched in “Codes”, since the embedder can make nothing of the question: The text "
        "has no token. Ask in other words."
    )
    # No word of it is anywhere: what is near is still found, and it is said where nothing could be.
    near = find(store, "zebra", away, base, embed=embed)
    assert far.pk in {hit.document_id for hit in near.hits}
    assert near.words_only.startswith("Only words were searched in “Minutes”, since")
    narrowed = find(
        store, "lighthouse", away, base, embed=embed, narrowed=SearchFilter(bases=[base.pk])
    )
    assert narrowed.words_only == ""
    everywhere = find(store, "lighthouse", away, unreadable, embed=embed).words_only
    assert everywhere.startswith("Only words were searched, since nothing")


def test_a_text_of_several_documents_and_bases_is_one_hit(
    owner: User, base: KnowledgeBase, space: Fingerprint, store: ArtifactStore, scratch: Path
) -> None:
    second = make_base(owner, space, "B")
    first, again, far = (add(one, "the same harbour") for one in (base, base, second))
    catch_up(base, store, scratch)

    [hit] = ask(store, "harbour", base, second)

    assert (hit.document_id, hit.found_by) == (first.pk, FoundBy.BOTH)
    assert [twin.document_id for twin in hit.also] == [again.pk, far.pk]
    delete_document(first.pk)
    assert [hit.document_id for hit in ask(store, "harbour", base)] == [again.pk]
    delete_document(again.pk)
    assert [hit.document_id for hit in ask(store, "harbour", base, second)] == [far.pk]


def test_a_smallest_cosine_of_a_search_by_words_is_refused() -> None:
    wrong = SearchFilter(mode=SearchMode.WORDS, min_score=0.5)

    with pytest.raises(InvalidRequestError, match="compares no vectors"):
        wrong.require_readable(KnowledgeBase.objects.none())
    with pytest.raises(InvalidRequestError, match="mode"):
        SearchFilter.parse({"mode": "guess"})
