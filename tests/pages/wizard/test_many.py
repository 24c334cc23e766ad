"""What pages cost: as many questions for many as for few, and nothing is judged by the clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from engines.models import CopyStatus, Host, HostStatus, LoraAdapter, ModelCopy
from engines.services.knowledge.documents import create_base
from migrations_app.models import Plan
from tests.api.roles import Engines, People, make_model


def count_queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    return len(caught)


def add(people: People, engines: Engines, numbers: range) -> None:
    """Add so many engines, hosts, bases, adapters and plans."""
    old = engines.old.current_revision
    assert old is not None
    for number in numbers:
        model = make_model(f"more-{number}", embedding_model=engines.embedder)
        assert model.current_revision is not None
        ModelCopy.objects.create(
            revision=model.current_revision,
            host=engines.host,
            status=CopyStatus.DOWNLOADED,
            path="/m",
            checksum="c",
        )
        Host.objects.create(name=f"host-{number}", status=HostStatus.ACTIVE)
        create_base(owner=people.alice, name=f"Base {number}")
        LoraAdapter.objects.create(
            user=people.alice,
            name=f"style {number}",
            base_revision=old,
            artifact_key=f"adapters/aa/{number}",
            sha256="a" * 64,
            file_size=10,
        )
    add_plans(people, engines, len(numbers))


def add_plans(people: People, engines: Engines, count: int) -> None:
    Plan.objects.bulk_create(
        Plan(
            kind="migrate",
            user=people.alice,
            created_by=people.alice,
            host=engines.host,
            from_engine=engines.old,
            to_engine=engines.new,
            status="cancelled" if number else "pending",
        )
        for number in range(count)
    )


@pytest.mark.parametrize(
    "address",
    ["/migrate/", "/migrate/?q=e", "/plans/", "{plan}meaning/", "{plan}options/", "{plan}confirm/"],
)
def test_questions_do_not_grow(
    alice: Client, people: People, engines: Engines, draft: Plan, address: str
) -> None:
    where = address.format(plan=f"/migrate/{draft.pk}/")
    add(people, engines, range(1))
    few = count_queries(alice, where)
    add(people, engines, range(1, 15))

    assert count_queries(alice, where) == few


def test_a_long_history_comes_in_pages(
    alice: Client, people: People, engines: Engines, draft: Plan
) -> None:
    add_plans(people, engines, 60)

    first = alice.get("/plans/")
    last = alice.get("/plans/", {"page": "99"})

    assert len(first.context["rows"]) == 25
    assert "1–25 of 61" in first.content.decode()
    assert len(last.context["rows"]) == 11


def test_operators_see_everybodys_plans_and_others_only_theirs(
    draft: Plan, people: People, visit: Callable[[User], Client]
) -> None:
    oscar, bob = visit(people.operator), visit(people.bob)

    assert "No plans yet" in oscar.get("/plans/").content.decode()
    assert f'href="/migrate/{draft.pk}/"' in oscar.get("/plans/?of=all").content.decode()
    text = bob.get("/plans/?of=all").content.decode()
    assert "No plans yet" in text
    assert "Everybody" not in text
