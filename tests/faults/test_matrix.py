"""Whatever is killed wherever: the migration completes, and nothing tells it from an undisturbed one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from engines.models import LoraAdapter
from engines.services.knowledge.embeddings import BATCH
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from samproject.supervisor.embedded import EmbeddedServices
from tests.faults.harness import (
    STEPS,
    Case,
    finished,
    kills_of,
    migrate,
    proof_selection,
    quick_selection,
    run_with_fault,
    slow_selection,
)
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.world.people import DOCUMENTS_PER_BASE, Person
from tests.world.state import (
    all_vectors,
    content_digest,
    final_state,
    smallest_cosine,
    terminal_events,
)
from tests.world.workers import Workers


@dataclass
class Reference:
    """What an undisturbed run left: the first test, of the quick ones and of the slow ones."""

    state: dict[str, list[str]] | None = None
    digest: str = ""
    vectors: Any = None


def _marked(case: Case) -> Any:
    """With the quick ones, the proofs kill each victim once."""
    return pytest.param(case, marks=[pytest.mark.proof] if case in proof_selection() else [])


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


@pytest.mark.parametrize(
    "first_of",
    [
        pytest.param("the quick", marks=pytest.mark.proof),
        pytest.param("the slow", marks=pytest.mark.slow),
    ],
)
def test_an_undisturbed_migration_completes(
    first_of: str, ada: Person, workers: Workers, reference: Reference
) -> None:
    plan = finished(migrate(ada))

    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    reference.state = final_state()
    reference.digest = content_digest()
    reference.vectors = all_vectors()
    assert terminal_events(plan) == dict.fromkeys(STEPS, 1)


@pytest.mark.proof
@pytest.mark.parametrize("case", quick_selection(), ids=str)
def test_a_kill_changes_nothing(
    case: Case, ada: Person, workers: Workers, services: EmbeddedServices, reference: Reference
) -> None:
    plan = run_with_fault(case, partial(migrate, ada), workers, services)

    check(case, plan, reference, workers)


@pytest.mark.slow
@pytest.mark.parametrize("case", [_marked(case) for case in slow_selection()], ids=str)
def test_a_kill_changes_nothing_anywhere(
    case: Case, ada: Person, workers: Workers, services: EmbeddedServices, reference: Reference
) -> None:
    plan = run_with_fault(case, partial(migrate, ada), workers, services)

    check(case, plan, reference, workers)


def check(case: Case, plan: Plan, reference: Reference, workers: Workers) -> None:
    """Hold the disturbed run against the undisturbed one."""
    assert plan.status == PlanStatus.COMPLETED, plan.error_message
    assert reference.state is not None, "the undisturbed run comes first"
    state = final_state()
    for table, rows in reference.state.items():
        assert state[table] == rows, table
    assert content_digest() == reference.digest
    assert smallest_cosine(all_vectors(), reference.vectors) >= 0.99999
    assert terminal_events(plan) == dict.fromkeys(STEPS, 1)
    notes = LoraAdapter.objects.get().training_stats["migration_notes"]
    assert [note["plan"] for note in notes] == [str(plan.pk)]
    embedded = sum(int(n) for n in _tally(workers, "texts_embedded"))
    assert_nothing_wrong()
    assert embedded <= 3 * DOCUMENTS_PER_BASE + kills_of(case) * BATCH


def _tally(workers: Workers, name: str) -> list[str]:
    path = workers.faults / f"{name}.tally"
    return path.read_text().split() if path.exists() else []
