"""How well two indexes find the same things, in numbers that people read: by script, by document, by own questions.

A question that was made of a passage has one right answer: it counts for recall where that is among the first
``HITS``, and for nDCG by its rank among the first ``DEPTH`` (1 for the first, 0.63 for the second …). For a
question of the person's own nobody knows the answer: there the passages that the old index finds are what is
looked for, so another order counts as a loss. It is shown and stops nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

HITS = 5
"""Passages looked at: an answer is given about that many, and their order hardly matters to it."""
DEPTH = 10
"""Passages whose rank counts for nDCG."""
MOST_DOCUMENTS = 10
"""Documents that are named with what is not found of them any more."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """On which place each index has the answer to one question, from 1; None when not among the first ten."""

    script: str
    document_id: int | None
    old: int | None
    new: int | None
    is_extra: bool = False
    """Asked for its script alone; the mean of all is that of a plain sample."""

    @property
    def was_found(self) -> bool:
        return self.old is not None and self.old <= HITS

    @property
    def is_found(self) -> bool:
        return self.new is not None and self.new <= HITS


class Measure(TypedDict):
    """What was asked of both indexes, the shares that were answered, and nDCG@10; 0 to 1."""

    asked: int
    old_recall: float
    recall: float
    old_ndcg: float
    ndcg: float


class DocumentLoss(TypedDict):
    """A document of which the new index answers fewer questions; its title is not kept."""

    document: int
    asked: int
    old_found: int
    found: int


class OwnMeasure(TypedDict):
    """How much of what the old index finds for the person's own questions the new one finds; 0 to 1."""

    asked: int
    recall: float
    ndcg: float


class Quality(TypedDict):
    """What a comparison of one index, or of all of a plan, came to."""

    whole: Measure
    scripts: dict[str, Measure]
    documents: list[DocumentLoss]
    own: OwnMeasure | None


def measure_ranks(ranks: Sequence[Ranks], own: OwnMeasure | None = None) -> Quality | None:
    """Return the measures of a comparison; None where nothing was asked."""
    plain = [one for one in ranks if not one.is_extra]
    if not plain:
        return None
    scripts: dict[str, list[Ranks]] = {}
    for one in ranks:
        scripts.setdefault(one.script, []).append(one)
    by_size = sorted(scripts.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "whole": _measure(plain),
        "scripts": {script: _measure(group) for script, group in by_size},
        "documents": _measure_documents(ranks),
        "own": own,
    }


def measure_own(pairs: Iterable[tuple[Sequence[bytes], Sequence[bytes]]]) -> OwnMeasure | None:
    """Compare what both found for each own question, best first; None where the old index found nothing."""
    asked = [(old[:HITS], new[:DEPTH]) for old, new in pairs if old]
    if not asked:
        return None
    shares = [len(set(old) & set(new[:HITS])) / len(old) for old, new in asked]
    gains = [
        sum(_gain(rank) for rank, key in enumerate(new, 1) if key in old)
        / sum(_gain(rank) for rank in range(1, len(old) + 1))
        for old, new in asked
    ]
    return {"asked": len(asked), "recall": _mean(shares), "ndcg": _mean(gains)}


def merge_qualities(found: Sequence[Quality]) -> Quality | None:
    """Return the measures of several indexes as one; None for none."""
    if not found:
        return None
    names = dict.fromkeys(name for one in found for name in one["scripts"])
    scripts = {
        name: _merge_measures([one["scripts"][name] for one in found if name in one["scripts"]])
        for name in names
    }
    own = [one["own"] for one in found if one["own"]]
    asked = sum(one["asked"] for one in own)
    losses = [loss for one in found for loss in one["documents"]]
    return {
        "whole": _merge_measures([one["whole"] for one in found]),
        "scripts": scripts,
        "documents": sorted(losses, key=_loss)[:MOST_DOCUMENTS],
        "own": {
            "asked": asked,
            "recall": round(sum(one["recall"] * one["asked"] for one in own) / asked, 4),
            "ndcg": round(sum(one["ndcg"] * one["asked"] for one in own) / asked, 4),
        }
        if asked
        else None,
    }


def quality_of_result(result: Mapping[str, Any]) -> Quality | None:
    """Return what the result of a probe says of all its indexes; None where nothing was compared."""
    proofs = [
        proof.get("quality") for proof in result.get("indexes", []) if isinstance(proof, dict)
    ]
    return merge_qualities([quality for quality in proofs if quality])


def describe_quality(found: Quality) -> str:
    """Say it in one sentence."""
    whole = found["whole"]
    old, new = (round(whole[key] * whole["asked"]) for key in ("old_recall", "recall"))
    questions = "1 question" if whole["asked"] == 1 else f"{whole['asked']} questions"
    return (
        f"Of {questions} made from your passages the old index has the answer to {old} "
        f"among its first {HITS}, the new one to {new}."
    )


def _measure(ranks: Sequence[Ranks]) -> Measure:
    return {
        "asked": len(ranks),
        "old_recall": _mean([float(one.was_found) for one in ranks]),
        "recall": _mean([float(one.is_found) for one in ranks]),
        "old_ndcg": _mean([_gain(one.old) for one in ranks]),
        "ndcg": _mean([_gain(one.new) for one in ranks]),
    }


def _measure_documents(ranks: Sequence[Ranks]) -> list[DocumentLoss]:
    groups: dict[int, list[Ranks]] = {}
    for one in ranks:
        if one.document_id is not None:
            groups.setdefault(one.document_id, []).append(one)
    losses: list[DocumentLoss] = [
        {
            "document": document,
            "asked": len(group),
            "old_found": sum(one.was_found for one in group),
            "found": sum(one.is_found for one in group),
        }
        for document, group in groups.items()
    ]
    return sorted((loss for loss in losses if _loss(loss)[0] < 0), key=_loss)[:MOST_DOCUMENTS]


def _loss(loss: DocumentLoss) -> tuple[int, int]:
    return (loss["found"] - loss["old_found"], loss["document"])


def _merge_measures(found: Sequence[Measure]) -> Measure:
    asked = sum(one["asked"] for one in found)

    def weigh(values: Iterable[float]) -> float:
        shares = zip(values, (one["asked"] for one in found), strict=True)
        return round(sum(value * count for value, count in shares) / asked, 4)

    return {
        "asked": asked,
        "old_recall": weigh(one["old_recall"] for one in found),
        "recall": weigh(one["recall"] for one in found),
        "old_ndcg": weigh(one["old_ndcg"] for one in found),
        "ndcg": weigh(one["ndcg"] for one in found),
    }


def _gain(rank: int | None) -> float:
    return 0.0 if rank is None or rank > DEPTH else 1 / math.log2(1 + rank)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
