"""Proof before the switch: the new engine answers, counts agree, and meaning is found."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import EngineCrashed, EngineKilled
from engines.models import Chunk, ModelCopy, ModelRevision, VectorIndex
from engines.services.catalog.copies import (
    copy_of,
    engine_spec,
    is_present,
    mark_unsafe,
    refuse_unsafe,
)
from engines.services.knowledge.embeddings import Embedder, load_vectors
from engines.services.knowledge.fingerprints import embedding_spec_of
from engines.services.knowledge.indexes import IndexCounts, index_counts
from engines.services.knowledge.search import search_index
from migrations_app.plans.transitions import Outcome
from migrations_app.steps.base import (
    ProbeFailedError,
    StepContext,
    facts_for_json,
    mark_halfway,
    required_host,
)
from migrations_app.steps.index_switches import (
    going_on_without_deleted,
    switches_of,
    switches_that_move,
)

PROBE_TOKENS = 16
SAMPLE = 20
MARGIN = 0.1
"""How much worse than the old index the new one may find its own passages (share of the sample)."""
MIN_FOUND = 0.8
"""Share of passages to be found when there is no old index to compare with."""
SCORE_TOLERANCE = 1e-3
"""Half precision moves a cosine by less than this (4e-5 measured at 384 dimensions)."""
PASSAGE_WORDS = 25


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of a sample's passages found their own text first, and the largest score error."""

    sample: int
    found: int
    score_error: float

    @property
    def share(self) -> float:
        return self.found / self.sample if self.sample else 1.0


def probe(ctx: StepContext) -> Outcome:
    """Load the target for real, then prove every new index; raises ProbeFailedError."""
    if ctx.plan.to_revision is not None and ctx.plan.kind == "migrate":
        answer = _probe_engine(ctx, ctx.plan.to_revision)
    else:
        answer = {}
    mark_halfway(ctx)
    switches = switches_that_move(switches_of(ctx.plan)) if ctx.plan.re_embed_knowledge else []
    proofs = []
    with going_on_without_deleted(switches):
        for switch in switches:
            proofs.append(_probe_index(ctx, switch.from_index, switch.to_index))
            ctx.progress(0.5 + 0.5 * len(proofs) / len(switches), "Proving that meaning is found.")
    failed = sum(proof["not_embeddable"] for proof in proofs)
    trouble = f" {failed} chunks cannot be embedded." if failed else ""
    sentence = f"The new engine answers; {len(proofs)} indexes proved.{trouble}"
    return Outcome(sentence, {"engine": answer, "indexes": proofs})


def _probe_engine(ctx: StepContext, revision: ModelRevision) -> dict[str, Any]:
    copy = copy_of(revision, required_host(ctx))
    _require_file(copy)
    with _marked_when_it_crashes(copy), ctx.engine(engine_spec(revision, copy.path)) as engine:
        prompt = engine.format_prompt([{"role": "user", "content": "Say one word."}])
        tokens = engine.count_tokens(prompt)
        text = engine.generate(prompt, max_tokens=PROBE_TOKENS, temperature=0.0)
        info = engine.get_engine_info()
    if tokens < 1:
        raise ProbeFailedError(f"{revision} counts no tokens in a prompt; its tokenizer is broken.")
    keys = ("n_ctx", "n_ctx_train", "gpu_layers", "gpu_offload", "load_seconds", "rss_bytes")
    known = {key: info[key] for key in keys if key in info}
    return facts_for_json(prompt_tokens=tokens, characters=len(text), **known)


@contextmanager
def _marked_when_it_crashes(copy: ModelCopy) -> Iterator[None]:
    """A file that cannot be loaded and asked one question is nobody's engine, and not tried again."""
    try:
        yield
    except EngineKilled:
        raise
    except EngineCrashed as error:
        mark_unsafe(copy.path, copy.host.name, str(error))
        raise ProbeFailedError(
            f"{copy.revision} crashed when it was tried and is marked unsafe: {error}"
        ) from error


def _require_file(copy: ModelCopy) -> None:
    refuse_unsafe(copy)
    if not is_present(copy):
        raise ProbeFailedError(f"{copy.revision} is not on this host any more; download it again.")


def _probe_index(ctx: StepContext, old: VectorIndex | None, new: VectorIndex) -> dict[str, Any]:
    counts = _require_counts(ctx, new)
    sample = _sample(new)
    recall = _recall(ctx, new, sample)
    if recall.score_error > SCORE_TOLERANCE:
        raise ProbeFailedError(
            f"Scores of the new index are off by {recall.score_error:.4f}; the vectors in it are "
            "not those of their texts."
        )
    floor = _floor(ctx, old, sample)
    if recall.share < floor:
        raise ProbeFailedError(
            f"The new index finds {recall.found} of {recall.sample} passages, "
            f"at least {floor:.0%} were expected; the new embedder understands this text worse."
        )
    return facts_for_json(
        base=new.base_id,
        in_file=counts.in_file,
        not_embeddable=counts.errors,
        found=recall.share,
        floor=floor,
        sample=recall.sample,
        score_error=recall.score_error,
    )


def _require_counts(ctx: StepContext, index: VectorIndex) -> IndexCounts:
    counts = index_counts(index, ctx.store)
    if counts.in_file != index.file_count:
        raise ProbeFailedError(
            f"The index file holds {counts.in_file} vectors, its row says {index.file_count}."
        )
    return counts


def _floor(ctx: StepContext, old: VectorIndex | None, sample: Sequence[Chunk]) -> float:
    if old is None or old.base_seq is None:
        return MIN_FOUND
    copy = copy_of(old.fingerprint.revision, required_host(ctx))
    if not is_present(copy):
        return MIN_FOUND
    return max(_recall(ctx, old, sample).share - MARGIN, 0.0)


def _sample(index: VectorIndex) -> list[Chunk]:
    """Choose among what the file holds: what was written since is embedded by the switch."""
    live = Chunk.objects.filter(
        base_id=index.base_id, deleted_seq__isnull=True, created_seq__lte=index.base_seq or 0
    )
    ids = list(live.values_list("pk", flat=True))
    chosen = random.Random(index.base_id).sample(ids, min(SAMPLE, len(ids)))  # noqa: S311 - a sample
    return list(live.filter(pk__in=chosen).order_by("pk"))


def _recall(ctx: StepContext, index: VectorIndex, sample: Sequence[Chunk]) -> Recall:
    revision = index.fingerprint.revision
    spec = embedding_spec_of(revision.model, revision)
    found, worst, asked = 0, 0.0, 0
    with ctx.embedder(revision, spec) as embedder:
        for chunk in _embedded(index, sample):
            ctx.checkpoint()
            proof = _prove(ctx, index, chunk, embedder)
            if proof is not None:
                asked += 1
                found += proof[0]
                worst = max(worst, proof[1])
    return Recall(asked, found, worst)


def _embedded(index: VectorIndex, sample: Sequence[Chunk]) -> list[Chunk]:
    """Leave out texts without a vector: what once crashed this embedder would do it again."""
    known = load_vectors(index.fingerprint_id, [bytes(chunk.content_hash) for chunk in sample])
    return [chunk for chunk in sample if bytes(chunk.content_hash) in known]


def _prove(
    ctx: StepContext, index: VectorIndex, chunk: Chunk, embedder: Embedder
) -> tuple[bool, float] | None:
    """Ask with a passage; None when the embedder refuses the text now."""
    own = embedder.embed_documents([chunk.text])
    if own.errors:
        return None
    query = np.asarray(embedder.embed_query(_passage(chunk.text)), dtype=np.float32)
    hits = search_index(index, query, k=5, store=ctx.store)
    mine = [hit for hit in hits if hit.content_hash == bytes(chunk.content_hash)]
    error = abs(mine[0].score - _cosine(query, own.vectors[0])) if mine else 0.0
    first = bool(hits) and hits[0].content_hash == bytes(chunk.content_hash)
    return first, error


def _passage(text: str) -> str:
    words = text.split()
    start = max((len(words) - PASSAGE_WORDS) // 2, 0)
    return " ".join(words[start : start + PASSAGE_WORDS])


def _cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
