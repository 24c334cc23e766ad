from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.demo.bases import Bases
from deploy.demo.models.engine_files import EMBEDDER, PERMUTED, engine_path
from deploy.demo.proofs.cosines import TOLERANCE, Cosines
from deploy.demo.proofs.judge import direct_vectors
from deploy.demo.proofs.phases import finds, smallest_error
from deploy.demo.questions import QUESTIONS
from deploy.demo.witness import Search

BASES = Bases(own=1, team=2)
QUESTION = QUESTIONS[0]
PASSAGE = f"## heapq.nlargest(n, iterable, key=None)\n\n{QUESTION.needle}"
OTHER = "A baker keeps her bread beside the window."


def hit(text: str, score: float, base: int = 1) -> dict[str, Any]:
    return {"text": text, "score": score, "base_id": base}


@pytest.fixture(scope="module")
def hub_root(minilm: Path, minilm_permuted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    for engine, file in ((EMBEDDER, minilm), (PERMUTED, minilm_permuted)):
        path = engine_path(root, engine)
        path.parent.mkdir(parents=True)
        path.symlink_to(file)
    return root


@pytest.fixture(scope="module")
def cosines(hub_root: Path) -> Cosines:
    return Cosines(hub_root, [Search(QUESTION, [hit(PASSAGE, 0.0), hit(OTHER, 0.0)])])


def cosine(hub_root: Path, text: str) -> float:
    question, passage = direct_vectors(engine_path(hub_root, PERMUTED), [QUESTION.text, text])
    return float(question @ passage)


def test_a_search_with_true_scores_is_within_the_tolerance(
    cosines: Cosines, hub_root: Path
) -> None:
    found = Search(QUESTION, [hit(text, cosine(hub_root, text)) for text in (PASSAGE, OTHER)])

    assert smallest_error(found, BASES, cosines) < TOLERANCE


def test_a_search_that_mixes_the_spaces_is_seen(cosines: Cosines) -> None:
    mixed = cosines.mixed(QUESTION.text, PASSAGE)
    found = Search(QUESTION, [hit(PASSAGE, mixed)])

    assert abs(mixed) < 0.2
    assert smallest_error(found, BASES, cosines) > 0.2


def test_both_spaces_are_equally_good(cosines: Cosines) -> None:
    old, new = (cosines.between(QUESTION.text, PASSAGE, space) for space in (EMBEDDER, PERMUTED))

    assert old == pytest.approx(new, abs=1e-4)
    assert old > cosines.between(QUESTION.text, OTHER, EMBEDDER) + 0.2


@pytest.mark.parametrize(
    "hits",
    [
        [],
        [hit(OTHER, 0.9), hit(PASSAGE, 0.5)],
        [hit(PASSAGE, 0.5, base=2)],
        [hit(f"{PASSAGE} I want the few biggest", 0.5)],
    ],
    ids=["nothing", "another on top", "the wrong base", "a shared run of words"],
)
def test_a_search_without_the_right_passage_on_top_does_not_count(
    hits: list[dict[str, Any]],
) -> None:
    assert not finds(Search(QUESTION, hits), BASES)


def test_the_right_passage_on_top_counts_whatever_its_line_breaks() -> None:
    wrapped = PASSAGE.replace("largest elements", "largest\nelements")

    assert finds(Search(QUESTION, [hit(wrapped, 0.5)]), BASES)
