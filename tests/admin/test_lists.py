"""Every list, of REST, pages and admin, asks the database as often for many rows as for few."""

from __future__ import annotations

import re

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from engines.models import CatalogModel, CopyStatus, Host, HostStatus, ModelCopy
from migrations_app.admin.drawn_once import draw_checkbox
from tests.admin.test_admin import CATALOG, PLANS, engines, people, signed_in
from tests.api.roles import Engines, People, make_plan
from tests.benchmarks.lists import make_rows

__all__ = ["engines", "people"]


def count_queries(rows: int) -> dict[str, int]:
    """Return the queries of each list when there are so many rows; they are gone afterwards."""
    with transaction.atomic():
        user, addresses = make_rows(rows)
        client = signed_in(user)
        counts = {}
        for address in addresses:
            # The first time reads what the process keeps.
            client.get(address)
            with CaptureQueriesContext(connection) as caught:
                assert client.get(address).status_code == 200, address
            counts[re.sub(r"\d+", "N", address)] = len(caught)
        transaction.set_rollback(True)
    return counts


def test_no_list_asks_more_for_more_rows(engines: Engines) -> None:
    few = count_queries(5)
    many = count_queries(50)
    more = {
        address: (few[address], count) for address, count in many.items() if count > few[address]
    }
    assert more == {}


def test_what_is_drawn_once_stands_in_every_row(people: People, engines: Engines) -> None:
    plans = [make_plan(people.bob, engines) for _ in range(3)]
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    administrator = signed_in(people.administrator)

    page = administrator.get(PLANS).content.decode()

    for plan in plans:
        assert f'name="_selected_action" value="{plan.pk}"' in page
    for label in ("plan", "status", "progress"):
        assert page.count(f'data-label="{label}"') == len(plans)
    assert page.count("tone-") >= len(plans)
    rows = rows_of(administrator, "/admin/auth/user/")
    signs = {name: re.findall("check_small|close_small", row) for name, row in rows.items()}
    assert signs["bob"] == ["close_small", "close_small", "close_small"]
    assert signs[people.administrator.username] == ["check_small", "check_small", "close_small"]


def test_links_of_a_header_are_those_of_its_page(people: People, engines: Engines) -> None:
    make_plan(people.bob, engines)
    administrator = signed_in(people.administrator)

    assert "?o=-2" not in administrator.get(PLANS).content.decode()
    assert "?o=-2" in administrator.get(PLANS, {"o": "2"}).content.decode()


def test_a_key_is_escaped_in_its_box() -> None:
    assert 'value="&lt;b&gt;"' in draw_checkbox("<b>")


def test_the_catalog_counts_hosts_that_have_the_file(people: People, engines: Engines) -> None:
    model = engines.new
    assert model.current_revision is not None
    ModelCopy.objects.all().delete()
    for number, status in enumerate(
        (CopyStatus.DOWNLOADED, CopyStatus.DOWNLOADED, CopyStatus.MISSING)
    ):
        host = Host.objects.create(name=f"holder-{number}", status=HostStatus.ACTIVE)
        ModelCopy.objects.create(
            revision=model.current_revision, host=host, status=status, path="/x", checksum="0" * 64
        )

    rows = rows_of(signed_in(people.administrator), f"{CATALOG}?o=-7")

    assert field(rows[model.model_id], "hosts_having_it") == "2"
    others = CatalogModel.objects.exclude(pk=model.pk).values_list("model_id", flat=True)
    assert {field(rows[name], "hosts_having_it") for name in others} == {"0"}
    assert next(iter(rows)) == model.model_id


def rows_of(client: Client, address: str) -> dict[str, str]:
    """Return the rows of a list by what their link says."""
    page = client.get(address).content.decode()
    rows = re.findall(r'<tr class="data-row.*?</tr>', page, re.DOTALL)
    return {re.findall(r"<a [^>]*>([^<]+)</a>", row)[0].strip(): row for row in rows}


def field(row: str, name: str) -> str:
    """Return what a cell says."""
    found = re.search(rf"field-{name} [^>]*>([^<]*)<", row)
    assert found is not None
    return found[1].strip()
