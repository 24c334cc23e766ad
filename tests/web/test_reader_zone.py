"""The zone in which the server writes times: the reader's where it is one, else UTC."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.admin.test_admin import PLANS, engines, operator, people
from tests.api.roles import Engines, People, make_plan

__all__ = ["engines", "operator", "people"]


@pytest.mark.parametrize(
    ("cookie", "zone"),
    [
        ("Asia/Tokyo", "JST"),
        ("", "UTC"),
        ("Atlantis/Centre", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("x" * 5000, "UTC"),
    ],
)
def test_a_zone_that_exists_is_used(
    operator: Client, people: People, engines: Engines, cookie: str, zone: str
) -> None:
    make_plan(people.alice, engines)
    operator.cookies["sam-zone"] = cookie

    page = operator.get(PLANS)

    assert page.status_code == 200
    assert f" {zone}" in page.content.decode()


def test_one_readers_zone_is_not_the_nexts(
    operator: Client, people: People, engines: Engines
) -> None:
    make_plan(people.alice, engines)
    operator.cookies["sam-zone"] = "Asia/Tokyo"
    operator.get(PLANS)
    del operator.cookies["sam-zone"]

    assert " UTC" in operator.get(PLANS).content.decode()
