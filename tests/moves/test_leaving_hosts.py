"""Mass moves while the host on which people are planned leaves."""

from __future__ import annotations

from engines.models import Host, HostStatus
from migrations_app.moves.turn import take_turn
from tests.api.roles import Engines, People
from tests.moves.test_mass_moves import begin, end, engines, people, plan_of, states
from tests.worker.plans import make_host

__all__ = ["engines", "people"]


def test_who_is_planned_on_a_host_that_leaves_moves_on_another_or_waits_for_one(
    people: People, engines: Engines
) -> None:
    move = begin(people, engines, "alice bob", at_once=1)
    take_turn()
    end(people.alice)
    Host.objects.update(status=HostStatus.DRAINING)

    take_turn()

    move.refresh_from_db()
    assert states(move) == {"alice": "completed", "bob": "planned"}
    assert move.waits_for.startswith("No")
    assert move.finished_at is None

    other = make_host("other")
    take_turn()

    move.refresh_from_db()
    assert (move.waits_for, states(move)["bob"]) == ("", "running")
    assert plan_of(people.bob).host == other
