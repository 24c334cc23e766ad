"""The whole way with a real embedder: text, chunks, vectors, file, question, passage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User

from engines.artifacts import ArtifactStore
from engines.models import KnowledgeBase
from engines.runtimes.llama_cpp import LlamaCppEngine
from engines.services.fingerprints import spec_of
from engines.services.keep_up import keep_up
from engines.services.search import search_bases
from engines.specs import EngineSpec
from tests.knowledge.world import add, live_index, make_base, make_space

pytestmark = pytest.mark.django_db

SCORE_TOLERANCE = 1e-3
PASSAGES = {
    "Volcano": "Molten rock rises through cracks in the crust and pours out as lava.",
    "Bread": "Knead flour with water and yeast, let it rise, then put it into a hot oven.",
    "Court": "The judge heard both lawyers before the jury decided that he was guilty.",
    "Orchestra": "Violins and cellos play the theme, then the trumpets answer it loudly.",
    "Vaccine": "A weakened germ teaches the immune system to fight the real disease.",
    "Harbour": "Cranes lift containers from the ships onto trucks beside the quay.",
}
QUESTIONS = {
    "Why do mountains erupt?": "Volcano",
    "How do I bake a loaf?": "Bread",
    "Who was convicted at the trial?": "Court",
    "Which musical instruments perform the melody?": "Orchestra",
    "How does an injection protect me from getting ill?": "Vaccine",
    "Where is sea freight unloaded?": "Harbour",
}


def test_questions_find_their_passages_and_scores_are_the_engines_own_cosines(
    owner: User, minilm: Path, store: ArtifactStore, scratch: Path
) -> None:
    space = make_space("minilm", dimension=384)
    base: KnowledgeBase = make_base(owner, space)
    for title, text in PASSAGES.items():
        add(base, text, title=title)
    spec = EngineSpec("minilm", "MiniLM", str(minilm), embedding=spec_of(space))

    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        keep_up(live_index(base).pk, engine, store, scratch, lambda _done: None)
        add(base, "A passage that came after the file.", title="Late")
        keep_up(live_index(base).pk, engine, store, scratch, lambda _done: None)

        for question, title in QUESTIONS.items():
            hits = search_bases(
                [(base.pk, live_index(base))],
                lambda _index, asked=question: engine.embed_query(asked),  # type: ignore[misc]
                7,
                store,
            )
            assert hits[0].title == title
            vectors = np.array(
                [engine.embed_query(question), *(engine.embed(h.text) for h in hits)]
            )
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            np.testing.assert_allclose(
                [hit.score for hit in hits], vectors[1:] @ vectors[0], rtol=0, atol=SCORE_TOLERANCE
            )
