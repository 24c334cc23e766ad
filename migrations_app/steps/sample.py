"""How well a plan's new embedder would find, measured on a few hundred passages before anything is spent.

A host that has the embedder's file embeds a sample of passages and questions, for some seconds; nothing of it is
kept but numbers, with the plan. Both embedders search in the same sample, so the shares are higher than
those of the whole base, for both. It is a look ahead: what decides is the probe, before the switch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import NotRequired, TypedDict

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from engines.exceptions import InvalidRequestError, SamError
from engines.models import Chunk, CopyStatus, Fingerprint, Host, ModelRevision
from engines.services.hosts import present_hosts
from engines.services.knowledge.embeddings import Embedder
from engines.services.knowledge.fingerprints import embedding_spec_of, spec_of
from engines.services.people.search_history import searches_of
from engines.specs import EmbeddingSpec, ModelSource
from migrations_app.models import Plan
from migrations_app.states import PlanKind, PlanStatus
from migrations_app.steps.base import bases_of
from migrations_app.steps.quality import Quality, merge_qualities
from migrations_app.steps.sample_search import Lend, live_indexes_of, measure_index
from migrations_app.steps.token_losses import (
    TokenLosses,
    count_token_losses,
    say_known_before,
)
from migrations_app.wakeups import publish_sample

OWN_SAMPLE = 16
"""Of the person's own searches that are asked again."""
SECONDS = 20.0
"""So long passages are embedded; a slow host has a smaller sample."""
COUNTING_SECONDS = 10.0
"""So long tokens are counted, of all passages: some thousand a second."""
LOST_AFTER = timedelta(minutes=2)
"""Then a message is sent again, when somebody looks."""
ASKED, DONE, FAILED = "asked", "done", "failed"
CHANGED_SHARE = 20
"""When more than a so-many-th of the passages was written or deleted since, a sample is taken anew."""


class Subject(TypedDict):
    """What a sample is about, as it was when it was taken."""

    spec: str
    """Digest of how the new embedder embeds, which its entry says."""
    indexes: list[int]
    """The live indexes that are asked: of other bases or another embedder in use there are others."""
    written: dict[str, int]
    """Base → number of its last write."""


class Sample(TypedDict):
    """What is known of a plan's sample; kept with the plan."""

    status: str
    embedder: int | None
    """The revision that it is about: another choice needs another sample."""
    subject: NotRequired[Subject]
    """Another one, or one that was changed much, needs another sample, too."""
    at: str
    passages: int
    seconds: float
    quality: Quality | None
    tokens: TokenLosses | None
    """What the new embedder's own tokenizer makes of the passages."""
    why: str
    """Why there is none."""


def sample_for(plan: Plan) -> Sample | None:
    """Return a pending plan's sample, asked for when there is none yet; None where nothing is to be measured."""
    if plan.status != PlanStatus.PENDING or not _changes_embedder(plan):
        return None
    known: Sample | None = plan.quality_sample or None
    if known and _is_about(known, plan) and not _is_lost(known):
        return known
    host = _host_for(plan)
    if host is None:
        return _told(
            plan,
            FAILED,
            why="No host that is up has the embedder's file: it is measured before the switch.",
        )
    asked = _told(plan, ASKED)
    _keep(plan, asked)
    transaction.on_commit(partial(publish_sample, plan.pk, host), robust=True)
    return asked


def take_sample(plan: Plan, lend: Lend) -> Sample:
    """Measure a pending plan's sample and keep it with the plan; errors become the reason why there is none."""
    began, subject = time.monotonic(), _subject_of(plan)
    try:
        tokens = _count_tokens(plan, lend)
        measured = _measure(plan, lend)
    except SamError as error:
        sample = _told(plan, FAILED, why=f"It could not be measured: {error}")
    else:
        quality = merge_qualities([one for one, _ in measured])
        sample = _told(plan, DONE if quality else FAILED)
        sample["quality"], sample["tokens"] = quality, tokens
        sample["passages"] = sum(passages for _, passages in measured)
        sample["why"] = "" if quality else "There are too few passages to ask about."
    # Of before it was measured: what was written meanwhile may be left out.
    sample["subject"], sample["seconds"] = subject, round(time.monotonic() - began, 1)
    _keep(plan, sample)
    return sample


def _changes_embedder(plan: Plan) -> bool:
    if plan.kind not in (PlanKind.MIGRATE, PlanKind.RE_EMBED) or not plan.re_embed_knowledge:
        return False
    revision = plan.embedder_revision
    # Nothing is sent to a server before somebody agreed that it is.
    if revision is None or revision.model.source == ModelSource.SERVER:
        return False
    return bool(live_indexes_of(plan))


def _subject_of(plan: Plan) -> Subject:
    revision = plan.embedder_revision
    spec = "" if revision is None else repr(_spec_of(revision))
    return {
        "spec": hashlib.sha256(spec.encode()).hexdigest(),
        "indexes": sorted(index.pk for index in live_indexes_of(plan)),
        "written": {str(base.pk): base.write_seq for base in bases_of(plan)},
    }


def _spec_of(revision: ModelRevision) -> EmbeddingSpec | None:
    try:
        return embedding_spec_of(revision.model, revision)
    except InvalidRequestError:
        # Nothing is known of its file yet.
        return None


def _is_about(sample: Sample, plan: Plan) -> bool:
    """Whether a sample is of what the plan would move now, but for few passages."""
    # One that an older SAM took says nothing of it.
    then, now = sample.get("subject"), _subject_of(plan)
    if then is None or sample["embedder"] != plan.embedder_revision_id:
        return False
    if (then["spec"], then["indexes"]) != (now["spec"], now["indexes"]):
        return False
    same_bases = then["written"].keys() == now["written"].keys()
    return same_bases and not _has_changed_much(then["written"], now["written"])


def _has_changed_much(then: Mapping[str, int], now: Mapping[str, int]) -> bool:
    if then == now:
        return False
    chunks = Chunk.objects.filter(base__in=list(now))
    since = [
        Q(base=int(base)) & (Q(created_seq__gt=seq) | Q(deleted_seq__gt=seq))
        for base, seq in then.items()
    ]
    changed = chunks.filter(reduce(or_, since)).count()
    return changed > chunks.filter(deleted_seq__isnull=True).count() // CHANGED_SHARE


def _host_for(plan: Plan) -> Host | None:
    holds = present_hosts().filter(
        copies__revision=plan.embedder_revision, copies__status=CopyStatus.DOWNLOADED
    )
    return min(holds, key=lambda host: (host.pk != plan.host_id, host.pk), default=None)


def _is_lost(sample: Sample) -> bool:
    asked = sample["status"] == ASKED
    return asked and datetime.fromisoformat(sample["at"]) < timezone.now() - LOST_AFTER


def _told(plan: Plan, status: str, *, why: str = "") -> Sample:
    return {
        "status": status,
        "embedder": plan.embedder_revision_id,
        "subject": _subject_of(plan),
        "at": timezone.now().isoformat(),
        "passages": 0,
        "seconds": 0.0,
        "quality": None,
        "tokens": None,
        "why": why,
    }


def _keep(plan: Plan, sample: Sample) -> None:
    pending = Plan.objects.filter(pk=plan.pk, status=PlanStatus.PENDING)
    pending.filter(embedder_revision=plan.embedder_revision).update(quality_sample=dict(sample))


def _count_tokens(plan: Plan, lend: Lend) -> TokenLosses | None:
    """Return what the new embedder's tokenizer makes of the plan's passages; None for a server's."""
    revision = plan.embedder_revision
    if revision is None:
        return None
    bases = [base.pk for base in bases_of(plan)]
    losses = _read_tokens(bases, lend(revision, embedding_spec_of(revision.model, revision)))
    if losses is not None and any(one["unknown"] for one in losses["scripts"].values()):
        spaces = list(Fingerprint.objects.filter(indexes__live_for__in=bases).distinct())
        if len(spaces) == 1:
            old = _read_tokens(bases, lend(spaces[0].revision, spec_of(spaces[0])))
            losses["sentences"] += say_known_before(old, losses)
    return losses


def _read_tokens(
    bases: Sequence[int], lent: AbstractContextManager[Embedder]
) -> TokenLosses | None:
    with lent as embedder:
        # Counted from here: loading it may take longer than that.
        until = time.monotonic() + COUNTING_SECONDS
        return count_token_losses(bases, embedder, lambda: None, until=until)


def _measure(plan: Plan, lend: Lend) -> list[tuple[Quality, int]]:
    """Return what the sample of each base came to, and of how many passages."""
    own = list(searches_of(plan.user_id).values_list("question", flat=True)[:OWN_SAMPLE])
    indexes, measured = live_indexes_of(plan), []
    for index in indexes:
        found = measure_index(index, plan, own, lend, SECONDS / len(indexes))
        if found is not None:
            measured.append(found)
    return measured
