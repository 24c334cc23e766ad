"""Random chaos: small plans of many people while things fail; afterwards nothing may be wrong, and it says so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from django.db import OperationalError, connections

from engines.exceptions import IllegalMoveError
from engines.models import Embedding
from engines.services.knowledge.embeddings import BATCH
from migrations_app.invariants.check import check_invariants, own_surroundings
from migrations_app.models import Plan
from migrations_app.plans.transitions import retry_step
from migrations_app.states import PlanStatus, StepStatus
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.roster import THREADS
from tests.chaos.faults import ENDING_BATCHES, Faults
from tests.chaos.world import Crowd, Wishes
from tests.world.workers import Workers

MAX_OPEN = 6
"""Plans under way at once: the host has four threads, so that some always wait."""
MOST_RECOMPUTED = 0.01
END_SECONDS = 900.0
PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is: faults strike for so many seconds, each so many after the last."""

    plans: int = 200
    seconds: float = 600.0
    fault_every: tuple[float, float] = (3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found afterwards."""

    seed: int
    people: int
    statuses: Counter[str]
    faults: Counter[str]
    seconds: float
    still_open: int
    findings: list[str]
    embedded: int
    """Texts that were given to an embedder, each time they were."""
    kept: int
    """Those whose vectors came back and were stored, by whoever was first."""
    needed: int

    @property
    def recomputed(self) -> int:
        """Texts that were embedded although their vector was stored, or about to be."""
        return max(self.kept - self.needed, 0)

    @property
    def cut_short(self) -> int:
        """Texts in batches that a kill ended before they were stored."""
        return max(self.embedded - self.kept, 0)

    @property
    def most_cut_short(self) -> int:
        """What kills may cost: a batch of every thread each."""
        kills = sum(self.faults[name] for name in ENDING_BATCHES)
        return BATCH * THREADS["work"] * kills

    @property
    def is_good(self) -> bool:
        # In a small run one batch is more than its share.
        most = max(MOST_RECOMPUTED * self.needed, BATCH)
        wasted = self.recomputed > most or self.cut_short > self.most_cut_short
        return not self.findings and not self.still_open and not wasted

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{'GOOD' if self.is_good else 'BAD'}: seed {self.seed}, {sum(self.statuses.values())} plans "
            f"of {self.people} people, {sum(self.faults.values())} faults in {self.seconds:.0f} s; {ends}; "
            f"{self.still_open} have not ended, {len(self.findings)} findings of the checker, "
            f"{self.recomputed / max(self.needed, 1):.2%} recomputed ({self.embedded} texts embedded, "
            f"{self.needed} needed, {self.cut_short} cut short by kills)."
        )


class Chaos:
    """One run."""

    def __init__(
        self,
        crowd: Crowd,
        workers: Workers,
        services: EmbeddedServices,
        *,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._crowd = crowd
        self._workers = workers
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._wishes = Wishes(crowd, self._random)
        self._faults = Faults(workers, services, self._random)
        self._say = say
        self._began = time.monotonic()

    def run(self, size: Size) -> Verdict:
        """Let plans and faults come, then no more faults, then wait for every end and look."""
        end = self._began + size.seconds
        next_fault = self._began + self._random.uniform(*size.fault_every)
        while time.monotonic() < end or len(self._wishes.made) < size.plans:
            self._go_on(size)
            now = time.monotonic()
            if next_fault < now < end:
                next_fault = now + self._random.uniform(*size.fault_every)
                self._tell(self._faults.strike())
            elif now >= end:
                self._faults.heal()
            time.sleep(PAUSE)
        self._faults.heal()
        self._wait_for_ends()
        return self._look()

    def _go_on(self, size: Size) -> None:
        try:
            self._faults.pass_time()
            if len(self._wishes.made) < size.plans and self._wishes.open_plans() < MAX_OPEN:
                self._wishes.ask()
        except OperationalError:
            # PostgreSQL was restarted: whoever asks comes again.
            connections.close_all()

    def _tell(self, what: str) -> None:
        made, left = len(self._wishes.made), self._wishes.open_plans()
        seconds = time.monotonic() - self._began
        self._say(f"{seconds:6.1f} s  {what}; {made} plans asked for, {left} under way")

    def _wait_for_ends(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while self._wishes.open_plans() and time.monotonic() < deadline:
            waiting = Plan.objects.filter(
                pk__in=self._wishes.made, steps__status=StepStatus.NEEDS_OPERATOR
            )
            for plan in waiting:
                self._retry(plan)
            time.sleep(1.0)

    def _retry(self, plan: Plan) -> None:
        try:
            retry_step(plan.pk, who="chaos")
        except IllegalMoveError:
            return

    def _look(self) -> Verdict:
        plans = Plan.objects.filter(pk__in=self._wishes.made)
        failed = plans.filter(status=PlanStatus.FAILED)
        for kind, error in failed.values_list("kind", "error_message"):
            self._say(f"failed: {kind}: {error}")
        findings = [
            f"{rule}: {one.where}: {one.problem}"
            for rule, one in check_invariants(own_surroundings())
        ]
        for finding in findings:
            self._say(f"found: {finding}")
        return Verdict(
            seed=self._seed,
            people=len(self._crowd.people),
            statuses=Counter(plans.values_list("status", flat=True)),
            faults=self._faults.struck,
            seconds=time.monotonic() - self._began,
            still_open=self._wishes.open_plans(),
            findings=findings,
            embedded=self._count("texts_embedded"),
            kept=self._count("texts_kept"),
            needed=Embedding.objects.count(),
        )

    def _count(self, name: str) -> int:
        path = self._workers.faults / f"{name}.tally"
        return sum(map(int, path.read_text().split())) if path.exists() else 0
