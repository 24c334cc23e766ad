from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User

from deploy.demo.catalog import SYSTEM_PROMPTS, ensure_catalog
from deploy.demo.models.engine_files import ENGINES, NEW, PERMUTED
from deploy.demo.people import ensure_administrator, ensure_people
from engines.models import CatalogModel, PromptTemplate
from engines.services.catalog.starter import starter_catalog
from engines.services.people.tokens import find_owner

pytestmark = pytest.mark.django_db


def test_the_administrators_password_is_given_once_and_works() -> None:
    password = ensure_administrator()
    again = ensure_administrator()

    assert password is not None
    assert again is None
    admin = authenticate(username="admin", password=password)
    assert isinstance(admin, User)
    assert admin.is_superuser


def test_people_and_their_tokens_stay_the_same() -> None:
    ensure_administrator()

    first = ensure_people()
    second = ensure_people()

    ada = User.objects.get(username="ada")
    assert [find_owner(known.ada) for known in (first, second)] == [ada, ada]
    assert [group.name for group in User.objects.get(username="ada").groups.all()] == ["readers"]
    assert not User.objects.get(username="bob").groups.exists()
    assert not User.objects.get(username="ada").has_usable_password()


def test_the_catalog_has_starter_and_demo_entries_and_follows_the_hub() -> None:
    first = ensure_catalog("http://127.0.0.1:1111")
    second = ensure_catalog("http://127.0.0.1:2222")

    assert first == second == len(starter_catalog()["models"]) + len(ENGINES)
    assert CatalogModel.objects.count() == first
    target = CatalogModel.objects.get(model_id=NEW.model_id)
    assert target.hub_endpoint == "http://127.0.0.1:2222"
    assert target.embedder.model_id == PERMUTED.model_id
    prompts = PromptTemplate.objects.filter(family__in=SYSTEM_PROMPTS)
    assert {row.family: row.system_prompt for row in prompts} == SYSTEM_PROMPTS
