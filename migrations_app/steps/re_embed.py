"""Computing the new vectors beside the live ones, while the old engine serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event

from engines.models import ModelRevision, VectorIndex
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.turns import FEW_TEXTS
from engines.services.catalog.speeds import embedding_speed, note_embedding_speed
from engines.services.knowledge.embeddings import (
    MANY,
    BatchSizes,
    DocumentEmbedder,
    RangeCounts,
    batches_at,
    describe_trouble,
    embed_range,
)
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.indexes import build_file, describe_recall
from migrations_app.models import EmbedRange, Step
from migrations_app.plans.embed_ranges import (
    RangeClaim,
    claim_range,
    count_kept,
    count_texts,
    create_ranges,
    finish_range,
    ranges_open,
    release_range,
)
from migrations_app.plans.time_left import Amount
from migrations_app.plans.transitions import Outcome
from migrations_app.steps.base import StepContext, mark_halfway, required_host
from migrations_app.steps.cut_anew import index_to_cut, prepare_cuts
from migrations_app.steps.fetch import bring_missing
from migrations_app.steps.index_switches import (
    drain_tails,
    going_on_without_deleted,
    prepare_switches,
    switches_that_move,
)
from migrations_app.steps.lengths import is_long
from migrations_app.wakeups import publish_ranges

Checkpoint = Callable[[int], None]
FEW = BatchSizes(FEW_TEXTS, FEW_TEXTS)
"""Between the packs of those who embed very many, a few texts at a time."""
EMBEDDING_SHARE = 0.9
"""How much of the step's time is embedding; the rest is building files."""


def re_embed(ctx: StepContext) -> Outcome:
    """Embed all that is missing, with every host that can, and build the index files."""
    if not ctx.plan.re_embed_knowledge:
        return Outcome("Not asked for: the index and its old embedder stay together.")
    switches = prepare_switches(ctx.plan)
    indexes = [switch.to_index for switch in switches_that_move(switches)]
    kept = index_to_cut(ctx.plan, switches)
    if kept is not None:
        return _embed_new_cut(ctx, kept)
    if not indexes:
        return Outcome("Nothing to do: the embedder stays the same.", {"bases": len(switches)})
    bring_missing(ctx)
    with going_on_without_deleted(switches):
        create_ranges(ctx.step, indexes)
        publish_ranges(ctx.step.pk, required_host(ctx))
        _Embedding(ctx).run()
        _build_files(ctx, indexes)
    return _outcome(ctx, indexes)


def _embed_new_cut(ctx: StepContext, index: VectorIndex) -> Outcome:
    bring_missing(ctx)
    cuts = prepare_cuts(
        ctx,
        index,
        lambda done, total: ctx.progress(
            done / total,
            f"Cutting document {done + 1} of {total}.",
            Amount(done, total, "texts"),
        ),
    )
    mark_halfway(ctx)
    passages = sum(len(cut.passages) for cut in cuts)
    return Outcome(
        f"{len(cuts)} documents cut anew into {passages} passages; the old ones serve until the switch.",
        {"documents": len(cuts), "passages": passages},
    )


def catch_up(ctx: StepContext) -> Outcome:
    """Bring the old indexes up to date with what was written since, before going back."""
    switches = prepare_switches(ctx.plan)
    indexes = [switch.to_index for switch in switches_that_move(switches)]
    mark_halfway(ctx)
    with going_on_without_deleted(switches):
        drain_tails(ctx, indexes, partial(_count_kept, ctx.step.pk))
        _build_files(ctx, [index for index in indexes if index.base_seq is None])
    counts = _counted(Step.objects.get(pk=ctx.step.pk))
    trouble = describe_trouble(counts["failed"], counts["cut"])
    return Outcome(
        f"The old index knows all that was written since: {counts['embedded']} texts embedded{trouble}.",
        counts,
    )


def _count_kept(step_id: int, counts: RangeCounts) -> None:
    """Add what became of some texts to what earlier attempts at the step came to."""
    step = Step.objects.select_for_update(no_key=True).get(pk=step_id)
    step.result = {name: value + getattr(counts, name) for name, value in _counted(step).items()}
    step.save(update_fields=["result"])


def _counted(step: Step) -> dict[str, int]:
    return {name: step.result.get(name, 0) for name in ("embedded", "failed", "cut")}


class _Embedding:
    """One run of the step over its ranges: where it is, and what it has told people."""

    def __init__(self, ctx: StepContext) -> None:
        self.ctx = ctx
        self.sizes = count_texts(ctx.step.pk)
        self.total = max(sum(self.sizes.values()), 1)
        self.half_marked = False
        self.embedded = False
        """Whether this run has embedded a range."""

    def run(self) -> None:
        """Embed ranges until none is open, whoever completes them."""
        host = required_host(self.ctx)
        while open_ranges := ranges_open(self.ctx.step.pk):
            done = self.total - sum(self.sizes.get(pk, 0) for pk in open_ranges)
            # Never before a range is done: who gives way must not come to nothing.
            if self.embedded:
                self.ctx.give_way()
            claim = claim_range(self.ctx.step.pk, self.ctx.claim.owner, host)
            if claim is None:
                self.tell(done, "Waiting for ranges that other hosts embed.")
                Event().wait(0.5)
            else:
                place = f"range {len(self.sizes) - len(open_ranges) + 1} of {len(self.sizes)}"
                self._embed(claim, done, place)
        self._mark_halfway()

    def _embed(self, claim: RangeClaim, done_before: int, place: str) -> None:
        size = self.sizes.get(claim.range.pk, 0)

        def checkpoint(done: int) -> None:
            self.tell(done_before + min(done, size), f"Embedding {place}: {done} texts.")

        embed_claimed(self.ctx, claim, checkpoint)
        self.embedded = True

    def tell(self, done: int, detail: str) -> None:
        fraction = done / self.total
        if fraction >= 1 / 2:
            self._mark_halfway()
        self.ctx.progress(EMBEDDING_SHARE * fraction, detail, Amount(done, self.total, "texts"))

    def _mark_halfway(self) -> None:
        if not self.half_marked:
            self.half_marked = True
            mark_halfway(self.ctx)


def embed_claimed(ctx: StepContext, claim: RangeClaim, checkpoint: Checkpoint) -> None:
    """Embed one claimed range and complete it, or give it back; also what a helping host does."""
    try:
        _embed_range(ctx, claim, checkpoint)
    except BaseException:
        release_range(claim)
        raise


class _GivingWay:
    """Embeds a range, and gives way between two batches: what is embedded of them is stored.

    Never before the first, so that an attempt comes to something, nor while a batch is embedded in parts.
    """

    def __init__(self, ctx: StepContext, embedder: DocumentEmbedder, tell: Checkpoint) -> None:
        self._ctx = ctx
        self._embedder = embedder
        self._tell = tell
        self._begun_at: int | None = None
        self._is_between = False

    def checkpoint(self, done: int) -> None:
        self._tell(done)
        self._begun_at = done if self._begun_at is None else self._begun_at
        self._is_between = done > self._begun_at

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        if self._is_between:
            self._is_between = False
            self._ctx.give_way(midway=True)
        return self._embedder.embed_documents(texts)


def _embed_range(ctx: StepContext, claim: RangeClaim, checkpoint: Checkpoint) -> None:
    row = claim.range
    revision = row.fingerprint.revision
    with ctx.embedder(revision, spec_of(row.fingerprint)) as embedder:
        started = time.monotonic()
        giving_way = _GivingWay(ctx, embedder, checkpoint)
        counts = embed_range(
            row.base_id,
            row.fingerprint_id,
            row.first_id,
            row.last_id,
            giving_way,
            checkpoint=giving_way.checkpoint,
            kept=partial(count_kept, claim),
            sizes=_batch_sizes(ctx, revision),
        )
        seconds = time.monotonic() - started
    if ctx.host is not None:
        note_embedding_speed(
            revision,
            ctx.host,
            texts=counts.embedded,
            characters=counts.characters,
            seconds=seconds,
        )
    finish_range(claim)


def _batch_sizes(ctx: StepContext, revision: ModelRevision) -> BatchSizes:
    if not is_long(ctx.step):
        return FEW
    # A range is too short to find the size anew in each.
    speed = embedding_speed(revision, ctx.host) if ctx.host is not None else None
    return batches_at(speed.texts_per_second) if speed is not None else MANY


def _build_files(ctx: StepContext, indexes: Sequence[VectorIndex]) -> None:
    for number, index in enumerate(indexes):
        fraction = EMBEDDING_SHARE + (1 - EMBEDDING_SHARE) * number / len(indexes)
        ctx.progress(fraction, f"Building index {number + 1} of {len(indexes)}.")
        build_file(index, ctx.store, ctx.scratch_dir, checkpoint=ctx.checkpoint)


def _outcome(ctx: StepContext, indexes: Sequence[VectorIndex]) -> Outcome:
    rows = EmbedRange.objects.filter(step=ctx.step)
    embedded = sum(row.embedded for row in rows)
    failed = sum(row.failed for row in rows)
    cut = sum(row.cut for row in rows)
    recall = describe_recall(indexes, ctx.store)
    return Outcome(
        f"Embedded {embedded} texts{describe_trouble(failed, cut)}; {len(indexes)} index files "
        f"built{recall}.",
        {"embedded": embedded, "failed": failed, "cut": cut, "bases": len(indexes)},
    )
