"""Whatever happens wherever to whichever kind of plan: it ends as it should, and every effect is there once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrations_app.models import PlanEvent
from migrations_app.states import STEP_FINAL, PlanKind
from tests.faults.matrix_page import PAGE, ordinary_cases, page, process_cases
from tests.faults.protocol import (
    FAULTS,
    ProtocolCase,
    expected_end,
    play,
    protocol_cases,
)
from tests.world.state import terminal_events

CASES = protocol_cases()
PROJECT = Path(__file__).resolve().parents[2]


def marked(case: ProtocolCase) -> Any:
    return pytest.param(case, id=str(case), marks=[] if case.is_ordinary else [pytest.mark.slow])


@pytest.mark.django_db
@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_a_fault_changes_nothing_but_the_time(
    case: ProtocolCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = play(case, monkeypatch)

    status, effects = expected_end(case, scene)
    assert (scene.plan.status, scene.marks()) == (status, effects)
    assert set(scene.plan.steps.values_list("status", flat=True)) <= STEP_FINAL
    assert max(terminal_events(scene.plan).values()) == 1
    ends = PlanEvent.objects.filter(plan=scene.plan, step=None, to_status=status)
    assert ends.count() == 1
    if status == "failed":
        assert scene.plan.error_message, "it says why"


def test_the_matrix_is_as_large_as_promised_and_its_page_is_this() -> None:
    everything = [*CASES, *process_cases()]
    assert len(everything) >= 90
    chosen = ordinary_cases()
    assert len(chosen) >= 25
    assert {case.kind for case in chosen} == set(PlanKind)
    assert {case.fault for case in chosen if isinstance(case, ProtocolCase)} == set(FAULTS)
    assert (PROJECT / PAGE).read_text() == page(), "run .venv/bin/python -m tests.faults"
