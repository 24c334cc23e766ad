"""Every schedule of a small world: what the workers, the sweeper and people do, in each order that is possible.

The moves are those of ``machine``, so they are the real claim, heartbeat, finish and sweep on PostgreSQL. What makes
this many schedules affordable is that each situation is played on from once only. A situation is all that the protocol
reads, with its times as "past" and "to come" and its counters made small: it is read from the rows after a move and
written into them before the next, so two schedules that led to the same rows go on as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from django.utils import timezone

from engines.exceptions import SamError
from engines.models import Host
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import (
    Claim,
    claims,
    fail_step,
    release_step,
    request_pause,
    resume_plan,
    yield_step,
)
from migrations_app.states import PLAN_FINAL, PlanKind, PlanStatus, StepStatus
from tests.plans.states.machine import Holder, PlansUnderFaults
from tests.worker.plans import WHO
from worker.steps.lease import StepLease

WORKERS = 2
"""Who may believe at once that a step is theirs."""
MOST_CLAIMS = 3
"""Of one step: the last of them neither dies nor gives back, so that all schedules are of some length."""
FEW_ATTEMPTS = 2
"""Claims, and errors, after which an operator is asked: so that a small world comes to that."""
FAR = timedelta(days=1)
FINISH, FINISH_UNHEARD, DIE = "finish", "finish, and not hear of it", "die"
GIVING_BACK = ("give back", "fail a while", "let others")

PLAN_READ = ("status", "cancel_requested_at", "affected_lora_adapters", "warning")
STEP_READ = ("status", "ready_at", "fence", "owner", "lease_until", "attempts", "failures")
"""What the protocol reads of a plan and of a step; a test says of every other column why it is left out."""


class StepFacts(NamedTuple):
    """What the protocol reads of a step, in the order of ``STEP_READ``."""

    status: str
    ready: str
    fence: int
    owner: str
    lease: str
    attempts: int
    failures: int


class Situation(NamedTuple):
    """All that decides what can happen next."""

    plan: tuple[PlanStatus, str, tuple[str, ...], bool]
    steps: tuple[StepFacts, ...]
    holders: tuple[tuple[int, int], ...]
    """Of each worker that goes on: the position of its step, and its fence."""

    @property
    def status(self) -> PlanStatus:
        return self.plan[0]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing has to happen any more before a person does something."""
        waits = any(step.status == StepStatus.NEEDS_OPERATOR for step in self.steps)
        return waits or self.status in PLAN_FINAL or self.status == PlanStatus.PAUSED

    @property
    def held(self) -> tuple[int, int] | None:
        """Return the worker that works on what it holds, if there is one."""
        running = [
            (position, step.fence)
            for position, step in enumerate(self.steps)
            if step.status == StepStatus.IN_PROGRESS
        ]
        return next((one for one in running if one in self.holders), None)

    @property
    def is_last_claim(self) -> bool:
        return self.held is not None and self.held[1] >= MOST_CLAIMS

    def without(self, at: int) -> Situation:
        """Return the same rows with one worker fewer."""
        return self._replace(holders=self.holders[:at] + self.holders[at + 1 :])

    def plus(self, holder: tuple[int, int]) -> Situation:
        """Return the same rows with a worker that believes it holds a step."""
        return self._replace(holders=tuple(sorted({*self.holders, holder})))


class Move(NamedTuple):
    """What happens, and to which step, or by which worker."""

    name: str
    at: int = 0
    is_fair: bool = False
    """Whether it happens by itself, sooner or later."""

    def __str__(self) -> str:
        return f"{self.name} {self.at}"


@dataclass(slots=True)
class Explored:
    """What was played."""

    root: Situation
    after: dict[Situation, dict[Move, Situation]] = field(default_factory=dict)
    """Of every situation that was played on from: where each move leads."""

    @property
    def moves(self) -> int:
        return sum(map(len, self.after.values()))

    def count_schedules(self, length: int) -> int:
        """Count orders of so many moves, or fewer at whose end nothing can change; each move changes something."""
        ways, ended = Counter({self.root: 1}), 0
        for _ in range(length):
            further: Counter[Situation] = Counter()
            for here, count in ways.items():
                led = [there for there in self.after[here].values() if there != here]
                ended += count * (not led)
                for there in led:
                    further[there] += count
            ways = further
        return ended + ways.total()

    def find_endless(self) -> list[Situation]:
        """Return situations from which what happens by itself leads to no rest, nor to what was not played on."""
        before: dict[Situation, list[Situation]] = {}
        for here, moves in self.after.items():
            for move, there in moves.items():
                if move.is_fair and here != there:
                    before.setdefault(there, []).append(here)
        everything = {there for moves in self.after.values() for there in moves.values()}
        good = {one for one in everything | {self.root} if one.is_at_rest or one not in self.after}
        edge = list(good)
        while edge:
            for one in before.get(edge.pop(), []):
                if one not in good:
                    good.add(one)
                    edge.append(one)
        return [one for one in self.after if one not in good]


class Schedules:
    """One plan, two workers, and everything that may happen to them, in every order."""

    def __init__(self, kind: PlanKind, *, done: int = 0) -> None:
        self._world = PlansUnderFaults()
        self._world.begin(kind=kind)
        Host.objects.update(last_seen=timezone.now() + FAR)
        self._plan = Plan.objects.get()
        self._keys = list(self._plan.steps.order_by("position").values_list("pk", flat=True))
        for key in self._keys[:done]:
            self._world._wake(key)
            self._world._finish(self._world.holders[0])
        self._first = max(done - 1, 0)
        """The position of the first step that is looked at: one that has ended, if there is one."""
        self._kind = kind
        self._judged: set[tuple[str, Situation]] = set()
        self._root = self._read()

    def explore(self, depth: int) -> Explored:
        """Play every schedule of ``depth`` moves.

        Raises AssertionError with the moves that led there, the shortest first.
        """
        root = self._root
        explored, came = Explored(root), {root: ""}
        layer = [root]
        with _small_counts():
            for _ in range(depth):
                following: list[Situation] = []
                for here in layer:
                    explored.after[here] = self._play_all(here, came[here])
                    for move, there in explored.after[here].items():
                        if there not in came:
                            came[there] = f"{came[here]}; {move}"
                            following.append(there)
                layer = following
        for endless in explored.find_endless():
            raise AssertionError(f"a plan waits for ever, after{came[endless]}")
        return explored

    def replay(self, explored: Explored, length: int, random: Random) -> None:
        """Play one schedule from its beginning to its end, as it would happen, with nothing written in between.

        Raises AssertionError where it leads elsewhere than ``explored`` says: then two situations were taken for one.
        """
        start = transaction.savepoint()
        here = explored.root
        self._write(here)
        self._take_up(here)
        came = ""
        with _small_counts():
            for _ in range(length):
                move = random.choice(list(explored.after[here]))
                came, here = f"{came}; {move}", explored.after[here][move]
                self._world.holders.sort(key=lambda one: (one.claim.step_id, one.claim.fence))
                self._play(move)
                assert self._read() == here, f"it is not as it was, after{came}"
        transaction.savepoint_rollback(start)

    def _play_all(self, here: Situation, came: str) -> dict[Move, Situation]:
        self._write(here)
        found = {}
        for move in self._possible(here):
            if move.name == DIE:
                found[move] = here.without(move.at)
                continue
            self._take_up(here)
            start = transaction.savepoint()
            try:
                self._play(move)
                there = found[move] = self._read()
                if (here.status, there) not in self._judged:
                    self._judged.add((here.status, there))
                    self._world.nothing_is_doubled_lost_or_out_of_order()
            except (AssertionError, SamError) as error:
                raise AssertionError(f"{error}, after{came}; {move}") from error
            finally:
                transaction.savepoint_rollback(start)
            if move.name == FINISH:
                # The same commit, of which its worker does not hear: it goes on as if it held the step.
                found[Move(FINISH_UNHEARD, move.at)] = there.plus(here.holders[move.at])
        return found

    def _possible(self, here: Situation) -> Iterator[Move]:
        """Say what can happen here; nothing takes a step from its last claim."""
        yield Move("sweep", is_fair=True)
        if not here.is_last_claim:
            yield Move("let time pass", is_fair=here.held is None)
        for position in range(self._first, len(self._keys)):
            yield Move("deliver", position)
        for at, holder in enumerate(here.holders):
            yield Move("beat", at, is_fair=True)
            yield Move(FINISH, at, is_fair=True)
            yield Move("fail", at)
            if not (here.is_last_claim and holder == here.held):
                yield from (Move(name, at) for name in (DIE, *GIVING_BACK))
        yield from map(Move, self._asked(here))

    def _asked(self, here: Situation) -> Iterator[str]:
        """Say what a person may ask for."""
        yield "cancel"
        if here.status == PlanStatus.IN_PROGRESS and here.is_at_rest:
            yield "retry"
        if self._kind == PlanKind.DOWNLOAD and not here.is_last_claim:
            yield "resume" if here.status == PlanStatus.PAUSED else "pause"

    def _play(self, move: Move) -> None:
        world, plan = self._world, self._plan
        plays: dict[str, Callable[[], object]] = {
            "sweep": self._sweep,
            "let time pass": world.let_leases_end,
            "deliver": lambda: self._deliver(self._keys[move.at]),
            "cancel": lambda: world.cancel(0),
            "retry": lambda: world.retry(0),
            "pause": partial(_ask, request_pause, plan),
            "resume": partial(_ask, resume_plan, plan),
        }
        if move.name in plays:
            plays[move.name]()
            return
        holder = world.holders[move.at]
        ends: dict[str, Callable[[], object]] = {
            "fail": lambda: fail_step(holder.claim, error="It cannot be done."),
            "give back": lambda: release_step(holder.claim, why="Draining."),
            "fail a while": lambda: release_step(
                holder.claim, why="No line.", delay=3600.0, failed=True
            ),
            "let others": lambda: yield_step(holder.claim, why="Others wait."),
        }
        if move.name in ends:
            world._end(holder, ends[move.name])
        elif move.name == DIE:
            world.holders.remove(holder)
        elif move.name in (FINISH, FINISH_UNHEARD):
            world._finish(holder)
            world.holders += [holder] * (move.name == FINISH_UNHEARD)
        else:
            for other in world.holders:
                other.is_frozen = other is not holder
            world.beat()

    def _sweep(self) -> None:
        """The sweeper looks, and what it sends arrives."""
        self._world.messages.clear()
        self._world.sweep()
        for key in list(self._world.messages):
            self._deliver(key)

    def _deliver(self, key: int) -> None:
        """A message that finds no free worker waits; here it is lost, as any other."""
        if len(self._world.holders) < WORKERS:
            self._world._wake(key)

    def _take_up(self, here: Situation) -> None:
        """Give the world its own side of a situation: the workers, and what it remembers."""
        world = self._world
        world.fences = {
            key: step.fence for key, step in zip(self._keys, here.steps, strict=True) if step.fence
        }
        world.statuses = {self._plan.pk: here.status}
        world.holders = [
            _hold(Claim(self._keys[position], fence, f"t:{position}{fence}:x/1"))
            for position, fence in here.holders
        ]

    def _read(self) -> Situation:
        columns = [*STEP_READ, *(f"plan__{name}" for name in PLAN_READ)]
        rows = list(Step.objects.order_by("position").values_list(*columns))
        status, cancel, journal, warning = rows[0][len(STEP_READ) :]
        now = timezone.now()
        held = {
            (self._keys.index(one.claim.step_id), one.claim.fence) for one in self._world.holders
        }
        return Situation(
            (PlanStatus(status), _when(cancel, now), tuple(journal), bool(warning)),
            tuple(
                StepFacts(
                    step, _when(ready, now), fence, owner and "x", _when(lease, now), tries, errors
                )
                for step, ready, fence, owner, lease, tries, errors, *_ in rows
            ),
            tuple(sorted(held)),
        )

    def _write(self, here: Situation) -> None:
        now = timezone.now()
        times = {"": None, "past": now - FAR, "to come": now + FAR}
        status, cancel, journal, warning = here.plan
        Plan.objects.update(
            status=status,
            cancel_requested_at=times[cancel],
            affected_lora_adapters=list(journal),
            warning="Left out." if warning else "",
        )
        rows = list(zip(self._keys, here.steps, strict=True))[self._first :]
        # At no time may two of them be running.
        for key, step in sorted(rows, key=lambda row: row[1].status == StepStatus.IN_PROGRESS):
            values: dict[str, Any] = dict(zip(STEP_READ, step, strict=True))
            values |= {"ready_at": times[step.ready], "lease_until": times[step.lease]}
            Step.objects.filter(pk=key).update(**values)


@contextmanager
def _small_counts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "MAX_ATTEMPTS", FEW_ATTEMPTS)
        patch.setattr(claims, "MAX_FAILURES", FEW_ATTEMPTS)
        yield


def _when(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    return "past" if moment <= now else "to come"


def _hold(claim: Claim) -> Holder:
    return Holder(claim, StepLease(claim.owner, claim, taken_at=float("inf")))


def _ask(ask: Callable[..., Plan], plan: Plan) -> None:
    """Ask for what may be refused: then nothing has changed, which the situation says."""
    try:
        ask(plan.pk, who=WHO)
    except SamError:
        return
