"""Every kind of plan under every kind of fault, in this process: the real runner and transitions, played steps.

A step is played by a handler that leaves one mark with its effects. The runner's own fault points are where
things happen; a process that is killed there leaves exactly the rows that a SIGKILL leaves.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from engines.exceptions import ConflictError, DiskFullError, SamError
from engines.models import Host
from migrations_app import wakeups
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import Outcome, request_cancel, start_plan
from migrations_app.states import (
    HOUSEKEEPING,
    POINT_OF_NO_RETURN,
    STEPS_OF,
    PlanKind,
    PlanStatus,
    StepStatus,
    task_name,
)
from migrations_app.steps import HANDLERS
from migrations_app.steps import base as step_base
from migrations_app.steps.base import StepContext, mark_halfway
from tests.faults.harness import POINTS
from tests.plans.states.machine import sweep_once
from tests.worker.plans import WHO, make_plan
from worker.process.database import in_transaction
from worker.steps import lease as lease_module
from worker.steps import runner
from worker.steps.runner import run_step

MAX_ROUNDS = 20
HOUR = timedelta(hours=1)


class KilledError(BaseException):
    """The process is gone: nothing after this line runs, no handler of errors either."""


@dataclass
class Scene:
    """One plan, what is to happen to it and where, and what it did."""

    patch: pytest.MonkeyPatch
    plan: Plan
    place: str
    act: Callable[[Scene], None]
    acted: bool = False
    is_undone: Callable[[], None] | None = None
    """What ends a fault that lasts."""
    refused: list[SamError] = field(default_factory=list)

    @property
    def step(self) -> Step:
        return Step.objects.get(plan=self.plan, kind=self.place.split(":")[0].split(".")[1])

    def reach(self, name: str) -> None:
        """Called where the runner and its steps have fault points."""
        if name == self.place and not self.acted:
            self.acted = True
            self.act(self)

    def marks(self) -> list[str]:
        kept: list[str] = Plan.objects.get(pk=self.plan.pk).affected_lora_adapters
        return kept

    def run_to_its_end(self) -> None:
        """As the world does: what is due is sent and run, leases run out; the fault passes after a while."""
        for _ in range(MAX_ROUNDS):
            messages: list[int] = []
            let_time_pass(self.plan)
            sweep_once(messages)
            for step_id in messages:
                deliver(step_id)
            if self.is_undone is not None and self.acted:
                self.is_undone()
                self.is_undone = None
            self.plan.refresh_from_db()
            if self.plan.status != PlanStatus.IN_PROGRESS:
                return
        raise AssertionError(f"the plan waits for ever at {self.plan.current_step}")


def deliver(step_id: int) -> None:
    """Run a step as a worker does that got its message; what it raises ends in that worker's log."""
    try:
        run_step(step_id)
    except (KilledError, SamError, OperationalError):
        return


def let_time_pass(plan: Plan) -> None:
    """Let leases of the plan run out and delays pass."""
    long_ago = timezone.now() - timedelta(days=1)
    steps = Step.objects.filter(plan=plan)
    steps.filter(status=StepStatus.IN_PROGRESS).update(lease_until=long_ago)
    steps.filter(status=StepStatus.PENDING, ready_at__isnull=False).update(ready_at=long_ago)
    steps.update(published_at=None)


def kill(_scene: Scene) -> None:
    raise KilledError


def freeze(scene: Scene) -> None:
    """Another worker takes the step over and does it; then this one thaws and goes on."""
    let_time_pass(scene.plan)
    deliver(scene.step.pk)


def drain(scene: Scene) -> None:
    scene.patch.setattr(lease_module, "is_draining", lambda: True)
    scene.is_undone = lambda: scene.patch.setattr(lease_module, "is_draining", lambda: False)
    # One that ends has no time left for what comes after the step.
    if scene.place.endswith(":after"):
        raise KilledError


def lose_host(scene: Scene) -> None:
    hosts = Host.objects.filter(pk__in=scene.plan.steps.values("host"))
    hosts.update(status="lost")
    scene.is_undone = lambda: hosts.update(status="active")  # type: ignore[assignment]
    raise KilledError


def lose_messages(scene: Scene) -> None:
    """Redis is emptied: whatever was sent is gone, and so is whoever was to read it."""
    scene.patch.setattr(current_app, "send_task", lambda *_, **__: None)
    raise KilledError


def refuse_messages(scene: Scene) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BrokerError("OOM command not allowed when used memory > 'maxmemory'.")

    scene.patch.setattr(current_app, "send_task", refuse)
    wakeups.publish_step(scene.step)
    raise KilledError


def restart_database(_scene: Scene) -> None:
    raise OperationalError("terminating connection due to administrator command")


def lose_answer(scene: Scene) -> None:
    """What is committed next is done once more, because its COMMIT's answer was lost."""
    real = in_transaction

    def twice(call: Callable[[], Any]) -> Any:
        scene.patch.setattr(runner, "in_transaction", real)
        real(call)
        return real(call)

    scene.patch.setattr(runner, "in_transaction", twice)


def deliver_twice(scene: Scene) -> None:
    deliver(scene.step.pk)
    deliver(scene.step.pk)


def deliver_stale(scene: Scene) -> None:
    """Messages of all its other steps come, done or not yet ready."""
    for step in scene.plan.steps.exclude(pk=scene.step.pk):
        deliver(step.pk)


def fill_disk(_scene: Scene) -> None:
    raise DiskFullError("The disk is full: 7 bytes are still to come.")


def make_read_only(_scene: Scene) -> None:
    raise OSError(errno.EROFS, "Read-only file system", "/models/x")


def double_everything(scene: Scene) -> None:
    for _ in range(2):
        sweep_once([])
        start_plan(scene.plan.pk, who=WHO)
        deliver(scene.step.pk)


def cancel(scene: Scene) -> None:
    try:
        request_cancel(scene.plan.pk, who=WHO)
    except ConflictError as error:
        scene.refused.append(error)


def shift_clock(by: timedelta) -> Callable[[Scene], None]:
    """This machine's clock is wrong from here on: leases are by the database's."""

    def act(scene: Scene) -> None:
        real = timezone.now

        def wrong() -> datetime:
            return real() + by

        scene.patch.setattr(timezone, "now", wrong)
        deliver(scene.step.pk)
        scene.patch.setattr(timezone, "now", real)

    return act


FAULTS: dict[str, Callable[[Scene], None]] = {
    "killed": kill,
    "frozen and overtaken": freeze,
    "drained": drain,
    "host lost": lose_host,
    "Redis flushed": lose_messages,
    "Redis full or gone": refuse_messages,
    "PostgreSQL restarted": restart_database,
    "COMMIT's answer lost": lose_answer,
    "message lost": kill,
    "message doubled": deliver_twice,
    "message stale": deliver_stale,
    "disk full": fill_disk,
    "read-only disk": make_read_only,
    "two of everything": double_everything,
    "cancelled": cancel,
    "clock an hour ahead": shift_clock(HOUR),
    "clock an hour behind": shift_clock(-HOUR),
}
INSIDE = {"disk full", "read-only disk"}
"""What a step itself meets: at its half, whatever the boundary."""
ORDINARY = 4
"""Of so many cases one is run with every change."""


@dataclass(frozen=True, slots=True)
class ProtocolCase:
    """A fault at a boundary of one step of a kind of plan."""

    kind: PlanKind
    fault: str
    step: str
    point: str
    is_ordinary: bool

    def __str__(self) -> str:
        return f"{self.kind}-{self.fault}-{self.step}-{self.point}"


def protocol_cases() -> list[ProtocolCase]:
    """Every kind with every fault; steps and boundaries rotate, so that each of them meets each fault."""
    return [
        ProtocolCase(
            kind,
            fault,
            STEPS_OF[kind][(row + column) % len(STEPS_OF[kind])],
            _point(fault, row + 2 * column),
            is_ordinary=(row + column) % ORDINARY == 0,
        )
        for row, kind in enumerate(PlanKind)
        for column, fault in enumerate(FAULTS)
    ]


def _point(fault: str, number: int) -> str:
    if fault in INSIDE:
        return "half"
    return "queued" if fault == "message lost" else POINTS[number % len(POINTS)]


def play(case: ProtocolCase, patch: pytest.MonkeyPatch) -> Scene:
    """Run a plan of the kind with the fault, to its end."""
    patch.setattr(current_app, "send_task", lambda *_, **__: None)
    # All of a test is one transaction here, which would be dropped with its connection.
    patch.setattr(runner, "close_old_connections", lambda: None)
    plan = make_plan(case.kind)
    place = f"{task_name(case.kind, case.step)}:{case.point}"
    scene = Scene(patch, plan, place, FAULTS[case.fault])
    for module in (runner, step_base):
        patch.setattr(module, "faultpoint", scene.reach)
    for kind in STEPS_OF[case.kind]:
        patch.setitem(HANDLERS, kind, leave_mark)
    scene.run_to_its_end()
    assert scene.acted, f"{place} was not reached"
    return scene


def leave_mark(ctx: StepContext) -> Outcome:
    """Stand for any step: a checkpoint, its half, another, and one effect."""
    ctx.checkpoint()
    mark_halfway(ctx)
    ctx.checkpoint()

    def effect() -> None:
        plan = Plan.objects.get(pk=ctx.plan.pk)
        plan.affected_lora_adapters = [*plan.affected_lora_adapters, ctx.step.kind]
        plan.save(update_fields=["affected_lora_adapters"])

    return Outcome("Done.", effects=effect)


def expected_end(case: ProtocolCase, scene: Scene) -> tuple[PlanStatus, list[str]]:
    """Return how the plan must have ended, and which steps' effects there must be, each once."""
    steps = list(STEPS_OF[case.kind])
    here = steps.index(case.step)
    if case.fault == "cancelled":
        if scene.refused:
            done = steps[: here + (case.point == "after")]
            assert set(done) & POINT_OF_NO_RETURN or done == steps, "it was not too late"
            return PlanStatus.COMPLETED, steps
        return PlanStatus.CANCELLED, steps[: here + (case.point == "after")]
    if case.fault in INSIDE and not scene.plan.steps.filter(
        kind=case.step, status=StepStatus.COMPLETED
    ):
        ends = case.step in HOUSEKEEPING
        return (PlanStatus.COMPLETED if ends else PlanStatus.FAILED), steps[:here]
    return PlanStatus.COMPLETED, steps
