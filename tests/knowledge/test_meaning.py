"""The whole way with a real embedder: text, chunks, vectors, file, question, passage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User

from engines.files.artifacts import ArtifactStore
from engines.models import Fingerprint, KnowledgeBase, VectorIndex
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.indexes import index_for
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import request_binding, search_bases
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
    "Bees": "Workers carry nectar home and turn it into honey inside the hive.",
    "Chess": "A bishop moves along diagonals, a rook along ranks and files.",
    "Dictionary": "It lists words in the order of letters and says what each one means.",
    "Marathon": "After forty-two kilometres on foot the athletes reach the finishing line.",
    "Mortgage": "The bank lends the price of a house and is repaid in monthly rates.",
    "Photosynthesis": "Green leaves build sugar from sunlight, carbon dioxide and water.",
    "Telescope": "Two curved mirrors gather the faint light of distant galaxies.",
    "Submarine": "It fills its tanks with sea water and dives below the waves.",
    "Clock": "A pendulum swings and turns the hands once in twelve hours.",
    "Umbrella": "Carry one when dark clouds gather, or you will be soaked.",
}
QUESTIONS = {
    "Why do mountains erupt?": "Volcano",
    "How do I bake a loaf?": "Bread",
    "Who was convicted at the trial?": "Court",
    "Which musical instruments perform the melody?": "Orchestra",
    "How does an injection protect me from getting ill?": "Vaccine",
    "Where is sea freight unloaded?": "Harbour",
    "Which insects produce honey?": "Bees",
    "How do the pieces go in the board game?": "Chess",
    "Where do I look up an expression that I do not understand?": "Dictionary",
    "How far does one run in the long-distance race?": "Marathon",
    "How can I finance buying a home?": "Mortgage",
    "How do plants feed themselves?": "Photosynthesis",
    "With what do astronomers look at remote stars?": "Telescope",
    "Which vessel travels under the ocean?": "Submarine",
    "What tells me the time of day?": "Clock",
    "What protects me from rain?": "Umbrella",
}
CHANCE = 1 / len(PASSAGES)


@pytest.fixture
def engines(minilm: Path, minilm_permuted: Path) -> Iterator[dict[str, LlamaCppEngine]]:
    """The published model, and one of equal quality whose coordinates are others."""
    with ExitStack() as stack:
        loaded = {}
        for name, path in (("old", minilm), ("new", minilm_permuted)):
            space = make_space(name, dimension=384)
            spec = EngineSpec(name, name, str(path), embedding=spec_of(space))
            loaded[name] = stack.enter_context(LlamaCppEngine.from_spec(spec))
            loaded[name].load_model()
        yield loaded


def recall(
    user: User, store: ArtifactStore, embedder_for: Callable[[VectorIndex], LlamaCppEngine]
) -> float:
    """Which share of the questions has its passage on top, of all that this person may read."""
    bindings = request_binding(user.pk).indexes
    found = 0
    for question, title in QUESTIONS.items():
        hits = search_bases(
            bindings,
            lambda index, asked=question: embedder_for(index).embed_query(asked),  # type: ignore[misc]
            1,
            store,
        )
        found += [hit.title for hit in hits] == [title]
    return found / len(QUESTIONS)


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
                4,
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


def test_a_search_of_the_new_index_with_the_old_embedder_is_seen_in_the_recall(
    owner: User, engines: dict[str, LlamaCppEngine], store: ArtifactStore, scratch: Path
) -> None:
    """A planted fault: the proof that the tests of recall would turn red."""
    spaces = {str(space.revision.model): space for space in Fingerprint.objects.all()}
    base = make_base(owner, spaces["old"])
    for title, text in PASSAGES.items():
        add(base, text, title=title)
    shares = {}

    for name, engine in engines.items():
        index = index_for(base, spaces[name])
        keep_up(index.pk, engine, store, scratch, lambda _done: None)
        KnowledgeBase.objects.filter(pk=base.pk).update(live_index=index)
        shares[name] = recall(
            owner, store, lambda index: engines[str(index.fingerprint.revision.model)]
        )
        shares[f"{name} with old"] = recall(owner, store, lambda _index: engines["old"])

    assert shares["old"] == shares["new"] == shares["old with old"] == 1.0
    assert shares["new with old"] <= 2 * CHANCE
