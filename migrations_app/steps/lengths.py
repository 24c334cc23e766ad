"""Which steps take long, told from their rows before they begin: a host keeps a thread for all others.

A step counts as long by what it would read, bring or embed at most. Who is wrong about one by some seconds
does no harm: long ones wait for each other, short ones only for short ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.db.models import QuerySet

from engines.models import (
    Chunk,
    Host,
    KnowledgeBase,
    Message,
    ModelCopy,
    ModelRevision,
    VectorIndex,
)
from engines.services.catalog.copies import is_present
from engines.services.knowledge.fingerprints import find_fingerprint
from engines.services.knowledge.indexes import missing_chunks
from engines.services.people.adapters import list_adapters
from engines.specs import ModelSource
from migrations_app.models import Step
from migrations_app.plans.embed_ranges import RANGE_CHUNKS
from migrations_app.plans.plan_revisions import list_needed_revisions
from migrations_app.states import PlanKind
from migrations_app.steps.base import bases_of
from migrations_app.steps.cut_anew import index_to_cut
from migrations_app.steps.index_switches import switches_of

MIB = 1024 * 1024
LONG_TEXTS = RANGE_CHUNKS
"""More to embed is more than one turn of embedding."""
LONG_DOWNLOAD = 64 * MIB
LONG_READING = 1024 * MIB
"""Bytes that are hashed."""
LONG_ARCHIVE = 32 * MIB
LONG_ROWS = 50_000
"""Rows of a person that are sealed and read back."""


def is_long(step: Step) -> bool:
    """Whether a step is going to take more than some seconds."""
    judge = _JUDGES.get(step.kind)
    return judge is not None and judge(step)


def _has_many(rows: QuerySet[Chunk] | QuerySet[Message], most: int) -> bool:
    """Whether there are more rows than so many; no more of them are looked at."""
    return rows.order_by().values("pk")[: most + 1].count() > most


def _has_many_texts(bases: Iterable[KnowledgeBase], most: int) -> bool:
    ids = [base.pk for base in bases]
    return _has_many(Chunk.objects.filter(base__in=ids, deleted_seq=None), most)


def _embeds_much(step: Step) -> bool:
    plan = step.plan
    if not plan.re_embed_knowledge:
        return False
    moving = KnowledgeBase.objects.filter(pk__in=[base.pk for base in bases_of(plan)])
    if plan.kind != PlanKind.RE_EMBED:
        # Where the space stays, nothing is embedded.
        target = find_fingerprint(plan.embedder_revision)
        stay = VectorIndex.objects.filter(fingerprint=target)
        moving = moving.exclude(live_index__in=stay)
    return _has_many_texts(moving, LONG_TEXTS)


def _indexes_much(step: Step) -> bool:
    return step.plan.user_id is not None and _has_many_texts(bases_of(step.plan), LONG_TEXTS)


def _catches_up_with_much(step: Step) -> bool:
    original = step.plan.rolls_back
    if original is None:
        return False
    switches = original.index_switches.exclude(from_index=None).select_related("from_index")
    indexes = [switch.from_index for switch in switches if switch.from_index is not None]
    return any(
        len(missing_chunks(index, after_seq=index.base_seq or 0, limit=LONG_TEXTS + 1)) > LONG_TEXTS
        for index in indexes
    )


def _cuts_much_anew(step: Step) -> bool:
    plan = step.plan
    is_cut = plan.kind == PlanKind.RE_EMBED and index_to_cut(plan, switches_of(plan)) is not None
    return is_cut and _has_many_texts(bases_of(plan), LONG_TEXTS)


def _fetches_much(step: Step) -> bool:
    return _brings_much(step.host, list_needed_revisions(step.plan))


def _downloads_much(step: Step) -> bool:
    revision = step.plan.to_revision
    return _brings_much(step.host, [revision] if revision is not None else [])


def _brings_much(host: Host | None, revisions: Sequence[ModelRevision]) -> bool:
    if host is None:
        return False
    copies = ModelCopy.objects.filter(host=host).select_related("revision__model")
    here = {copy.revision for copy in copies.filter(revision__in=revisions) if is_present(copy)}
    absent = [revision for revision in revisions if revision not in here]
    coming = sum(one.file_size for one in absent if one.source == ModelSource.FILE)
    read = sum(one.file_size for one in absent if one.source == ModelSource.FOLDER)
    return coming > LONG_DOWNLOAD or read > LONG_READING


def _reads_much(step: Step) -> bool:
    revision = step.plan.to_revision
    return revision is not None and revision.file_size > LONG_READING


def _backs_up_much(step: Step) -> bool:
    plan = step.plan
    if plan.user_id is None or (plan.kind == PlanKind.RESTORE and not plan.replaces):
        return False
    adapters = list_adapters(plan.user_id) if plan.backup_lora_adapters else []
    said = Message.objects.filter(conversation__user_id=plan.user_id)
    return (
        sum(adapter.file_size for adapter in adapters) > LONG_ARCHIVE
        or _has_many_texts(bases_of(plan), LONG_ROWS)
        or _has_many(said, LONG_ROWS)
    )


def _restores_much(step: Step) -> bool:
    backup = step.plan.restores
    return backup is not None and backup.file_size > LONG_ARCHIVE


_JUDGES: dict[str, Callable[[Step], bool]] = {
    "fetch_engine": _fetches_much,
    "download": _downloads_much,
    "verify": _reads_much,
    "back_up": _backs_up_much,
    "re_embed": _embeds_much,
    # Its questions are asked of every passage, and answered by both embedders.
    "probe": _embeds_much,
    "cut_over": _cuts_much_anew,
    "catch_up": _catches_up_with_much,
    "read_archive": _restores_much,
    "put_back": _restores_much,
    "index_anew": _indexes_much,
}
"""Of each kind of step that may take long."""
