"""How well a plan's new embedder would find, measured on a few hundred passages before anything is spent.

A host that has the embedder's file embeds a sample of passages and questions, for some seconds; nothing of it is
kept but numbers, with the plan. Both embedders search in the same sample, so the shares are higher than
those of the whole base, for both. It is a look ahead: what decides is the probe, before the switch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import TypedDict

from django.db import transaction
from django.utils import timezone

from engines.exceptions import SamError
from engines.models import CopyStatus, Fingerprint, Host
from engines.services.hosts import present_hosts
from engines.services.knowledge.embeddings import Embedder
from engines.services.knowledge.fingerprints import embedding_spec_of, spec_of
from engines.services.people.search_history import searches_of
from engines.specs import ModelSource
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


class Sample(TypedDict):
    """What is known of a plan's sample; kept with the plan."""

    status: str
    embedder: int | None
    """The revision that it is about: another choice needs another sample."""
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
    if known and known["embedder"] == plan.embedder_revision_id and not _is_lost(known):
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
    began = time.monotonic()
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
    sample["seconds"] = round(time.monotonic() - began, 1)
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
