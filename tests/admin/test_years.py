"""Lists of years: what an operator asks for most reads few of thousands of plans, people and days."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from engines.models import CatalogModel, TokenUsage
from migrations_app.models import Plan
from migrations_app.states import PlanKind, PlanStatus
from tests.admin.test_admin import PLANS, engines, operator, people
from tests.api.roles import Engines, People, make_plan
from tests.knowledge.test_query_plans import nodes

__all__ = ["engines", "operator", "people"]

MANY = 12_000
USAGE = "/admin/engines/tokenusage/"


@pytest.fixture
def years(people: People) -> list[Plan]:
    """Thousands of plans of as many people, a few of which failed; autovacuum has seen them."""
    others = User.objects.bulk_create(User(username=f"person-{n}") for n in range(MANY))
    catalog = CatalogModel.objects.bulk_create(
        CatalogModel(model_id=f"engine-{n}", display_name=f"Engine {n}", filename="a.gguf")
        for n in range(200)
    )
    now = timezone.now()
    Plan.objects.bulk_create(
        Plan(
            kind=PlanKind.MIGRATE,
            user=other,
            to_engine=catalog[number % len(catalog)],
            status=PlanStatus.CANCELLED if number % 1_000 else PlanStatus.FAILED,
            finished_at=now,
        )
        for number, other in enumerate(others)
    )
    TokenUsage.objects.bulk_create(
        TokenUsage(user=other, day=now.date() - timedelta(days=number % 50))
        for number, other in enumerate(others)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return list(Plan.objects.filter(status=PlanStatus.FAILED))


def most_read(client: Client, address: str, table: str) -> int:
    """Return the most rows that a statement of this page, other than one that counts all, takes out of a table."""
    client.get(address)
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    read = [0.0]
    for statement in (each["sql"] for each in caught.captured_queries):
        counts_all = statement.startswith("SELECT COUNT") and "WHERE" not in statement
        if table in statement and statement.startswith("SELECT") and not counts_all:
            read += rows_read(statement, table)
    return int(max(read))


def rows_read(statement: str, table: str) -> Iterator[float]:
    """Yield how many rows each scan of a table looks at."""
    with connection.cursor() as cursor:
        # The statement as it was sent: its percent signs are its own.
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".replace("%", "%%"), [])
        [[plan]] = cursor.fetchone()
    for node in nodes(plan["Plan"]):
        if node.get("Relation Name") == table:
            passed_over = node.get("Rows Removed by Filter", 0)
            yield (node["Actual Rows"] + passed_over) * node["Actual Loops"]


def test_plans_of_a_status_are_read_alone(operator: Client, years: list[Plan]) -> None:
    address = f"{PLANS}?status__exact=failed"

    assert operator.get(address).context["cl"].result_count == len(years)
    assert most_read(operator, address, Plan._meta.db_table) <= 2 * len(years)


def test_plans_of_a_person_are_read_alone(operator: Client, years: list[Plan]) -> None:
    name = years[3].user.username if years[3].user else ""

    assert list(operator.get(PLANS, {"q": name}).context["cl"].result_list) == [years[3]]
    assert most_read(operator, f"{PLANS}?q={name}", Plan._meta.db_table) <= 20


def test_days_of_usage_are_read_from_today(operator: Client, years: list[Plan]) -> None:
    assert most_read(operator, USAGE, TokenUsage._meta.db_table) <= MANY / 10
    assert operator.get(USAGE).context["cl"].result_list[0].day == timezone.now().date()


@pytest.mark.parametrize(
    "cut",
    [
        lambda plan: str(plan.pk),
        lambda plan: str(plan.pk)[:8],
        lambda plan: str(plan.pk)[:12],
        lambda plan: plan.pk.hex.upper(),
        lambda plan: f"{str(plan.pk)[:8]} alice",
        lambda plan: "alice QWEN",
    ],
    ids=["number", "as listed", "with a hyphen", "hex", "number and person", "person and engine"],
)
def test_a_plan_is_found_by(
    cut: object, operator: Client, people: People, engines: Engines
) -> None:
    assert callable(cut)
    wanted, _other = make_plan(people.alice, engines), make_plan(people.bob, engines)

    assert list(operator.get(PLANS, {"q": cut(wanted)}).context["cl"].result_list) == [wanted]


@pytest.mark.parametrize("words", ["nobody", "f" * 40, f"{uuid.UUID(int=7)} alice", "100%"])
def test_no_plan_has(words: str, operator: Client, people: People, engines: Engines) -> None:
    make_plan(people.alice, engines)

    assert list(operator.get(PLANS, {"q": words}).context["cl"].result_list) == []
