"""Leases of this process: one thread renews all of them, one statement for steps and one for ranges.

Two clocks: rows carry the database's, and each lease remembers by this process's own when it was last
renewed. A holder that could not renew for a whole lease (database away, process frozen) stops by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from migrations_app.plans.transitions import CancelAskedError, Claim, LeaseLostError
from migrations_app.steps.base import DrainingError
from worker.process.database import bounded_transaction
from worker.process.periodic import PeriodicThread
from worker.process.shutdown import is_draining

BEATS_PER_LEASE = 4

# A step whose row is locked is being finished by its holder: skipped, so that one slow transaction
# does not let all other leases of this process run out.
_RENEW_STEPS = """
WITH held AS (
    SELECT step.id FROM migrations_app_step AS step
    JOIN unnest(%s::bigint[], %s::integer[]) AS claim (id, fence)
      ON step.id = claim.id AND step.fence = claim.fence
    WHERE step.status = 'in_progress'
    ORDER BY step.id FOR NO KEY UPDATE OF step SKIP LOCKED
)
UPDATE migrations_app_step AS step
SET lease_until = clock_timestamp() + make_interval(secs => %s)
FROM held, migrations_app_plan AS plan
WHERE step.id = held.id AND plan.id = step.plan_id
RETURNING step.id, plan.cancel_requested_at IS NOT NULL
"""
_STILL_HELD = """
SELECT step.id FROM migrations_app_step AS step
JOIN unnest(%s::bigint[], %s::integer[]) AS claim (id, fence)
  ON step.id = claim.id AND step.fence = claim.fence
WHERE step.status = 'in_progress'
"""
_RENEW_RANGES = """
UPDATE migrations_app_embedrange
SET lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE status = 'in_progress' AND owner = ANY(%s)
"""


class StepLease:
    """What a piece of work asks before it goes on."""

    def __init__(self, owner: str, claim: Claim | None, taken_at: float) -> None:
        self.owner = owner
        self.claim = claim
        self._renewed_at = taken_at
        self._lost = False
        self._cancelled = False

    def renewed(self, at: float, *, cancelled: bool) -> None:
        """Note a renewal that was asked for at that monotonic time."""
        self._renewed_at = at
        self._cancelled = self._cancelled or cancelled

    def lose(self) -> None:
        """Note that somebody else holds it."""
        self._lost = True

    def check(self) -> None:
        """Raise LeaseLostError, CancelAskedError or DrainingError when the work must stop."""
        if self._lost:
            raise LeaseLostError("Another worker holds this step now.")
        if time.monotonic() - self._renewed_at > settings.SAM_LEASE_SECONDS:
            raise LeaseLostError("The lease could not be renewed in time; stopped untouched.")
        if self._cancelled:
            raise CancelAskedError("The plan is to be cancelled.")
        if is_draining():
            raise DrainingError("The worker is ending; the step goes to the next one.")


class LeaseKeeper:
    """All leases of a process and the thread that renews them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[str, StepLease] = {}
        self._thread: PeriodicThread | None = None

    @contextmanager
    def hold_step(self, claim: Claim, *, taken_at: float) -> Iterator[StepLease]:
        """Keep a claimed step, and the ranges of its owner, for the length of the block.

        ``taken_at`` is ``time.monotonic()`` from before the claim.
        """
        with self._hold(StepLease(claim.owner, claim, taken_at)) as lease:
            yield lease

    @contextmanager
    def hold_ranges(self, owner: str) -> Iterator[StepLease]:
        """Keep the ranges that ``owner`` claims inside the block."""
        with self._hold(StepLease(owner, None, time.monotonic())) as lease:
            yield lease

    @contextmanager
    def _hold(self, lease: StepLease) -> Iterator[StepLease]:
        with self._lock:
            self._leases[lease.owner] = lease
        self._ensure_thread()
        try:
            yield lease
        finally:
            with self._lock:
                del self._leases[lease.owner]

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                seconds = settings.SAM_LEASE_SECONDS / BEATS_PER_LEASE
                self._thread = PeriodicThread("heartbeat", seconds, self.beat)
        self._thread.ensure_started()

    def beat(self) -> None:
        """Renew everything held now; whoever lost a step is told."""
        asked_at = time.monotonic()
        with self._lock:
            leases = list(self._leases.values())
        if not leases:
            return
        with bounded_transaction():
            self._limit_statements()
            self._renew_steps(leases, asked_at)
            self._renew_ranges(leases, asked_at)

    def _limit_statements(self) -> None:
        """A beat that hangs must not outlive the lease it renews."""
        milliseconds = int(settings.SAM_LEASE_SECONDS * 1000 / BEATS_PER_LEASE)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])

    def _renew_steps(self, leases: list[StepLease], asked_at: float) -> None:
        held = {lease.claim.step_id: lease for lease in leases if lease.claim is not None}
        fences = [lease.claim.fence for lease in held.values() if lease.claim is not None]
        if not held:
            return
        with connection.cursor() as cursor:
            cursor.execute(_RENEW_STEPS, [list(held), fences, settings.SAM_LEASE_SECONDS])
            renewed = dict(cursor.fetchall())
        for step_id, cancelled in renewed.items():
            held[step_id].renewed(asked_at, cancelled=cancelled)
        if len(renewed) < len(held):
            self._tell_losers(held, fences)

    def _tell_losers(self, held: dict[int, StepLease], fences: list[int]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_STILL_HELD, [list(held), fences])
            still_held = {row[0] for row in cursor.fetchall()}
        for step_id in held.keys() - still_held:
            held[step_id].lose()

    def _renew_ranges(self, leases: list[StepLease], asked_at: float) -> None:
        owners = [lease.owner for lease in leases]
        with connection.cursor() as cursor:
            cursor.execute(_RENEW_RANGES, [settings.SAM_LEASE_SECONDS, owners])
        for lease in leases:
            if lease.claim is None:
                lease.renewed(asked_at, cancelled=False)


keeper = LeaseKeeper()
"""The one of this process."""
