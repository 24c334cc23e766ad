"""docs/states.md against the tables of the code, and against the tests that walk each way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.models import AdapterStatus, CopyStatus, HostStatus
from engines.services.hosts import HOST_MOVES
from migrations_app.states import (
    ACTIONS_OF,
    PLAN_MOVES,
    STEP_MOVES,
    PlanStatus,
    StepStatus,
)

PAGE = Path("docs/states.md")
WALK = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
Row = list[str]


def tables() -> dict[str, list[Row]]:
    """Return the rows of each section's table, without its head."""
    sections = PAGE.read_text().split("\n## ")[1:]
    found = {}
    for section in sections:
        title, _, text = section.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("| `")]
        found[title] = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return found


def words(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def states_of(title: str) -> list[str]:
    return [row[0].strip("`") for row in tables()[title]]


def moves_of(title: str) -> dict[str, set[str]]:
    return {row[0].strip("`"): words(row[1]) for row in tables()[title]}


def values(table: Mapping[Any, frozenset[Any]]) -> dict[str, set[str]]:
    return {str(old): set(map(str, new)) for old, new in table.items()}


def test_states_and_moves_are_those_of_the_code() -> None:
    assert states_of("Plan") == PlanStatus.values
    assert sorted(states_of("Step")) == sorted(StepStatus.values)
    assert sorted(states_of("Host")) == sorted(HostStatus.values)
    assert sorted(states_of("Copy of a model on a host")) == sorted(CopyStatus.values)
    assert sorted(states_of("Adapter")) == sorted(AdapterStatus.values)
    assert moves_of("Plan") == values(PLAN_MOVES)
    assert moves_of("Step") == values(STEP_MOVES)
    assert moves_of("Host") == values(HOST_MOVES)
    asked = {row[0].strip("`"): words(row[2]) for row in tables()["Plan"]}
    assert asked == {
        str(status): {str(action.value) for action in actions}
        for status, actions in ACTIONS_OF.items()
    }


def test_each_way_out_is_walked_by_a_test_that_is_there() -> None:
    rows = [row for section in tables().values() for row in section]
    assert len(rows) > 30
    for row in rows:
        walked = WALK.fullmatch(row[-1])
        assert walked is not None, row
        assert f"def {walked[2]}(" in Path(walked[1]).read_text(), row
        assert len(row[-2]) > 5, row
