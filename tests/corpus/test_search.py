"""Facts out of files are found by their questions: in which scripts, depends on the embedder; the gate sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.models import User

from engines.files.artifacts import ArtifactStore
from engines.reading.reader import ReadFile, read_files
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.knowledge.documents import add_document
from engines.services.knowledge.embeddings import Embedder
from engines.services.knowledge.keep_up import keep_up
from engines.services.knowledge.search import search_index
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.states import PlanStatus
from tests.corpus.facts import FACTS, SCRIPTS, facts_of
from tests.corpus.files import make_corpus
from tests.corpus.measuring import measure_embedder
from tests.corpus.multilingual import SPEC, ensure_multilingual
from tests.knowledge.world import live_index, make_base, make_space
from tests.plans.test_meaning import host, lent, moved, place, proof_of, state  # noqa: F401
from tests.reading.made import pack
from worker.steps.runner import StepFailedError

DIMENSION = 384
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


def test_a_fact_out_of_a_file_of_any_kind_is_found_by_its_question(
    db: None, tmp_path: Path, minilm_engine: LlamaCppEngine
) -> None:
    """From files to hits, with a real embedder, in a script that it knows and in one that it does not."""
    corpus = {
        name: made for name, made in make_corpus().items() if made[0].script in ("Latin", "Khmer")
    }
    stored = tmp_path / "file"
    stored.write_bytes(pack({name: content for name, (_, content) in corpus.items()}))
    base = make_base(User.objects.create_user("ada"), make_space("minilm", dimension=DIMENSION))
    for read in read_files(stored, "facts.zip"):
        assert isinstance(read, ReadFile)
        text, kind = read.reading.text, read.reading.media_type
        add_document(base.pk, title=read.path, text=text, media_type=kind)
    store, index = ArtifactStore(settings.SAM_ARTIFACT_STORE), live_index(base)
    keep_up(index.pk, minilm_engine, store, tmp_path, lambda _done: None)

    found: dict[str, int] = dict.fromkeys(("Latin", "Khmer"), 0)
    for fact, _ in corpus.values():
        query = np.asarray(minilm_engine.embed_query(fact.question), dtype=np.float32)
        hits = search_index(live_index(base), query, k=5, store=store)
        found[fact.script] += any(fact.text in hit.text for hit in hits)

    assert found["Latin"] == 8
    # Every Khmer text is one and the same to it: which five of eight come first is chance.
    assert found["Khmer"] <= 5


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

    with pytest.raises(StepFailedError, match=r"does not understand Thai") as refusal:
        moved(user, "english")

    assert "Whoever wants it all the same" in str(refusal.value)
    assert state(user) == (WIDE,)

    plan = moved(user, "english", accept_losses=True)

    (proof,) = proof_of(plan)["indexes"]
    quality: Any = proof["quality"]
    assert (plan.status, state(user)) == (PlanStatus.COMPLETED, ("english",))
    assert "Accepted: " in plan.steps.get(kind="probe").detail
    assert quality["scripts"]["Thai"]["recall"] < quality["scripts"]["Thai"]["old_recall"] - 0.2
