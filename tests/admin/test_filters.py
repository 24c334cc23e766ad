"""A list's address narrows by what the page offers as a filter, and by nothing else.

Whoever reads a list could else ask for columns that it does not show, letter by letter.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db.models import Model
from django.test import Client, RequestFactory

from engines.models import Host, KnowledgeBase
from migrations_app.admin.base import DATE_LOOKUPS, FILTER_LOOKUPS
from migrations_app.models import Plan
from tests.admin.test_admin import engines, people, signed_in
from tests.api.roles import Engines, People, make_plan

__all__ = ["engines", "people"]

PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
LINK = re.compile(r'href="(\?[^"]+)"')
TRICKS = ("startswith", "contains", "regex", "gt", "in", "iexact", "range", "isnull", "year")


def address(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def paths(model: type[Model]) -> list[str]:
    """Every column of a table, and of the tables beside it in both directions."""
    found = []
    for field in model._meta.get_fields():
        name = field.name
        found.append(name)
        other = field.related_model
        if isinstance(other, type):
            found += [f"{name}__{column.name}" for column in other._meta.get_fields()]
    return found


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_only_listed_filters_narrow_a_list(people: People, model: type[Model]) -> None:
    page: Any = admin.site._registry[model]
    request = RequestFactory().get(address(model))
    request.user = people.administrator
    offered = {
        f"{name if isinstance(name, str) else name[0]}{suffix}"
        for name in page.get_list_filter(request)
        for suffix in FILTER_LOOKUPS
    } | {f"{page.date_hierarchy}{suffix}" for suffix in DATE_LOOKUPS}

    for path in paths(model):
        for trick in TRICKS:
            lookup = f"{path}__{trick}"
            request = RequestFactory().get(address(model), {lookup: "a"})
            request.user = people.administrator
            if lookup not in offered:
                with pytest.raises(DisallowedModelAdminLookup):
                    page.get_changelist_instance(request)


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_the_filters_of_a_page_work(people: People, engines: Engines, model: type[Model]) -> None:
    make_plan(people.alice, engines)
    client = signed_in(people.administrator)
    page = client.get(address(model))
    assert page.status_code == 200

    for link in {match.replace("&amp;", "&") for match in LINK.findall(page.content.decode())}:
        answer = client.get(f"{address(model)}{link}")
        assert answer.status_code == 200, link


@pytest.mark.parametrize("model", [Plan, Host])
def test_what_no_row_can_hold_is_no_filter(people: People, model: type[Model]) -> None:
    answer = signed_in(people.administrator).get(f"{address(model)}?status__exact=%00")

    assert answer.status_code == 400


@pytest.mark.parametrize("who", ["curator", "operator"])
def test_the_name_of_a_private_base_cannot_be_guessed(people: People, who: str) -> None:
    KnowledgeBase.objects.create(owner=people.alice, name="Secret merger")
    client: Client = signed_in(getattr(people, who))

    for guess in ("S", "X"):
        answer = client.get(f"{address(KnowledgeBase)}?name__startswith={guess}")
        assert answer.status_code == 400
