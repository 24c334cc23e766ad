"""Whether a new index understands a base's texts: the same questions, asked of the old one and the new one.

A question is the middle of a passage, and it is answered when the passage, or one that says the same, is
among the first ``HITS``. Two things are kept apart:

* **Soundness**, the whole passage, embedded once more as a document, must find
  itself with a cosine of 1. That fails for vectors of other texts, however good the embedder is.
* **Understanding**, which only a comparison can judge: ordinary texts have a recall@1 of 0.75 under a good
  embedder, so a fixed share of questions says more about the texts than about the embedder. Each question
  is asked of both indexes; those that both or neither answers say nothing, and of the others a coin would
  give each index half (McNemar's test, exact and one-sided). The new index is refused when the old one
  alone answers so many more that a coin would do so in fewer than ``CHANCE`` of all samples. So an
  equally good embedder is refused in at most that share, whatever the size of the sample, and a small
  sample (fewer than seven questions) refuses nobody.

The same is asked of each script that the texts are written in, with the chance divided among them: a tenth in
Thai is lost in the mean of all. A script that is rare gets questions of its own, so that there are enough.

A first index has nothing to be compared with and is never refused for what it finds.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from django.db.models import QuerySet
from django.db.models.functions import Left
from numpy.typing import NDArray

from engines.exceptions import TextNotEmbeddableError
from engines.models import Chunk, VectorIndex
from engines.runtimes.turns import FEW_TEXTS
from engines.services.knowledge.embeddings import Embedder, load_vectors
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.search import Hit, search_index
from migrations_app.steps.base import ProbeFailedError, StepContext
from migrations_app.steps.excerpts import cut_middle
from migrations_app.steps.quality import DEPTH, HITS, Ranks
from migrations_app.steps.scripts import LOOKED_AT, script_of

SAMPLE = 100
"""Questions a base is asked at most: enough that a loss of one answer in eight is seen nearly always."""
SEED_BITS = 31
SOUND_SAMPLE = 20
"""Passages embedded once more as a whole: wrong vectors are wrong everywhere."""
CHANCE = 0.01
"""In which share of all samples an equally good embedder may be refused."""
NEAR_DUPLICATE = 0.95
"""Cosine in the old space from which two passages say the same: release notes, licences, tables."""
SCORE_TOLERANCE = 1e-3
"""Half precision moves a cosine by less than this (4e-5 measured at 384 dimensions)."""
POOL = 2000
"""Passages whose script is looked at, to find enough of the rare ones."""
SCRIPT_SAMPLE = 24
"""Questions in one script, where there are so many: half of them lost is seen nearly always."""
LEAST_OF_SCRIPT = 7
"""Of fewer questions no loss is improbable enough to refuse anybody."""


class Found(Protocol):
    """A passage that was found."""

    @property
    def content_hash(self) -> bytes:
        """The SHA-256 of its text."""

    @property
    def text(self) -> str:
        """What it says."""


Answers = Mapping[int, Sequence[Hit]]
"""Chunk id of a question → what was found for it, best first."""


@dataclass(frozen=True, slots=True)
class Question:
    """The middle of one passage, asked as a person would type it."""

    chunk_id: int
    content_hash: bytes
    text: str
    asked: str
    script: str = ""
    document_id: int | None = None
    is_extra: bool = False
    """Asked for its script alone; the mean of all is that of a plain sample."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many questions each index answered, of those asked of both."""

    asked: int
    old_found: int
    new_found: int
    only_old: int
    only_new: int

    @property
    def probability(self) -> float:
        """Return how often two equally good indexes differ this much to the new one's disadvantage."""
        return run_sign_test(self.only_old, self.only_new)

    @property
    def is_worse(self) -> bool:
        return self.is_worse_among(1)

    def is_worse_among(self, comparisons: int) -> bool:
        """Whether it is too improbable where one of so many comparisons is enough to refuse."""
        return self.probability < CHANCE / comparisons


def run_sign_test(losses: int, wins: int) -> float:
    """Return the chance that a fair coin gives at least ``losses`` of all ``losses + wins`` throws."""
    throws = losses + wins
    at_least = sum(math.comb(throws, n) for n in range(losses, throws + 1))
    return float(at_least / 2**throws)


def draw_questions(
    index: VectorIndex, seed: int, *, size: int, is_beyond_file: bool = False
) -> list[Question]:
    """Draw passages that the index's file holds and has vectors of; the same seed draws the same ones.

    What was written since is embedded by the switch, and drawn only on demand (``is_beyond_file``); a text
    without a vector may once have crashed this embedder and would do it again. A text that several passages hold
    is one: it is found once, so it is lost once, and questions that are one question would not differ as throws of
    a coin do.
    """
    live = Chunk.objects.filter(base_id=index.base_id, deleted_seq__isnull=True)
    if not is_beyond_file:
        live = live.filter(created_seq__lte=index.base_seq or 0)
    # Before the draw: where most passages say the same, few others would be in it.
    texts = live.order_by("content_hash", "pk").distinct("content_hash")
    ids = list(texts.values_list("pk", flat=True))
    # In the order of the draw, so that the first few of them are a sample too.
    drawn = random.Random(seed).sample(ids, min(max(size, POOL), len(ids)))  # noqa: S311 - a sample
    scripts = _scripts_of_texts(live, drawn)
    drawn = list(scripts)
    chosen = drawn[:size]
    extra = set(_draw_of_scripts(drawn, scripts, chosen))
    found = {chunk.pk: chunk for chunk in live.filter(pk__in=[*chosen, *extra])}
    chunks = [found[pk] for pk in drawn if pk in found]
    known = load_vectors(index.fingerprint_id, [bytes(chunk.content_hash) for chunk in chunks])
    return [
        Question(
            chunk.pk,
            bytes(chunk.content_hash),
            chunk.text,
            cut_middle(chunk.text),
            scripts[chunk.pk],
            chunk.document_id,
            is_extra=chunk.pk in extra,
        )
        for chunk in chunks
        if bytes(chunk.content_hash) in known
    ]


def _scripts_of_texts(live: QuerySet[Chunk], drawn: Sequence[int]) -> dict[int, str]:
    """Return passage → its script, in the order of the draw."""
    begun = live.filter(pk__in=drawn).annotate(begin=Left("text", LOOKED_AT))
    scripts = {pk: script_of(text) for pk, text in begun.values_list("pk", "begin")}
    return {pk: scripts[pk] for pk in drawn if pk in scripts}


def _draw_of_scripts(
    drawn: Sequence[int], scripts: Mapping[int, str], chosen: Sequence[int]
) -> Iterator[int]:
    """Yield what is drawn besides, so that each script has its questions; nothing for a small sample."""
    if len(chosen) < SAMPLE:
        return
    counts = Counter(scripts[pk] for pk in chosen)
    for pk in drawn[len(chosen) :]:
        if counts[scripts[pk]] < SCRIPT_SAMPLE:
            counts[scripts[pk]] += 1
            yield pk


def prove_sound(ctx: StepContext, index: VectorIndex, questions: Sequence[Question]) -> None:
    """Prove that the vectors of an index are those of its texts; ProbeFailedError if not."""
    with _embedder(ctx, index) as embedder:
        # A few at a time: beside others who embed very many, each call waits for a pack of theirs.
        for start in range(0, len(questions), FEW_TEXTS):
            ctx.checkpoint()
            batch = questions[start : start + FEW_TEXTS]
            own = embedder.embed_documents([question.text for question in batch])
            for number, question in enumerate(batch):
                # What is longer than is read had the vector of its beginning once, and has its parts' mean now.
                if number not in own.errors and number not in own.cut:
                    _require_itself(ctx, index, question, own.vectors[number])


def ask(ctx: StepContext, index: VectorIndex, questions: Sequence[Question]) -> Answers:
    """Ask an index what it has vectors for."""
    known = load_vectors(index.fingerprint_id, [question.content_hash for question in questions])
    answers = {}
    with _embedder(ctx, index) as embedder:
        for question in questions:
            ctx.checkpoint()
            hits = None
            if question.content_hash in known:
                hits = _search(ctx, index, embedder, question.asked)
            if hits is not None:
                answers[question.chunk_id] = hits
    return answers


def ask_own(
    ctx: StepContext, index: VectorIndex, questions: Sequence[str]
) -> dict[str, list[bytes]]:
    """Return question → the texts found for it, best first; those the embedder cannot read are left out."""
    found = {}
    with _embedder(ctx, index) as embedder:
        for question in questions:
            ctx.checkpoint()
            hits = _search(ctx, index, embedder, question)
            if hits is not None:
                found[question] = [hit.content_hash for hit in hits]
    return found


def rank_answers(
    old: VectorIndex, questions: Sequence[Question], before: Answers, after: Answers
) -> list[Ranks]:
    """Find each answer in what both found; which passages say the same is judged in the old, proven space."""
    shared = [q for q in questions if q.chunk_id in before and q.chunk_id in after]
    hashes = {q.content_hash for q in shared}
    for answers in (before, after):
        hashes |= {hit.content_hash for q in shared for hit in answers[q.chunk_id]}
    vectors = load_vectors(old.fingerprint_id, list(hashes))
    return [
        Ranks(
            question.script,
            question.document_id,
            rank_of(question, before[question.chunk_id], vectors),
            rank_of(question, after[question.chunk_id], vectors),
            is_extra=question.is_extra,
        )
        for question in shared
    ]


def compare(ranks: Sequence[Ranks]) -> Comparison:
    """Count who answered what among the first ``HITS``."""
    return Comparison(
        asked=len(ranks),
        old_found=sum(one.was_found for one in ranks),
        new_found=sum(one.is_found for one in ranks),
        only_old=sum(one.was_found and not one.is_found for one in ranks),
        only_new=sum(one.is_found and not one.was_found for one in ranks),
    )


def compare_scripts(ranks: Sequence[Ranks]) -> dict[str, Comparison]:
    """Compare each script that has questions enough; empty where all is in one."""
    groups: dict[str, list[Ranks]] = {}
    for one in ranks:
        groups.setdefault(one.script, []).append(one)
    found = {
        script: compare(group) for script, group in groups.items() if len(group) >= LEAST_OF_SCRIPT
    }
    return found if len(groups) > 1 else {}


def rank_of(
    question: Question, hits: Sequence[Found], vectors: Mapping[bytes, NDArray[np.float32]]
) -> int | None:
    """Return the place, from 1, of a hit that is the passage, holds the words asked for, or says the same."""
    own = vectors.get(question.content_hash)
    for rank, hit in enumerate(hits, 1):
        if hit.content_hash == question.content_hash or question.asked in " ".join(
            hit.text.split()
        ):
            return rank
        other = vectors.get(hit.content_hash)
        if own is not None and other is not None and compute_cosine(own, other) >= NEAR_DUPLICATE:
            return rank
    return None


def compute_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the cosine of two vectors of one space."""
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def _embedder(ctx: StepContext, index: VectorIndex) -> AbstractContextManager[Embedder]:
    return ctx.embedder(index.fingerprint.revision, spec_of(index.fingerprint))


def _require_itself(
    ctx: StepContext, index: VectorIndex, question: Question, own: NDArray[np.float32]
) -> None:
    """Raise ProbeFailedError unless the passage's vector is in the index and belongs to its text."""
    hits = search_index(index, own, k=HITS, store=ctx.store)
    mine = [hit.score for hit in hits if hit.content_hash == question.content_hash]
    # So many texts may say exactly the same that this one is not among the first.
    score = mine[0] if mine else min((hit.score for hit in hits), default=0.0)
    if abs(1.0 - score) > SCORE_TOLERANCE and (mine or _is_there(index, question)):
        raise ProbeFailedError(
            f"A passage finds itself in the new index with a cosine of {score:.4f} instead of 1: the "
            "vectors in it are not those of their texts. Nothing was switched. Have the embedder's "
            "file verified, then plan again."
        )


def _is_there(index: VectorIndex, question: Question) -> bool:
    """Whether nobody deleted the passage since it was drawn, which is not found then and need not be."""
    same = Chunk.objects.filter(base=index.base_id, content_hash=question.content_hash)
    return same.filter(deleted_seq__isnull=True).exists()


def _search(
    ctx: StepContext, index: VectorIndex, embedder: Embedder, asked: str
) -> list[Hit] | None:
    """Return what is found; None when the embedder cannot read the question."""
    try:
        vector = np.asarray(embedder.embed_query(asked), dtype=np.float32)
    except TextNotEmbeddableError:
        return None
    return search_index(index, vector, k=DEPTH, store=ctx.store)


def count_same_vectors(index: VectorIndex, questions: Sequence[Question]) -> dict[str, int]:
    """Return script → how many of its drawn texts have the vector of a different text.

    That is how an embedder looks at what it has no tokens for: one token that means "unknown".
    """
    scripts = {question.content_hash: question.script for question in questions}
    vectors = load_vectors(index.fingerprint_id, list(scripts))
    counts = Counter(vector.tobytes() for vector in vectors.values())
    same = Counter(scripts[key] for key, vector in vectors.items() if counts[vector.tobytes()] > 1)
    return dict(same)
