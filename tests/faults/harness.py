"""Kill one thing at one exact point of one step, and let the world go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connections

from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import CONTROL_STEPS, PlanKind, PlanStatus, task_name
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.servers import EmbeddedServer
from tests.world.people import NEW, Person
from tests.world.workers import Workers, kill, wait_until

STEPS = ("fetch_engine", "back_up", "re_embed", "probe", "cut_over", "settle")
POINTS = ("queued", "claimed", "half", "before_commit", "after")
VICTIMS = ("host_worker", "control_worker", "engine_child", "everything", "redis", "postgres")


@dataclass(frozen=True, slots=True)
class Case:
    """Whom to kill, and where in a plan of which kind."""

    step: str
    point: str
    victim: str
    kind: PlanKind = PlanKind.MIGRATE

    def __str__(self) -> str:
        return f"{self.step}-{self.point}-{self.victim}"


def matrix() -> list[Case]:
    """Every step with every victim; the points rotate so that each meets each step and victim."""
    return [
        Case(step, POINTS[(row + column) % len(POINTS)], victim)
        for row, step in enumerate(STEPS)
        for column, victim in enumerate(VICTIMS)
    ]


def quick_selection() -> list[Case]:
    """Every other step, each with a victim and at a point of its own."""
    return _diagonal()[::2]


def proof_selection() -> list[Case]:
    """The rest of the diagonal: with the quick ones each victim is killed once."""
    return _diagonal()[1::2]


def slow_selection() -> list[Case]:
    """Everything else; with the quick ones every step meets every victim."""
    return [
        case for case in dict.fromkeys([*_diagonal(), *matrix()]) if case not in quick_selection()
    ]


def _diagonal() -> list[Case]:
    """One case a step, with every victim and every point among them."""
    return [Case(s, POINTS[n % len(POINTS)], VICTIMS[n]) for n, s in enumerate(STEPS)]


def migrate(person: Person) -> Plan:
    """Plan and start the person's migration, as a caller would."""
    controller = MigrationController()
    plan_id = controller.create_migration_plan("current", NEW, person.user.pk)
    controller.execute_migration(plan_id)
    return Plan.objects.get(pk=plan_id)


def run_with_fault(
    case: Case, start: Callable[[], Plan], workers: Workers, services: EmbeddedServices
) -> Plan:
    """Run the plan, kill the victim while the step is held at the point, and go on."""
    held = workers.faults / f"{task_name(case.kind, case.step)}:{case.point}"
    _clear(workers.faults)
    held.with_name(f"{held.name}.arm").touch()
    plan = start()
    hit = held.with_name(f"{held.name}.hit")
    wait_until(hit.exists, f"{case} to be reached")
    strike(case, workers, services)
    held.with_name(f"{held.name}.go").touch()
    return finished(plan)


def finished(plan: Plan) -> Plan:
    """Wait for the plan's end and return it."""

    def ended() -> bool:
        plan.refresh_from_db()
        return plan.status not in (PlanStatus.PENDING, PlanStatus.IN_PROGRESS)

    wait_until(ended, f"plan {plan.pk} to end", seconds=240)
    return plan


def strike(case: Case, workers: Workers, services: EmbeddedServices) -> None:
    """Kill the victim; servers come back at once, workers are restarted by their supervisor."""
    pids = workers.worker_pids()
    strikes: dict[str, Callable[[], None]] = {
        "host_worker": lambda: kill([pids["work"]]),
        "control_worker": lambda: kill([pids["control"]]),
        "engine_child": lambda: _kill_engines(workers),
        "everything": lambda: kill([*pids.values(), *workers.engine_pids()]),
        "redis": lambda: _lose_redis(_server(services, "redis")),
        "postgres": lambda: _restart_postgres(_server(services, "postgresql")),
    }
    strikes[case.victim]()


def _kill_engines(workers: Workers) -> None:
    pids = workers.engine_pids()
    assert pids, "no engine runs, so nothing would be killed"
    kill(pids)


def _server(services: EmbeddedServices, name: str) -> EmbeddedServer:
    return next(server for server in services.servers if server.name == name)


def _lose_redis(redis: EmbeddedServer) -> None:
    kill([redis.pid])
    wait_until(lambda: not redis.running(), "Redis to be dead")
    for file in Path(settings.SAM_LOCATIONS.redis_data).iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    redis.start()


def _restart_postgres(postgres: EmbeddedServer) -> None:
    kill([postgres.pid])
    wait_until(lambda: not postgres.running(), "PostgreSQL to be dead")
    postgres.start()
    connections.close_all()


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def kills_of(case: Case) -> int:
    """How many embedding batches a case may cost: each kill may lose one."""
    return 2 if case.victim == "everything" or case.step in CONTROL_STEPS else 1
