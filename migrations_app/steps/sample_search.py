"""Searching among a sample of a base's passages: with the vectors they have, and with those of a new embedder."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import TextNotEmbeddableError
from engines.models import ModelRevision, VectorIndex
from engines.services.knowledge.embeddings import Embedder, load_vectors
from engines.services.knowledge.fingerprints import (
    embedding_spec_of,
    find_fingerprint,
    spec_of,
)
from engines.specs import EmbeddingSpec
from migrations_app.models import Plan
from migrations_app.steps.base import bases_of
from migrations_app.steps.meaning import SAMPLE, SEED_BITS, Question, draw_questions, rank_of
from migrations_app.steps.quality import DEPTH, Quality, Ranks, measure_own, measure_ranks

MOST_BASES = 2
"""The largest ones."""
PER_SCRIPT = 16
"""Questions that are asked in one script."""
BATCH = 16

Lend = Callable[[ModelRevision, EmbeddingSpec], AbstractContextManager[Embedder]]
Vectors = Mapping[bytes, NDArray[np.float32]]
Lists = Mapping[str, Sequence[Question]]
"""Question → the passages found for it, best first."""


def live_indexes_of(plan: Plan) -> list[VectorIndex]:
    """Return the live indexes of the plan's largest bases that are searched in another space."""
    bases = [base.pk for base in bases_of(plan)]
    live = VectorIndex.objects.filter(live_for__in=bases, base_seq__isnull=False)
    others = live.exclude(fingerprint=find_fingerprint(plan.embedder_revision))
    largest = others.order_by("-file_count", "pk")
    return list(largest.select_related("fingerprint__revision__model")[:MOST_BASES])


def measure_index(
    index: VectorIndex, plan: Plan, own: Sequence[str], lend: Lend, seconds: float
) -> tuple[Quality, int] | None:
    """Return what a sample of one base came to, and of how many passages; None without questions.

    Passages are embedded for so many seconds, once the embedder is there; those that are not reached are left out
    for both.
    """
    revision = plan.embedder_revision
    if revision is None:
        return None
    # A small base is written for long before its file is built again.
    seed = secrets.randbits(SEED_BITS)
    drawn = draw_questions(index, seed, size=SAMPLE, is_beyond_file=True)
    asked = list(_choose(drawn))
    texts = [*(question.asked for question in asked), *own]
    spec = embedding_spec_of(revision.model, revision)
    with lend(revision, spec) as embedder:
        # Those that are asked about first: a question whose passage is missing says nothing.
        rest = [question for question in drawn if question not in asked]
        new = _embed(embedder, [*asked, *rest], time.monotonic() + seconds)
        passages = [question for question in drawn if question.content_hash in new]
        after = _search(embedder, texts, passages, new)
    old = load_vectors(index.fingerprint_id, list(new))
    fingerprint = index.fingerprint
    with lend(fingerprint.revision, spec_of(fingerprint)) as embedder:
        before = _search(embedder, texts, passages, old)
    ranks = list(_rank([one for one in asked if one in passages], before, after, old))
    pairs = ((_keys(before[text]), _keys(after.get(text, ()))) for text in own if text in before)
    quality = measure_ranks(ranks, measure_own(pairs))
    return None if quality is None else (quality, len(passages))


def _choose(drawn: Sequence[Question]) -> Iterator[Question]:
    """Yield a few questions of each script."""
    counts = Counter[str]()
    for question in drawn:
        counts[question.script] += 1
        if counts[question.script] <= PER_SCRIPT:
            yield question


def _embed(embedder: Embedder, passages: Sequence[Question], until: float) -> Vectors:
    found: dict[bytes, NDArray[np.float32]] = {}
    for start in range(0, len(passages), BATCH):
        if found and time.monotonic() > until:
            break
        batch = passages[start : start + BATCH]
        made = embedder.embed_documents([question.text for question in batch])
        for number, question in enumerate(batch):
            if number not in made.errors:
                found[question.content_hash] = np.asarray(made.vectors[number], dtype=np.float32)
    return found


def _search(
    embedder: Embedder, texts: Sequence[str], passages: Sequence[Question], vectors: Vectors
) -> Lists:
    """Search for each text; those that the embedder cannot read are left out."""
    held = [passage for passage in passages if passage.content_hash in vectors]
    if not held:
        return {}
    rows = np.stack([vectors[passage.content_hash] for passage in held])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = {}
    for text in texts:
        try:
            query = np.asarray(embedder.embed_query(text), dtype=np.float32)
        except TextNotEmbeddableError:
            continue
        best = np.argsort(-(rows @ query), kind="stable")[:DEPTH]
        found[text] = [held[at] for at in best]
    return found


def _rank(
    asked: Sequence[Question], before: Lists, after: Lists, vectors: Vectors
) -> Iterator[Ranks]:
    for question in asked:
        if question.asked in before and question.asked in after:
            old = rank_of(question, before[question.asked], vectors)
            new = rank_of(question, after[question.asked], vectors)
            # Scripts have about as many questions each: there is no plain sample whose mean is more.
            yield Ranks(question.script, None, old, new)


def _keys(found: Sequence[Question]) -> list[bytes]:
    return [passage.content_hash for passage in found]
