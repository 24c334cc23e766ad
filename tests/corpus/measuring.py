"""How well an embedder finds the facts of the corpus: each question searched among all facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone

from engines.files.artifacts import ArtifactStore
from engines.models import KnowledgeBase
from engines.services.knowledge.documents import WrittenDocument, put_documents
from engines.services.knowledge.embeddings import Embedder
from engines.services.knowledge.hybrid import Searched, search_passages
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import EmbedQuery, Vector
from engines.vectors import IndexCache
from migrations_app.steps.quality import DEPTH, Quality, Ranks, measure_ranks
from tests.corpus.facts import Fact
from tests.knowledge.world import live_index, make_base, make_space

DIMENSION = 384
"""Of both embedders that tests have."""


def measure_embedder(embedder: Embedder, facts: Sequence[Fact]) -> Quality:
    """Return recall and nDCG by script, as old and as new: there is one embedder only."""
    rows = np.asarray(embedder.embed_documents([fact.text for fact in facts]).vectors)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ranks = []
    for number, fact in enumerate(facts):
        query = np.asarray(embedder.embed_query(fact.question), dtype=np.float32)
        best = np.argsort(-(rows @ query), kind="stable")[:DEPTH].tolist()
        place = best.index(number) + 1 if number in best else None
        ranks.append(Ranks(fact.script, None, place, place))
    return _measured(ranks)


def measure_search(
    embedder: Embedder,
    base: KnowledgeBase,
    facts: Sequence[Fact],
    store: ArtifactStore,
) -> Quality:
    """Return the same of the search that people use, in a base that holds the facts and is embedded."""
    index, cache = live_index(base), IndexCache(1)
    where = Searched([base.pk], [(base.pk, index)])
    ranks = []
    for fact in facts:
        query = np.asarray(embedder.embed_query(fact.question), dtype=np.float32)

        found = search_passages(fact.question, where, DEPTH, _always(query), (store, cache)).hits
        places = (place for place, hit in enumerate(found, 1) if fact.text in hit.text)
        rank = next(places, None)
        ranks.append(Ranks(fact.script, None, rank, rank))
    return _measured(ranks)


def make_corpus_base(
    name: str,
    embedder: Embedder,
    documents: Sequence[tuple[str, str, str]],
    store: ArtifactStore,
    scratch: Path,
) -> KnowledgeBase:
    """Return a base of these documents (title, text, kind), embedded and indexed."""
    owner = User.objects.create_user(f"reader of {name}")
    base = make_base(owner, make_space(name, dimension=DIMENSION))
    now = timezone.now()
    put_documents(base.pk, [WrittenDocument(*document, now, now) for document in documents])
    keep_up(live_index(base).pk, embedder, store, scratch, lambda _done: None)
    return base


def _measured(ranks: Sequence[Ranks]) -> Quality:
    found = measure_ranks(ranks)
    assert found is not None
    return found


def _always(vector: Vector) -> EmbedQuery:
    return lambda _index: vector
