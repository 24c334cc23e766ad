"""What the worker gives a step: tools, a way to tell how far it is, and the duty to stop."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from engines.models import Host, ModelRevision
from engines.runtimes.base import BaseModelEngine
from engines.services.knowledge.embeddings import Embedder
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.models import Step
from migrations_app.plans.embed_ranges import waiting_for_range
from migrations_app.plans.time_left import Amount
from migrations_app.plans.transitions import (
    CancelAskedError,
    Claim,
    LeaseLostError,
    is_waited_for,
)
from migrations_app.states import StepStatus
from migrations_app.steps.base import YieldedError
from migrations_app.steps.lengths import is_long
from worker.host.engine_pool import engine_pool
from worker.host.resources import (
    artifact_store,
    lend_embedder,
    live_client,
    master_keys,
    scratch_folder,
)
from worker.steps.lease import StepLease
from worker.steps.places import long_places
from worker.steps.progress import ProgressReporter

LOOK_SECONDS = 1.0
"""How often a checkpoint asks the database; a cancelled step stops about this soon."""
NO_ROOM = "Waiting until the engines in use on this host leave room for another one."


class WorkerContext:
    """The ``StepContext`` of one claim.

    A helper of somebody else's step has a claim with fence 0: it must stop when the step ends,
    whoever holds it.
    """

    def __init__(self, step: Step, claim: Claim, lease: StepLease, host: Host | None) -> None:
        self.step = step
        self.plan = step.plan
        self.claim = claim
        self.host = host
        self.models_dir: Path = settings.SAM_MODELS_DIR
        self.scratch_dir = scratch_folder()
        self.store = artifact_store().stopping_at(self.checkpoint)
        self.keys = master_keys()
        self.live = live_client()
        self._lease = lease
        self._reporter = ProgressReporter(step, claim, step.plan.steps.count())
        self._looked_at = time.monotonic()
        self._asked_at = {midway: float("-inf") for midway in (False, True)}
        self._fraction = 0.0

    def embedder(
        self, revision: ModelRevision, spec: EmbeddingSpec
    ) -> AbstractContextManager[Embedder]:
        """Lend an embedder: this host's, or another's when the file is not here."""
        return lend_embedder(self.host, revision, spec, self._wait_for_room)

    def engine(self, spec: EngineSpec) -> AbstractContextManager[BaseModelEngine]:
        """Lend an engine of this host, loaded."""
        close_old_connections()
        return engine_pool().acquire(spec, self._wait_for_room)

    def progress(self, fraction: float, detail: str, amount: Amount | None = None) -> None:
        """Tell people, then do what ``checkpoint`` does."""
        self._fraction = fraction
        self._reporter.tell(fraction, detail, amount)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Raise LeaseLostError, CancelAskedError or DrainingError when the step must stop."""
        self._lease.check()
        if connection.in_atomic_block:
            # The answer would be as old as the snapshot, and closing would break the transaction.
            return
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look()
        close_old_connections()

    def give_way(self, *, midway: bool = False) -> None:
        """Raise YieldedError when others wait for their turn on this host; looks once a second."""
        now = time.monotonic()
        if now - self._asked_at[midway] < LOOK_SECONDS:
            return
        self._asked_at[midway] = now
        if self._is_waited_for(midway=midway):
            raise YieldedError("Others wait for their turn on this host.")

    def _is_waited_for(self, *, midway: bool) -> bool:
        if not midway and long_places.is_waited_for:
            return True
        try:
            if is_waited_for(self.step, self.host, long_places.known_steps() if midway else ()):
                return True
            return midway and self.host is not None and self._is_range_wanted(self.host)
        except (OperationalError, InterfaceError):
            connection.close()
            return False

    def _is_range_wanted(self, host: Host) -> bool:
        return any(not is_long(other) for other in waiting_for_range(self.step, host))

    def _wait_for_room(self) -> None:
        # A helper tells nothing: the step is another's, who knows how far it is.
        if self.claim.fence:
            self.progress(self._fraction, NO_ROOM)
        else:
            self.checkpoint()

    def _look(self) -> None:
        mine = Step.objects.filter(pk=self.step.pk, status=StepStatus.IN_PROGRESS)
        if self.claim.fence:
            mine = mine.filter(fence=self.claim.fence)
        try:
            row = mine.values_list("plan__cancel_requested_at").first()
        except (OperationalError, InterfaceError):
            # The lease says how long work may go on without the database.
            connection.close()
            return
        if row is None:
            raise LeaseLostError("Somebody else holds this step now, or it has ended.")
        if row[0] is not None:
            raise CancelAskedError("The plan is to be cancelled.")
