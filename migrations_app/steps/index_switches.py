"""The vector spaces a plan moves bases between: targets, switches and the tail that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import Chunk, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.embeddings import RangeCounts
from engines.services.knowledge.fingerprints import fingerprint_for, spec_of
from engines.services.knowledge.indexes import build_file, index_for, missing_chunks
from engines.services.knowledge.keep_up import embed_missing
from migrations_app.models import IndexSwitch, Plan
from migrations_app.plans.transitions import CancelAskedError, LeaseLostError
from migrations_app.states import PlanKind
from migrations_app.steps.base import StepContext, TryAgainError, bases_of


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
    known = set(plan.index_switches.values_list("base_id", flat=True))
    for base in bases_of(plan):
        if base.pk not in known:
            _prepare_switch(plan, base.pk)
    return switches_of(plan)


def _prepare_switch(plan: Plan, base_id: int) -> None:
    """Write one base's switch under the base's lock, so that nobody deletes it under the rows."""
    with transaction.atomic():
        bases = KnowledgeBase.objects.select_for_update(no_key=True, of=("self",))
        base = bases.filter(pk=base_id).first()
        target = _target_index(plan, base) if base is not None else None
        if base is not None and target is not None:
            IndexSwitch.objects.get_or_create(
                plan=plan,
                base=base,
                defaults={"from_index_id": base.live_index_id, "to_index": target},
            )


@contextmanager
def going_on_without_deleted(switches: Sequence[IndexSwitch]) -> Iterator[None]:
    """Ask for the step to be run again when a base of these was deleted while it worked on it."""
    try:
        yield
    except (LeaseLostError, CancelAskedError):
        raise
    except (NotFoundError, ConflictError, ObjectDoesNotExist, IntegrityError) as error:
        there = IndexSwitch.objects.filter(pk__in=[switch.pk for switch in switches])
        if there.count() == len(switches):
            raise
        raise TryAgainError("A base was deleted meanwhile; going on without it.") from error


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


def switches_that_move(switches: Sequence[IndexSwitch]) -> list[IndexSwitch]:
    """Leave out the bases whose space stays the same."""
    return [switch for switch in switches if switch.from_index_id != switch.to_index_id]


def build_missing_files(ctx: StepContext, indexes: Sequence[VectorIndex]) -> None:
    """Give every index that has none its first file, of all that is embedded by then."""
    for index in indexes:
        if index.base_seq is None:
            drain_tails(ctx, [index])
            build_file(index, ctx.store, ctx.scratch_dir, checkpoint=ctx.checkpoint)
            index.refresh_from_db()


def drain_tails(
    ctx: StepContext,
    indexes: Sequence[VectorIndex],
    kept: Callable[[RangeCounts], None] | None = None,
) -> None:
    """Embed every index's tail; ``kept`` counts it. The embedder is loaded only when a text is missing."""
    for index in indexes:
        if not missing_chunks(index, after_seq=index.base_seq or 0, limit=1):
            continue
        fingerprint = index.fingerprint
        with ctx.embedder(fingerprint.revision, spec_of(fingerprint)) as embedder:
            embed_missing(
                index,
                embedder,
                lambda _done: ctx.checkpoint(),
                after_seq=index.base_seq or 0,
                kept=kept,
            )


def ask_writers_to_embed(switches: Sequence[IndexSwitch]) -> None:
    """Make writers of the moving bases bring the new vectors along, until the switch is done."""
    with transaction.atomic():
        for switch in switches_that_move(switches):
            KnowledgeBase.objects.filter(pk=switch.base_id).update(
                embed_on_write_for=switch.to_index
            )


def live_chunk_count(bases: Sequence[KnowledgeBase]) -> int:
    """Count the chunks a plan is about."""
    return Chunk.objects.filter(base__in=bases, deleted_seq__isnull=True).count()
