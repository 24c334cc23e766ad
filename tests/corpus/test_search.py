"""Facts out of files are found by their questions: in which scripts, depends on the embedder; the gate sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from engines.files.artifacts import ArtifactStore
from engines.reading.reader import ReadFile, read_files
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.knowledge.documents import add_document
from engines.services.knowledge.embeddings import Embedder
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.states import PlanStatus
from tests.corpus.facts import FACTS, SCRIPTS, facts_of
from tests.corpus.files import make_corpus
from tests.corpus.measuring import (
    DIMENSION,
    make_corpus_base,
    measure_embedder,
    measure_search,
)
from tests.corpus.multilingual import SPEC, ensure_multilingual
from tests.knowledge.world import make_base, make_space
from tests.plans.test_meaning import host, lent, moved, place, proof_of, state  # noqa: F401
from tests.reading.made import pack
from worker.steps.runner import StepFailedError

WIDE = "multilingual"


@pytest.fixture(scope="module")
def minilm_engine(minilm: Path) -> Iterator[LlamaCppEngine]:
    spec = EmbeddingSpec(dimension=DIMENSION, max_tokens=256)
    with LlamaCppEngine.from_spec(EngineSpec("m", "m", str(minilm), embedding=spec)) as engine:
        engine.load_model()
        yield engine


@pytest.fixture(scope="module")
def wide_engine() -> Iterator[LlamaCppEngine]:
    """multilingual-e5-small, as its package has it."""
    path = str(ensure_multilingual())
    with LlamaCppEngine.from_spec(EngineSpec("w", "w", path, embedding=SPEC)) as engine:
        engine.load_model()
        yield engine


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow, id="all"), 4])
def test_every_fact_out_of_every_kind_of_file_is_found_by_its_question(
    db: None, tmp_path: Path, minilm_engine: LlamaCppEngine, each: int
) -> None:
    """From files to hits: in scripts that the embedder does not know, the words find what it cannot."""
    corpus = {name: made for name, made in make_corpus().items() if made[0].number % each == 0}
    stored = tmp_path / "file"
    stored.write_bytes(pack({name: content for name, (_, content) in corpus.items()}))
    documents = []
    for read in read_files(stored, "facts.zip"):
        assert isinstance(read, ReadFile)
        documents.append((read.path, read.reading.text, read.reading.media_type))
    store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
    base = make_corpus_base("minilm", minilm_engine, documents, store, tmp_path)

    found = measure_search(minilm_engine, base, [fact for fact, _ in corpus.values()], store)

    recall = {script: one["recall"] for script, one in found["scripts"].items()}
    assert recall == dict.fromkeys(SCRIPTS, 1.0)


@pytest.mark.slow
def test_a_multilingual_embedder_finds_every_fact_and_an_english_one_those_of_its_letters(
    minilm_engine: LlamaCppEngine, wide_engine: LlamaCppEngine
) -> None:
    wide, english = measure_embedder(wide_engine, FACTS), measure_embedder(minilm_engine, FACTS)

    assert {name: one["recall"] for name, one in wide["scripts"].items()} == dict.fromkeys(
        SCRIPTS, 1.0
    )
    assert english["scripts"]["Latin"]["recall"] == 1.0
    assert english["scripts"]["Khmer"]["recall"] < 0.3
    assert english["scripts"]["Thai"]["recall"] < 0.9


@pytest.fixture
def engines(minilm_engine: LlamaCppEngine, wide_engine: LlamaCppEngine) -> dict[str, Embedder]:
    return {WIDE: wide_engine, "english": minilm_engine}


@pytest.mark.slow
def test_from_a_multilingual_to_an_english_embedder_a_tenth_in_thai_stops_the_plan(
    place: Callable[[str], None],  # noqa: F811
    engines: dict[str, Embedder],
) -> None:
    place(WIDE)
    place("english")
    user = User.objects.create_user("ada")
    base = make_base(user, make_space("before", dimension=DIMENSION))
    type(base).objects.filter(pk=base.pk).update(live_index=None)
    thai = [fact.text for fact in facts_of("Thai")]
    for number, pair in enumerate([*permutations(thai, 2)][:17]):
        add_document(base.pk, title=f"Thai {number}", text=" ".join(pair))
    paragraphs = [p for text in topics.values() for p in text.split("\n\n") if 200 < len(p) < 400]
    for number, paragraph in enumerate(paragraphs[:153]):
        add_document(base.pk, title=f"English {number}", text=paragraph)
    moved(user, WIDE)

    with pytest.raises(
        StepFailedError, match=r"17 of 161 passages are in Thai, which this embedder does not know"
    ) as refusal:
        moved(user, "english")

    assert "Whoever wants it all the same" in str(refusal.value)
    assert state(user) == (WIDE,)

    plan = moved(user, "english", accept_losses=True)

    (proof,) = proof_of(plan)["indexes"]
    quality: Any = proof["quality"]
    assert (plan.status, state(user)) == (PlanStatus.COMPLETED, ("english",))
    assert "Accepted: " in plan.steps.get(kind="probe").detail
    assert quality["scripts"]["Thai"]["recall"] < quality["scripts"]["Thai"]["old_recall"] - 0.2
