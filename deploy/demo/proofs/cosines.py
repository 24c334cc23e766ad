"""Scores that searches gave, held against cosines that a separate process computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.demo.models.engine_files import EMBEDDER, PERMUTED, DemoEngine, engine_path
from deploy.demo.proofs.judge import direct_vectors
from deploy.demo.questions import QUESTIONS
from deploy.demo.witness import Search

TOLERANCE = 2e-3
"""Stored vectors have half precision, and packing moves their last bits."""

Vector = NDArray[np.float64]


class Cosines:
    """Vectors of all questions and passages of a run in both spaces, computed once at its end."""

    def __init__(self, hub_root: Path, searches: Iterable[Search]) -> None:
        passages = {hit["text"] for found in searches for hit in found.hits}
        texts = [*(question.text for question in QUESTIONS), *sorted(passages)]
        self._spaces = {
            engine.model_id: _by_text(engine_path(hub_root, engine), texts)
            for engine in (EMBEDDER, PERMUTED)
        }

    def between(self, question: str, passage: str, embedder: DemoEngine) -> float:
        """Return the cosine of two texts in one space."""
        space = self._spaces[embedder.model_id]
        return float(space[question] @ space[passage])

    def mixed(self, question: str, passage: str) -> float:
        """Return what mixing the spaces would score: question in the old, passage in the new."""
        old, new = (self._spaces[engine.model_id] for engine in (EMBEDDER, PERMUTED))
        return float(old[question] @ new[passage])

    def error(self, found: Search, embedders: Mapping[int, DemoEngine]) -> float:
        """Return the largest distance of a score to its cosine; ``embedders`` by base."""
        errors = (
            abs(hit["score"] - self.between(found.question.text, hit["text"], embedder))
            for hit in found.hits
            for embedder in [embedders[hit["base_id"]]]
        )
        return max(errors, default=0.0)


def _by_text(model: Path, texts: list[str]) -> dict[str, Vector]:
    return dict(zip(texts, direct_vectors(model, texts), strict=True))
