"""A state machine over the real claim, heartbeat, finish and sweep, and over what people ask.

Everything runs on PostgreSQL through the functions that workers and doors call; what is played is the world
around them: messages that come late, twice or never, workers that die, freeze and thaw, time that passes,
hosts that go silent. What must hold is said here once more, in other words than the code's: from the journal of effects, which commits with each step, and from what this machine was
given itself. A module-level ``SWEEPS`` is the sweeper, so that a test can take it away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engines.exceptions import ConflictError
from engines.models import Host
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import (
    CancelAskedError,
    Claim,
    LeaseLostError,
    Outcome,
    cancel_step,
    claim_step,
    fail_step,
    finish_step,
    release_step,
    request_cancel,
    retry_step,
    start_plan,
    yield_step,
)
from migrations_app.states import (
    PLAN_FINAL,
    PLAN_MOVES,
    POINT_OF_NO_RETURN,
    STEPS_OF,
    PlanKind,
    PlanStatus,
    StepStatus,
)
from tests.worker.plans import WHO, make_host
from worker import sweeper
from worker.steps.lease import LeaseKeeper, StepLease

KINDS = (PlanKind.RE_EMBED, PlanKind.RESTORE, PlanKind.DOWNLOAD)
MAX_PLANS = 3
ROUNDS = 30
"""Sweeps after which a world without faults must have come to rest."""
NUMBERS = st.integers(min_value=0, max_value=2**16)
LONG_AGO = timedelta(days=1)


@dataclass
class Holder:
    """A worker's thread with a step: what it was given, and whether it still runs."""

    claim: Claim
    lease: StepLease
    is_frozen: bool = False


class PlansUnderFaults(RuleBasedStateMachine):
    """Plans of one person, any number of workers, and all that may go wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.holders: list[Holder] = []
        self.fences: dict[int, int] = {}
        self.statuses: dict[Any, PlanStatus] = {}
        self.workers = 0
        self.messages: list[int] = []
        """What the sweeper sent; all others were lost."""

    @initialize(kind=st.sampled_from(KINDS))
    def begin(self, kind: PlanKind) -> None:
        self.host = make_host()
        self.user = User.objects.create_user("ada")
        self.plan_something(kind)

    @precondition(lambda self: Plan.objects.count() < MAX_PLANS)
    @rule(kind=st.sampled_from(KINDS))
    def plan_something(self, kind: PlanKind) -> None:
        plan = Plan.objects.create(kind=kind, host=self.host, user=self.user)
        for position, name in enumerate(STEPS_OF[kind]):
            host = None if name in ("cut_over", "cut_back") else self.host
            Step.objects.create(plan=plan, position=position, kind=name, host=host)
        self.start(0)

    @rule(number=NUMBERS)
    def start(self, number: int) -> None:
        plan = self._pick(Plan.objects.filter(status=PlanStatus.PENDING), number)
        if plan is not None:
            try:
                with transaction.atomic():
                    start_plan(plan.pk, who=WHO)
            except IntegrityError:
                assert Plan.objects.filter(status=PlanStatus.IN_PROGRESS).exists()

    @rule(number=NUMBERS)
    def deliver_any_message(self, number: int) -> None:
        """Early, late, doubled, of a step that has ended long ago: any step, at any time."""
        step = self._pick(Step.objects.all(), number)
        if step is not None:
            self._wake(step.pk)

    @rule(number=NUMBERS)
    def deliver_what_is_due(self, number: int) -> None:
        step = self._pick(self._ready(), number)
        if step is not None:
            self._wake(step.pk)

    @rule(number=NUMBERS)
    def finish(self, number: int) -> None:
        """A holder comes to its end, whether it still holds the step or not; twice is once."""
        holder = self._holder(number)
        if holder is not None:
            self._finish(holder)
            if number % 3 == 0:
                self._finish(holder)

    @rule(number=NUMBERS, how=st.sampled_from(["gives back", "fails a while", "yields", "fails"]))
    def end_otherwise(self, number: int, how: str) -> None:
        holder = self._holder(number)
        if holder is None:
            return
        ends: dict[str, Callable[[], None]] = {
            "gives back": lambda: release_step(holder.claim, why="Draining."),
            "fails a while": lambda: release_step(
                holder.claim, why="No line.", delay=60.0, failed=True
            ),
            "yields": lambda: yield_step(holder.claim, why="Others wait."),
            "fails": lambda: fail_step(holder.claim, error="It cannot be done."),
        }
        self._end(holder, ends[how])

    @rule()
    def beat(self) -> None:
        """The heartbeat of all that run; who is told to stop stops, and who is to cancel cancels."""
        keeper = LeaseKeeper()
        running = [holder for holder in self.holders if not holder.is_frozen]
        keeper._leases = {holder.claim.owner: holder.lease for holder in running}
        keeper.beat()
        for holder in running:
            try:
                holder.lease.check()
            except LeaseLostError:
                assert not self._still_holds(holder)
                self.holders.remove(holder)
            except CancelAskedError:
                self._end(holder, lambda held=holder: cancel_step(held.claim))  # type: ignore[misc]

    @rule(number=NUMBERS)
    def freeze_or_thaw(self, number: int) -> None:
        if self.holders:
            holder = self.holders[number % len(self.holders)]
            holder.is_frozen = not holder.is_frozen

    @rule(number=NUMBERS)
    def kill(self, number: int) -> None:
        if self.holders:
            self.holders.pop(number % len(self.holders))

    @rule()
    def let_leases_end(self) -> None:
        """Time passes without a beat: leases run out, and whoever was sent a message may be sent another."""
        long_ago = timezone.now() - LONG_AGO
        Step.objects.filter(status=StepStatus.IN_PROGRESS).update(lease_until=long_ago)
        waiting = Step.objects.filter(status=StepStatus.PENDING, ready_at__isnull=False)
        waiting.update(ready_at=long_ago)
        Step.objects.update(published_at=None)

    @rule(number=NUMBERS)
    def overtake(self, number: int) -> None:
        """A holder is silent for longer than its lease and comes back when its step is somebody else's."""
        holder = self._holder(number)
        if holder is not None:
            self.let_leases_end()
            self._wake(holder.claim.step_id)

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        plans = Plan.objects.exclude(status=PlanStatus.CANCELLED)
        held = plans.filter(steps__in=[holder.claim.step_id for holder in self.holders])
        plan = self._pick(held if number % 4 and held.exists() else plans, number)
        if plan is None:
            return
        was_switched = bool(set(self._journal(plan)) & POINT_OF_NO_RETURN)
        try:
            request_cancel(plan.pk, who=WHO)
        except ConflictError:
            assert was_switched or plan.status in PLAN_FINAL
        else:
            assert not was_switched, "too late, and nobody was told"

    @rule(number=NUMBERS)
    def retry(self, number: int) -> None:
        step = self._pick(Step.objects.filter(status=StepStatus.NEEDS_OPERATOR), number)
        if step is not None:
            retry_step(step.plan_id, who=WHO)

    @rule(status=st.sampled_from(["active", "lost", "draining"]))
    def change_host(self, status: str) -> None:
        Host.objects.filter(pk=self.host.pk).update(status=status)

    @rule()
    def sweep(self) -> None:
        sweep_once(self.messages)

    @invariant()
    def nothing_is_doubled_lost_or_out_of_order(self) -> None:
        plans = list(Plan.objects.prefetch_related("steps"))
        for plan in plans:
            journal = plan.affected_lora_adapters
            names = STEPS_OF[PlanKind(plan.kind)]
            assert journal == list(names[: len(journal)]), "each once, in order"
            statuses = Counter(step.status for step in plan.steps.all())
            assert statuses[StepStatus.IN_PROGRESS] <= 1
            if plan.status == PlanStatus.CANCELLED:
                assert not set(journal) & POINT_OF_NO_RETURN, "cancelled means no effect"
            if plan.status == PlanStatus.COMPLETED and not plan.warning:
                assert len(journal) == len(names)
            if plan.status in PLAN_FINAL:
                assert not statuses[StepStatus.IN_PROGRESS] + statuses[StepStatus.PENDING]
            self._follow(plan)
        active = [p for p in plans if p.status == PlanStatus.IN_PROGRESS and p.kind in KINDS[:2]]
        assert len(active) <= 1, "one active plan per person"

    def _follow(self, plan: Plan) -> None:
        """Hold a plan's status against the one it had before: at most two moves of the table lie between."""
        before = self.statuses.get(plan.pk, PlanStatus.PENDING)
        near = {before} | PLAN_MOVES[before]
        assert plan.status in near.union(*(PLAN_MOVES[status] for status in near))
        self.statuses[plan.pk] = plan.status

    def teardown(self) -> None:
        """End all faults: every plan must come to an end, or somebody be asked."""
        try:
            if hasattr(self, "host"):
                self._come_to_rest()
        finally:
            transaction.savepoint_rollback(self.savepoint)

    def _come_to_rest(self) -> None:
        self.change_host("active")
        self.holders.clear()
        for _ in range(ROUNDS):
            if not self._is_under_way():
                break
            self.let_leases_end()
            self.messages.clear()
            self.sweep()
            for step_id in list(self.messages):
                self._wake(step_id)
            for holder in list(self.holders):
                self._finish(holder)
        self.nothing_is_doubled_lost_or_out_of_order()
        assert not self._is_under_way(), "a plan waits for ever"

    def _is_under_way(self) -> bool:
        """Whether a plan runs that does not wait for an operator."""
        asks = Plan.objects.filter(steps__status=StepStatus.NEEDS_OPERATOR).values("pk")
        return Plan.objects.filter(status=PlanStatus.IN_PROGRESS).exclude(pk__in=asks).exists()

    def _wake(self, step_id: int) -> None:
        before = Step.objects.get(pk=step_id)
        self.workers += 1
        claim = claim_step(step_id, f"t:{self.workers}:x/1")
        if claim is None:
            return
        alive = before.lease_until is not None and before.lease_until > timezone.now()
        assert before.status == "pending" or not alive, "taken from somebody who holds it"
        assert claim.fence > self.fences.get(step_id, 0), "a fence that was given before"
        self.fences[step_id] = claim.fence
        lease = StepLease(claim.owner, claim, taken_at=float("inf"))
        self.holders.append(Holder(claim, lease))

    def _finish(self, holder: Holder) -> None:
        step = Step.objects.select_related("plan").get(pk=holder.claim.step_id)

        def leave_mark() -> None:
            plan = Plan.objects.get(pk=step.plan_id)
            plan.affected_lora_adapters = [*plan.affected_lora_adapters, step.kind]
            plan.save(update_fields=["affected_lora_adapters"])

        outcome = Outcome("Done.", effects=leave_mark)
        before = self._journal(step.plan)
        self._end(holder, lambda: finish_step(holder.claim, outcome))
        if self._journal(step.plan) != before:
            assert holder.claim.fence == self.fences[step.pk], "who was overtaken changed something"
            assert step.plan.cancel_requested_at is None, "it was to be cancelled"

    def _end(self, holder: Holder, end: Callable[[], object]) -> None:
        """End an attempt as the runner does: whoever lost the step leaves it alone."""
        if holder in self.holders:
            self.holders.remove(holder)
        claim = holder.claim
        rows = Step.objects.filter(pk=claim.step_id).values_list("status", "fence", "owner")
        before = rows.get()
        try:
            end()
        except LeaseLostError:
            pass
        except CancelAskedError:
            cancel_step(claim)
        was_overtaken = claim.fence != self.fences[claim.step_id]
        assert not was_overtaken or rows.get() == before, "who was overtaken changed something"

    def _still_holds(self, holder: Holder) -> bool:
        step = Step.objects.get(pk=holder.claim.step_id)
        return (step.status, step.fence) == ("in_progress", holder.claim.fence)

    def _holder(self, number: int) -> Holder | None:
        """Pick one that runs; mostly one that must change nothing any more, because those are few."""
        running = [holder for holder in self.holders if not holder.is_frozen]
        asked = Step.objects.filter(plan__cancel_requested_at__isnull=False)
        to_cancel = set(asked.values_list("pk", flat=True))
        telling = [
            one
            for one in running
            if one.claim.step_id in to_cancel or one.claim.fence != self.fences[one.claim.step_id]
        ]
        among = telling if number % 4 and telling else running
        return among[number % len(among)] if among else None

    def _ready(self) -> Any:
        expired = Q(status=StepStatus.IN_PROGRESS, lease_until__lt=timezone.now())
        return Step.objects.filter(Q(status=StepStatus.PENDING, ready_at__isnull=False) | expired)

    def _journal(self, plan: Plan) -> list[str]:
        kept: list[str] = Plan.objects.values_list("affected_lora_adapters", flat=True).get(
            pk=plan.pk
        )
        return kept

    def _pick(self, rows: Any, number: int) -> Any:
        keys = list(rows.order_by("pk").values_list("pk", flat=True).distinct())
        return rows.model.objects.get(pk=keys[number % len(keys)]) if keys else None


def sweep_once(messages: list[int]) -> None:
    """What the sweeper does about plans, with its messages kept instead of sent."""

    def keep(step: Step) -> bool:
        messages.append(step.pk)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeper, "publish_step", keep)
        sweeper._cancel_asked()
        sweeper._send_due_steps()
