"""One kill of each kind in every other kind of plan: it completes, and nothing tells it was disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from engines.models import ModelCopy
from engines.services.knowledge.documents import add_document
from migrations_app.backups import start_backup, start_restore
from migrations_app.controller import MigrationController
from migrations_app.library import ModelLibraryManager
from migrations_app.models import Backup, Plan
from migrations_app.plans.backup_plans import RestoreWish
from migrations_app.states import STEPS_OF, PlanKind, PlanStatus
from samproject.supervisor.embedded import EmbeddedServices
from tests.faults.harness import POINTS, VICTIMS, Case, finished, migrate, run_with_fault
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.world.people import NEW, OLD, Person
from tests.world.state import (
    all_vectors,
    content_digest,
    final_state,
    smallest_cosine,
    terminal_events,
)
from tests.world.workers import Workers

pytestmark = pytest.mark.slow

PROOF_BACK = (("host_worker", "claimed"), ("engine_child", "half"), ("postgres", "before_commit"))
"""Whom to kill while a rollback proves the engine that it goes back to, and where."""

KILLS: dict[PlanKind, dict[str, tuple[str, str]]] = {
    PlanKind.ROLLBACK: {
        "host_worker": ("catch_up", "claimed"),
        "control_worker": ("cut_back", "before_commit"),
        "engine_child": ("catch_up", "half"),
        "everything": ("resettle", "queued"),
        "redis": ("catch_up", "after"),
        "postgres": ("cut_back", "half"),
    },
    PlanKind.RE_EMBED: {
        "host_worker": ("fetch_engine", "half"),
        "control_worker": ("cut_over", "claimed"),
        "engine_child": ("re_embed", "half"),
        "everything": ("probe", "before_commit"),
        "redis": ("re_embed", "queued"),
        "postgres": ("cut_over", "after"),
    },
    PlanKind.BACKUP: {
        "host_worker": ("back_up", "half"),
        "control_worker": ("back_up", "claimed"),
        "everything": ("back_up", "before_commit"),
        "redis": ("back_up", "queued"),
        "postgres": ("back_up", "after"),
    },
    PlanKind.RESTORE: {
        "host_worker": ("read_archive", "half"),
        "control_worker": ("index_anew", "claimed"),
        "engine_child": ("index_anew", "half"),
        "everything": ("put_back", "before_commit"),
        "redis": ("back_up", "queued"),
        "postgres": ("put_back", "after"),
    },
    **{
        kind: {
            "host_worker": (step, "half"),
            "control_worker": (step, "claimed"),
            "everything": (step, "before_commit"),
            "redis": (step, "queued"),
            "postgres": (step, "after"),
        }
        for kind in (PlanKind.DOWNLOAD, PlanKind.DELETE, PlanKind.VERIFY)
        for step in STEPS_OF[kind]
    },
}
"""By kind and victim: the step and the point. Plans about files run no engine."""

CASES = [
    *(
        Case(step, point, victim, kind)
        for kind, victims in KILLS.items()
        for victim, (step, point) in victims.items()
    ),
    *(Case("probe_back", point, victim, PlanKind.ROLLBACK) for victim, point in PROOF_BACK),
]

WITH_EVERY_CHANGE: dict[PlanKind, tuple[str, ...]] = {
    PlanKind.ROLLBACK: ("host_worker", "control_worker", "everything", "postgres"),
    PlanKind.RE_EMBED: ("engine_child",),
    PlanKind.BACKUP: ("host_worker",),
    PlanKind.RESTORE: ("engine_child", "postgres"),
    PlanKind.DOWNLOAD: ("host_worker",),
    PlanKind.DELETE: ("control_worker",),
    PlanKind.VERIFY: ("redis",),
}
"""The kills of the proofs: each kind of plan, each victim; the protocol's cases meet every fault beside them."""


def is_proof(case: Case) -> bool:
    return case.victim in WITH_EVERY_CHANGE[case.kind] and case.step != "probe_back"


def with_proofs(case: Case) -> Any:
    marks = [pytest.mark.proof] if is_proof(case) else []
    return pytest.param(case, marks=marks, id=f"{case.kind}-{case}")


@dataclass(frozen=True)
class Left:
    """What an undisturbed run left."""

    state: dict[str, list[str]]
    digest: str
    vectors: Any


@dataclass
class References:
    """By kind; each is computed by the first test of this file that needs it."""

    by_kind: dict[PlanKind, Left] = field(default_factory=dict)


@pytest.fixture(scope="module")
def references() -> References:
    return References()


def _download() -> Plan:
    return ModelLibraryManager().start_download(NEW)


def _newest(start: Callable[[str], bool], model_id: str) -> Plan:
    assert start(model_id)
    return Plan.objects.latest("created_at")


def _re_embed(person: Person) -> Plan:
    controller = MigrationController()
    plan_id = controller.create_re_embed_plan(person.bases[0], NEW, actor=person.user)
    controller.execute_migration(plan_id)
    return Plan.objects.get(pk=plan_id)


def _restore(person: Person) -> Plan:
    wish = RestoreWish(person=person.user, replace=True)
    return start_restore(Backup.objects.get(user=person.user), wish, actor=person.user)


def _roll_back(migration: Plan) -> Plan:
    return Plan.objects.get(pk=MigrationController().roll_back_migration(migration.pk))


def prepared(kind: PlanKind, person: Person) -> Callable[[], Plan]:
    """Bring the world to where a plan of this kind makes sense; what starts it."""
    library = ModelLibraryManager()
    if kind == PlanKind.ROLLBACK:
        migration = finished(migrate(person))
        add_document(
            person.bases[0].pk, title="Since", text="Written since.", media_type="text/plain"
        )
        return partial(_roll_back, migration)
    if kind == PlanKind.RE_EMBED:
        return partial(_re_embed, person)
    if kind == PlanKind.BACKUP:
        return partial(start_backup, person.user, actor=person.user)
    if kind == PlanKind.RESTORE:
        saved = finished(start_backup(person.user, actor=person.user))
        assert saved.status == PlanStatus.COMPLETED, saved.error_message
        return partial(_restore, person)
    if kind == PlanKind.DOWNLOAD:
        return _download
    if kind == PlanKind.VERIFY:
        return partial(_newest, library.verify_model, OLD)
    assert finished(_download()).status == PlanStatus.COMPLETED
    return partial(_newest, library.delete_model, NEW)


def check_ended(plan: Plan, kind: PlanKind) -> None:
    assert (plan.kind, plan.status) == (kind, PlanStatus.COMPLETED), plan.error_message
    assert terminal_events(plan) == dict.fromkeys(STEPS_OF[kind], 1)
    assert_nothing_wrong()


@pytest.mark.parametrize(
    "first_of",
    [
        pytest.param("the quick", marks=pytest.mark.proof),
        pytest.param("the slow", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", KILLS, ids=str)
def test_an_undisturbed_plan_completes(
    first_of: str, kind: PlanKind, ada: Person, workers: Workers, references: References
) -> None:
    start = prepared(kind, ada)
    copies = {copy.revision_id: copy.status for copy in ModelCopy.objects.all()}

    plan = finished(start())

    check_ended(plan, kind)
    references.by_kind[kind] = Left(final_state(), content_digest(), all_vectors())
    after = {copy.revision_id: copy.status for copy in ModelCopy.objects.all()}
    assert (after != copies) is (kind in (PlanKind.RE_EMBED, PlanKind.DOWNLOAD, PlanKind.DELETE))


@pytest.mark.parametrize("case", [with_proofs(case) for case in CASES])
def test_a_kill_changes_nothing(
    case: Case,
    ada: Person,
    workers: Workers,
    services: EmbeddedServices,
    references: References,
) -> None:
    start = prepared(case.kind, ada)

    plan = run_with_fault(case, start, workers, services)

    check_ended(plan, case.kind)
    assert case.kind in references.by_kind, "the undisturbed run comes first"
    left = references.by_kind[case.kind]
    state = final_state()
    for table, rows in left.state.items():
        assert state[table] == rows, table
    assert content_digest() == left.digest
    assert smallest_cosine(all_vectors(), left.vectors) >= 0.99999


@pytest.mark.proof
def test_each_kind_of_plan_meets_each_victim_and_each_point_somewhere() -> None:
    assert set(KILLS) | {PlanKind.MIGRATE} == set(PlanKind)
    for kind, victims in KILLS.items():
        spared = {"engine_child"} if len(STEPS_OF[kind]) == 1 else set()
        assert set(victims) == set(VICTIMS) - spared
        assert {step for step, _ in victims.values()} <= set(STEPS_OF[kind])
    assert {case.point for case in CASES} == set(POINTS)
    every_change = list(filter(is_proof, CASES))
    assert {case.kind for case in every_change} == set(KILLS)
    assert {case.victim for case in every_change} == set(VICTIMS)
    assert {case.point for case in every_change} == set(POINTS)
