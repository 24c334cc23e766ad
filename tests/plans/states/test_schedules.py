"""All orders of a few moves over the real protocol; and proof that they would find what is looked for."""

from __future__ import annotations

from random import Random

import pytest

from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind
from tests.plans.states.schedules import PLAN_READ, STEP_READ, Explored, Schedules
from tests.plans.states.test_machine import MUTANTS

WORLDS = {
    "a download, which may be paused": (PlanKind.DOWNLOAD, 0),
    "a switch": (PlanKind.RE_EMBED, 2),
    "a restore and what comes after it": (PlanKind.RESTORE, 2),
}
"""A kind of plan each, and how many of its steps are completed."""

READ = {*PLAN_READ, *STEP_READ}
FIXED = {
    *(
        "id",
        "kind",
        "user",
        "created_by",
        "created_at",
        "host",
        "base",
        "plan",
        "position",
        "preview",
    ),
    *("from_engine", "from_revision", "to_engine", "to_revision", "embedder_revision"),
    *("preference_version", "rolls_back", "restores", "restores_into", "replaces", "switched"),
    *("backup_lora_adapters", "re_embed_knowledge", "update_prompt_templates", "accept_losses"),
    *("knowledge_base_size", "estimated_duration_minutes", "quality_sample", "retention_until"),
    *("not_before", "confirmed_at"),
}
"""Columns that no move of a started plan changes, where its steps have no effects of their own."""
TOLD = {
    *("current_step", "progress_percentage", "error_message", "started_at", "finished_at"),
    *("progress", "detail", "result", "error"),
}
"""Columns for people: the protocol writes them, and decides nothing by them."""
OF_MESSAGES = {"published_at", "publish_count"}
"""When a message was sent: any may come at any time here, and the sweeper sends again as often as it looks."""

SHORTEST = {
    "no sweeper": (1, "waits for ever"),
    "no compare-and-set": (2, "taken from somebody who holds it"),
    "no cancel check": (3, "it was to be cancelled"),
    "no fence check": (3, "A step that is completed cannot become failed"),
}
"""So many moves show that a part is missing, and what is said then; fewer cannot."""


def chance() -> Random:
    return Random(15)  # noqa: S311 - to be repeated, not to be secret


def test_every_column_is_read_or_left_out_for_a_reason() -> None:
    columns = [field.name for model in (Plan, Step) for field in model._meta.fields]

    assert set(columns) == READ | FIXED | TOLD | OF_MESSAGES
    assert not READ & (FIXED | TOLD | OF_MESSAGES)


def play_all_orders(world: str, moves: int, *, replays: int) -> Explored:
    kind, done = WORLDS[world]
    schedules = Schedules(kind, done=done)
    explored = schedules.explore(moves)
    random = chance()
    for _ in range(replays):
        schedules.replay(explored, moves, random)
    return explored


@pytest.mark.django_db
@pytest.mark.parametrize("world", [name for name in WORLDS if name != "a switch"])
def test_no_order_of_four_moves_is_wrong(world: str) -> None:
    assert play_all_orders(world, 4, replays=3).count_schedules(4) > 400


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.django_db
@pytest.mark.parametrize("world", WORLDS)
def test_no_order_of_seven_moves_is_wrong(world: str) -> None:
    assert play_all_orders(world, 7, replays=100).count_schedules(7) > 20_000


@pytest.mark.django_db
@pytest.mark.parametrize("name", MUTANTS)
def test_the_shortest_order_shows_each_mutant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moves, sentence = SHORTEST[name]
    schedules = Schedules(PlanKind.DOWNLOAD)

    MUTANTS[name][0](monkeypatch)
    schedules.explore(moves - 1)
    with pytest.raises(AssertionError, match=sentence):
        schedules.explore(moves)
