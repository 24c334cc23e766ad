"""Runs one step: claim, work, finish; whatever happens, the step's row says what it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import close_old_connections

from engines.db.keys import require_row_id
from engines.exceptions import (
    EngineCrashed,
    FetchedElsewhereError,
    LoadCrashed,
    SamError,
    TransientTransferError,
)
from engines.faults import faultpoint
from migrations_app.models import Step
from migrations_app.plans.transitions import (
    MAX_FAILURES,
    CancelAskedError,
    Claim,
    LeaseLostError,
    Outcome,
    cancel_step,
    claim_step,
    fail_step,
    finish_step,
    note_waiting,
    release_step,
    yield_step,
)
from migrations_app.states import HOUSEKEEPING, STEP_FINAL, task_name
from migrations_app.steps import HANDLERS
from migrations_app.steps.base import DrainingError, TryAgainError, YieldedError
from migrations_app.steps.lengths import is_long
from migrations_app.wakeups import call_step
from worker.host.resources import this_host
from worker.process.database import in_transaction, retry_database
from worker.process.errors import translate_errors
from worker.process.identity import new_owner
from worker.process.shutdown import is_draining
from worker.steps.context import WorkerContext
from worker.steps.lease import StepLease, keeper
from worker.steps.places import STEP, WAITS, LongWork, long_places

MAX_ROUNDS = 50
"""How often a handler may ask to be called again; each has its own way to come to an end sooner."""
CRASHES_FORGIVEN = 2
"""An engine's process may be killed by chance; a model that ends it every time is refused."""
FIRST_DELAY = 1.0
MAX_DELAY = 60.0
MAX_ASKED = 3600.0
"""So long a server's wish to be left alone is heeded."""
OTHERS_DELAY = 10.0
"""Until it is looked again whether another plan's download of the same file has ended."""
STOPPED = "Another worker holds this step now; stopped and left it alone."


class StepFailedError(SamError):
    """The step has ended in failure; its row and its plan say so too."""

    code = "step_failed"


def run_step(step_id: object, owner: str | None = None) -> str:
    """Do a step if it is there to be done, and return a sentence about it.

    May be called any number of times for the same step, in any process. Raises StepFailedError
    when the step failed or needs an operator, InvalidRequestError for what is no key of a step.
    """
    close_old_connections()
    try:
        step = retry_database(lambda: _load(require_row_id(step_id)))
        refusal = _refusal(step)
        if step is None or refusal:
            return refusal
        with _place_for(step) as has_place:
            if not has_place:
                retry_database(lambda: note_waiting(step.pk, WAITS))
                return WAITS
            return _Run(step, owner or new_owner()).run()
    finally:
        close_old_connections()


def _load(step_id: int) -> Step | None:
    return Step.objects.select_related("plan", "host").filter(pk=step_id).first()


def _refusal(step: Step | None) -> str:
    """Say why a step is not for this worker; empty when it is."""
    if step is None:
        return "There is no such step; its plan was removed."
    if step.kind not in HANDLERS:
        return f"This worker does not know the step {step.kind}; left for a newer one."
    if step.host is not None and step.host.name != settings.SAM_HOST_NAME:
        return f"The step belongs to the host {step.host.name}; left alone."
    return "This worker is ending; the step is sent again." if is_draining() else ""


@contextmanager
def _place_for(step: Step) -> Iterator[bool]:
    """Hold a place for a step that takes long; False when it has to wait until it is called."""
    if step.status in STEP_FINAL or not retry_database(lambda: is_long(step)):
        yield True
        return
    person = step.plan.user_id or step.plan.created_by_id
    work = LongWork(STEP, step.pk, person, lambda: retry_database(lambda: call_step(step.pk)))
    with long_places.hold(work) as has_place:
        yield has_place


class _Run:
    """One attempt at one step."""

    def __init__(self, step: Step, owner: str) -> None:
        self._step = step
        self._owner = owner
        self._name = task_name(step.plan.kind, step.kind)

    def run(self) -> str:
        faultpoint(f"{self._name}:queued")
        asked_at = time.monotonic()
        claim = in_transaction(lambda: claim_step(self._step.pk, self._owner))
        if claim is None:
            return "Nothing to do: the step is held, done, cancelled or not ready."
        with keeper.hold_step(claim, taken_at=asked_at) as lease:
            faultpoint(f"{self._name}:claimed")
            try:
                return translate_errors(lambda: self._work(claim, lease)).sentence
            except LeaseLostError:
                return STOPPED
            except SamError as error:
                return self._end(claim, error)

    def _work(self, claim: Claim, lease: StepLease) -> Outcome:
        ctx = retry_database(lambda: _context(claim, lease))
        again: TryAgainError | None = None
        for _ in range(MAX_ROUNDS):
            lease.check()
            try:
                outcome = HANDLERS[ctx.step.kind](ctx)
                return self._finish(claim, outcome)
            except TryAgainError as error:
                again = error
        raise again or TryAgainError("The step asked to be run again too often.")

    def _finish(self, claim: Claim, outcome: Outcome) -> Outcome:
        faultpoint(f"{self._name}:before_commit")
        in_transaction(lambda: finish_step(claim, outcome))
        faultpoint(f"{self._name}:after")
        return outcome

    def _end(self, claim: Claim, error: SamError) -> str:
        """Write down how the attempt ended; a step that somebody else holds is left alone."""
        try:
            end = in_transaction(lambda: _write_end(claim, error))
        except LeaseLostError:
            return STOPPED
        if isinstance(end, StepFailedError):
            raise end
        return end


def _context(claim: Claim, lease: StepLease) -> WorkerContext:
    step = Step.objects.select_related("plan", "host").get(pk=claim.step_id)
    return WorkerContext(step, claim, lease, step.host or this_host())


def _write_end(claim: Claim, error: SamError) -> str | StepFailedError:
    """Return the sentence, or the error to raise once this is committed."""
    if isinstance(error, CancelAskedError):
        cancel_step(claim)
        return "Cancelled on request."
    if isinstance(error, YieldedError):
        yield_step(claim, why=str(error))
        return f"Put back: {error}"
    if isinstance(error, FetchedElsewhereError):
        release_step(claim, why=str(error), delay=OTHERS_DELAY)
        return f"Put back: {error}"
    if isinstance(error, DrainingError):
        release_step(claim, why=str(error))
        return "Put back: the worker is ending."
    failures = Step.objects.values_list("failures", flat=True).get(pk=claim.step_id)
    if _is_worth_another_try(error, failures):
        delay = max(min(FIRST_DELAY * 2**failures, MAX_DELAY), _asked_wait(error))
        release_step(claim, why=str(error), delay=delay, failed=True)
        if failures + 1 >= MAX_FAILURES:
            return StepFailedError(f"Tried {MAX_FAILURES} times; {_what_follows(claim)}: {error}")
        return f"Put back, to be tried again in {delay:.0f} s: {error}"
    fail_step(claim, error=str(error))
    return StepFailedError(str(error))


def _asked_wait(error: SamError) -> float:
    """Return the seconds for which a server wants no further attempt."""
    asked = error.retry_after if isinstance(error, TransientTransferError) else 0.0
    return min(asked, MAX_ASKED)


def _what_follows(claim: Claim) -> str:
    kind = Step.objects.values_list("kind", flat=True).get(pk=claim.step_id)
    if kind in HOUSEKEEPING:
        return "the plan is completed without it"
    return "an operator must look"


def _is_worth_another_try(error: SamError, failures: int) -> bool:
    if isinstance(error, LoadCrashed):
        return False
    if isinstance(error, EngineCrashed):
        return failures < CRASHES_FORGIVEN
    return error.transient
