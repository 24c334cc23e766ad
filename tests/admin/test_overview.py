"""The admin's first page: what each role sees, and that it stays as quick with much as with little."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis

from engines.models import Host, HostSample
from engines.services.hosts import note_sample
from migrations_app.models import Plan
from migrations_app.moves.mass_moves import MassMoveWish, start_mass_move
from migrations_app.moves.turn import take_turn
from migrations_app.serving.load import tell_engines
from migrations_app.states import PlanStatus, StepStatus
from tests.admin.test_admin import curator, engines, operator, people, queries, signed_in
from tests.api.roles import Engines, People, make_plan, use_engine

__all__ = ["curator", "engines", "operator", "people"]

OVERVIEW = "/admin/"
LIVE = "/admin/overview/"


def needs(client: Client) -> list[str]:
    return [need.title for need in client.get(LIVE).context["needs"]]


def test_it_shows_hosts_plans_and_engines_in_use(
    operator: Client, people: People, engines: Engines, redis_client: Redis
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.IN_PROGRESS)
    tell_engines(redis_client, "gpu-1", ["chat:llama-8b"])
    for load in (1.0, 3.0):
        HostSample.objects.create(
            host=engines.host, load=load, memory_used_bytes=1, disk_free_bytes=1
        )

    shown = operator.get(OVERVIEW).context
    page = operator.get(OVERVIEW).content.decode()

    assert [card.state.engines for card in shown["host_cards"]] == [("llama-8b",)]
    assert shown["host_cards"][0].load_curve.count(",") == 2
    assert "Move alice from LLAMA-8B to QWEN-4B" in page
    assert [(line.label, line.count) for line in shown["engines_in_use"]] == [("LLAMA-8B", 1)]


def test_a_move_of_many_people_is_one_line(
    operator: Client, people: People, engines: Engines, redis_client: Redis
) -> None:
    for person in (people.alice, people.bob):
        use_engine(person, engines.old)
    start_mass_move(
        User.objects.filter(username__in=["alice", "bob"]),
        MassMoveWish(engines.new.model_id),
        actor=people.operator,
    )
    take_turn()
    own = make_plan(people.curator, engines)
    Plan.objects.filter(pk=own.pk).update(status=PlanStatus.IN_PROGRESS)

    shown = operator.get(LIVE)

    assert [(line.people, line.percent) for line in shown.context["moves"]] == [(2, 0.0)]
    assert "Move 2 people to QWEN-4B" in shown.content.decode()
    assert [line.plan.pk for line in shown.context["running"]] == [own.pk]


def test_what_needs_somebody_is_named(
    operator: Client, people: People, engines: Engines, redis_client: Redis
) -> None:
    waiting, failed = make_plan(people.alice, engines), make_plan(people.bob, engines)
    waiting.steps.filter(position=0).update(status=StepStatus.NEEDS_OPERATOR, error="No such file.")
    Plan.objects.filter(pk=failed.pk).update(status="failed", finished_at=failed.created_at)
    Host.objects.create(name="gone", status="lost")
    Host.objects.filter(pk=engines.host.pk).update(disk_total_bytes=100, disk_free_bytes=1)
    use_engine(people.curator, engines.hidden)

    assert needs(operator) == [
        "Move alice to QWEN-4B",
        "Move bob to QWEN-4B",
        "gone is lost",
        "gpu-1 runs out of disk",
        "DRAFT-1B is withdrawn",
    ]


def test_a_curator_sees_hosts_and_no_plans(
    curator: Client, people: People, engines: Engines, redis_client: Redis
) -> None:
    plan = make_plan(people.alice, engines)
    Plan.objects.filter(pk=plan.pk).update(status="failed", finished_at=plan.created_at)

    page = curator.get(OVERVIEW).content.decode()

    assert "gpu-1" in page
    assert "Running plans" not in page
    assert needs(curator) == []


def test_who_has_no_role_is_told_so(people: People, engines: Engines) -> None:
    User.objects.filter(pk=people.alice.pk).update(is_staff=True)
    client = signed_in(User.objects.get(pk=people.alice.pk))

    assert "You have no role yet." in client.get(OVERVIEW).content.decode()
    assert "gpu-1" not in client.get(LIVE).content.decode()


def test_who_is_not_staff_gets_nothing(people: People) -> None:
    assert signed_in(people.bob).get(LIVE).status_code in (302, 403)


@pytest.mark.usefixtures("redis_client")
def test_it_asks_as_often_with_much_as_with_little(
    operator: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    make_plan(people.bob, engines)
    few = queries(operator, OVERVIEW)

    for number in range(6):
        host = Host.objects.create(name=f"cpu-{number}", status="lost")
        note_sample(host, load=1.0, memory_used_bytes=5)
        person = User.objects.create_user(f"person-{number}")
        use_engine(person, engines.old)
        plan = make_plan(person, engines)
        Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.IN_PROGRESS)

    assert queries(operator, OVERVIEW) == few


def test_a_sample_is_kept_every_few_minutes(engines: Engines) -> None:
    assert note_sample(engines.host, load=1.234, memory_used_bytes=5)
    assert not note_sample(engines.host, load=2.0, memory_used_bytes=5)

    assert HostSample.objects.get().load == 1.23
