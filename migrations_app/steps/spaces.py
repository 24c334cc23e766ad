"""The vector spaces a plan moves bases between: targets, switches and the tail that is missing."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from engines.exceptions import InvalidRequestError
from engines.models import Chunk, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.embeddings import Embedder, embed_range
from engines.services.fingerprints import embedding_spec_of, fingerprint_for
from engines.services.indexes import build_file, index_for, missing_chunks
from migrations_app.models import IndexSwitch, Plan
from migrations_app.states import PlanKind
from migrations_app.steps.base import StepContext, bases_of

TAIL_BATCH = 1000


def target_fingerprint(plan: Plan) -> Fingerprint:
    """Return the space of the plan's target; its embedder must have been fetched before."""
    revision = plan.embedder_revision
    if revision is None:
        raise InvalidRequestError("The plan pins no embedder; make a new one.")
    return fingerprint_for(revision.model, revision)


def switches_of(plan: Plan) -> list[IndexSwitch]:
    """Return the plan's switches in the order in which bases are locked."""
    related = ("base", "from_index__fingerprint__revision", "to_index__fingerprint__revision")
    return list(plan.index_switches.select_related(*related).order_by("base_id"))


def prepare_switches(plan: Plan) -> list[IndexSwitch]:
    """Give every base its target index, also those created since; existing ones are left."""
    for base in bases_of(plan):
        if plan.index_switches.filter(base=base).exists():
            continue
        target = _target_index(plan, base)
        if target is not None:
            IndexSwitch.objects.get_or_create(
                plan=plan,
                base=base,
                defaults={"from_index_id": base.live_index_id, "to_index": target},
            )
    return switches_of(plan)


def _target_index(plan: Plan, base: KnowledgeBase) -> VectorIndex | None:
    if plan.kind != PlanKind.ROLLBACK:
        return index_for(base, target_fingerprint(plan))
    moved = plan.rolls_back.index_switches.all() if plan.rolls_back else IndexSwitch.objects.none()
    own = moved.filter(base=base).first()
    if own is not None:
        return own.from_index or base.live_index
    sibling = moved.exclude(from_index=None).select_related("from_index__fingerprint").first()
    if sibling is None or sibling.from_index is None:
        return base.live_index
    return index_for(base, sibling.from_index.fingerprint)


def moving(switches: Sequence[IndexSwitch]) -> list[IndexSwitch]:
    """Leave out the bases whose space stays the same."""
    return [switch for switch in switches if switch.from_index_id != switch.to_index_id]


def build_missing_files(ctx: StepContext, indexes: Sequence[VectorIndex]) -> None:
    """Give every index that has none its first file, of all that is embedded by then."""
    for index in indexes:
        if index.base_seq is None:
            drain_tails(ctx, [index])
            build_file(index, ctx.store, ctx.scratch_dir, checkpoint=ctx.checkpoint)
            index.refresh_from_db()


def drain_tails(ctx: StepContext, indexes: Sequence[VectorIndex]) -> int:
    """Embed every index's tail; the embedder is loaded only when something is missing."""
    total = 0
    for index in indexes:
        if not missing_chunks(index, after_seq=index.base_seq or 0, limit=1):
            continue
        revision = index.fingerprint.revision
        spec = embedding_spec_of(revision.model, revision)
        with ctx.embedder(revision, spec) as embedder:
            total += _embed_missing(ctx, index, embedder)
    return total


def _embed_missing(ctx: StepContext, index: VectorIndex, embedder: Embedder) -> int:
    done = 0
    while chunks := missing_chunks(index, after_seq=index.base_seq or 0, limit=TAIL_BATCH):
        ids = [chunk.pk for chunk in chunks]
        embed_range(
            index.base_id,
            index.fingerprint_id,
            min(ids),
            max(ids),
            embedder,
            checkpoint=lambda _done: ctx.checkpoint(),
        )
        done += len(chunks)
    return done


def ask_writers_to_embed(switches: Sequence[IndexSwitch]) -> None:
    """Make writers of the moving bases bring the new vectors along, until the switch is done."""
    with transaction.atomic():
        for switch in moving(switches):
            KnowledgeBase.objects.filter(pk=switch.base_id).update(
                embed_on_write_for=switch.to_index
            )


def live_chunk_count(bases: Sequence[KnowledgeBase]) -> int:
    """Count the chunks a plan is about."""
    return Chunk.objects.filter(base__in=bases, deleted_seq__isnull=True).count()
