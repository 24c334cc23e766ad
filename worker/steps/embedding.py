"""Embedding that no step of this host owns: ranges of others' steps, and indexes that lag behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import close_old_connections

from engines.db.keys import require_row_id
from engines.models import Host, VectorIndex
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.indexes import missing_chunks
from engines.services.knowledge.keep_up import keep_up
from migrations_app.models import Step
from migrations_app.plans.embed_ranges import claim_range
from migrations_app.plans.transitions import CancelAskedError, Claim, LeaseLostError
from migrations_app.states import StepStatus
from migrations_app.steps.base import DrainingError, YieldedError
from migrations_app.steps.lengths import LONG_TEXTS
from migrations_app.steps.re_embed import embed_claimed
from migrations_app.wakeups import publish_help, publish_keep_up
from worker.host.resources import artifact_store, lend_embedder, scratch_folder, this_host
from worker.process.database import in_transaction
from worker.process.errors import translate_errors
from worker.process.identity import new_owner
from worker.process.shutdown import is_draining
from worker.steps.context import WorkerContext
from worker.steps.lease import keeper
from worker.steps.places import WAITS, LongWork, long_places

_busy_lock = threading.Lock()
_busy: set[str] = set()


@contextmanager
def _once(what: str) -> Iterator[bool]:
    """Let one thread of this process do a thing at a time; the others need not wait for it."""
    with _busy_lock:
        free = what not in _busy
        _busy.add(what)
    try:
        yield free
    finally:
        if free:
            with _busy_lock:
                _busy.discard(what)


def do_alone(what: str, work: Callable[[], str]) -> str:
    """Do a thing unless this process is at it already; its connections end with it."""
    close_old_connections()
    try:
        with _once(what) as free:
            return translate_errors(work) if free else "Already at it."
    finally:
        close_old_connections()


def do_in_turn(work: LongWork, action: Callable[[], str]) -> str:
    """Do what takes long when there is a place for it; returns a sentence."""
    with long_places.hold(work) as has_place:
        return action() if has_place else WAITS


def help_embedding(step_id: object) -> str:
    """Embed ranges of a step that runs elsewhere, until none is free; returns a sentence."""
    key = require_row_id(step_id)
    return do_alone(f"ranges {key}", lambda: _help(key))


def _help(step_id: int) -> str:
    host = this_host()
    steps = Step.objects.select_related("plan", "host")
    step = steps.filter(pk=step_id, status=StepStatus.IN_PROGRESS).first()
    if step is None or host is None:
        return "Nothing to do: the step does not run."
    work = LongWork("ranges", step.pk, step.plan.user_id, lambda: publish_help(step, host))
    return do_in_turn(work, lambda: _embed_ranges(step, host))


def _embed_ranges(step: Step, host: Host) -> str:
    owner = new_owner()
    done = 0
    with keeper.hold_ranges(owner) as lease:
        ctx = WorkerContext(step, Claim(step.pk, 0, owner), lease, host)
        try:
            while claim := in_transaction(lambda: claim_range(step.pk, owner, host)):
                embed_claimed(ctx, claim, lambda _done: ctx.checkpoint())
                done += 1
                ctx.give_way()
        except YieldedError:
            publish_help(step, host)
        except (CancelAskedError, DrainingError, LeaseLostError) as error:
            return f"Embedded {done} ranges, then stopped: {error}"
    return f"Embedded {done} ranges for {step.host or 'another host'}."


def keep_index_up(index_id: object) -> str:
    """Embed what an index lacks and rebuild its file when that pays; returns a sentence."""
    key = require_row_id(index_id)
    return do_alone(f"index {key}", lambda: _keep_up(key))


def _keep_up(index_id: int) -> str:
    rows = VectorIndex.objects.select_related("base", "fingerprint__revision__model")
    index = rows.filter(pk=index_id).first()
    if index is None:
        return "There is no such index; its base was removed."
    missing = missing_chunks(index, after_seq=index.covered_seq, limit=LONG_TEXTS + 1)
    host = this_host()
    if host is None or len(missing) <= LONG_TEXTS:
        return _catch_up(index, host)
    work = LongWork("index", index_id, index.base.owner_id, lambda: publish_keep_up(index, host))
    return do_in_turn(work, lambda: _catch_up(index, host))


def _catch_up(index: VectorIndex, host: Host | None) -> str:
    fingerprint = index.fingerprint
    with lend_embedder(host, fingerprint.revision, spec_of(fingerprint)) as embedder:
        return keep_up(index.pk, embedder, artifact_store(), scratch_folder(), _checkpoint)


def _checkpoint(_done: int) -> None:
    if is_draining():
        raise DrainingError("The worker is ending; what is missing is found again.")
    close_old_connections()
