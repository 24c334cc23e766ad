"""``sam move``: many people from the command line, and what became of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrations_app.models import MassMove, Plan
from migrations_app.moves.turn import take_turn
from samproject.cli.errors import CommandError
from tests.api.roles import Engines, People, use_engine
from tests.sam_command import run_sam


def test_people_of_a_file_are_moved_and_followed(
    people: People, engines: Engines, tmp_path: Path
) -> None:
    for person in (people.alice, people.bob):
        use_engine(person, engines.old)
    use_engine(people.curator, engines.new)
    listed = tmp_path / "names.txt"
    listed.write_text("alice\n\n bob \ncarol\n")
    names = ("--people-file", str(listed))

    told = run_sam("move", "preview", "qwen-4b", *names)
    number = run_sam(
        "move", "start", "qwen-4b", *names, "--at-once", "1", "--user", "oscar"
    ).strip()
    take_turn()

    assert told.splitlines() == [
        "2 of 3 people would be moved, with 0 passages; 0 adapters stop.",
        "1 left out: QWEN-4B answers already.",
    ]
    assert run_sam("move", "status", number).splitlines() == [
        "To qwen-4b: 1 planned, 1 running, 1 refused.",
        "1 left out: QWEN-4B answers already.",
    ]
    assert MassMove.objects.get().created_by == people.operator
    (refused,) = json.loads(run_sam("move", "people", number, "--state", "refused", "--json"))
    assert refused["person"] == "carol"
    assert "alice" in run_sam("move", "people", number)
    assert "qwen-4b" in run_sam("move", "list")
    assert json.loads(run_sam("move", "retry", number, "--json")) == {"people": 1}
    assert run_sam("move", "cancel", number).startswith("The rest is cancelled")


def test_nobody_is_moved_by_mistake(people: People, engines: Engines, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")

    for given, why in (
        ((), "Say whom"),
        (("--people-file", str(empty)), "names nobody"),
        (("--person", "eve"), "nobody called eve"),
        (("--everybody", "--user", "bob"), "operator"),
    ):
        with pytest.raises(CommandError, match=why):
            run_sam("move", "start", "qwen-4b", *given)

    assert not MassMove.objects.exists()
    assert not Plan.objects.exists()
