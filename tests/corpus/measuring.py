"""How well an embedder finds the facts of the corpus: each question searched among all facts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.services.knowledge.embeddings import Embedder
from migrations_app.steps.quality import DEPTH, Quality, Ranks, measure_ranks
from tests.corpus.facts import Fact


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
    found = measure_ranks(ranks)
    assert found is not None
    return found
