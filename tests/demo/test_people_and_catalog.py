from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User

from deploy.demo.catalog import ensure_catalog
from deploy.demo.models.engine_files import ENGINES, NEW, OLD, PERMUTED
from deploy.demo.people import CHANGED, PASSWORDS_FILE, ensure_people
from engines.models import CatalogModel, PromptTemplate
from engines.services.catalog.starter.entries import starter_catalog
from engines.services.people.tokens import find_owner

pytestmark = pytest.mark.django_db


def test_ada_and_the_administrator_sign_in_with_passwords_that_stay(tmp_path: Path) -> None:
    first = ensure_people(tmp_path).passwords
    second = ensure_people(tmp_path).passwords

    assert first == second
    assert list(first) == ["ada", "admin"]
    people = {name: authenticate(username=name, password=word) for name, word in first.items()}
    ada, admin = people["ada"], people["admin"]
    assert isinstance(ada, User)
    assert isinstance(admin, User)
    assert (ada.is_superuser, admin.is_superuser) == (False, True)
    assert not User.objects.get(username="bob").has_usable_password()


def test_passwords_differ_between_data_folders_and_are_their_owners_alone(tmp_path: Path) -> None:
    one = ensure_people(tmp_path / "one").passwords
    User.objects.all().delete()
    other = ensure_people(tmp_path / "other").passwords

    assert len({*one.values(), *other.values()}) == 4
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob(PASSWORDS_FILE)}
    assert modes == {0o600}


def test_a_password_that_was_changed_in_sam_is_neither_told_nor_taken_back(tmp_path: Path) -> None:
    ensure_people(tmp_path)
    ada = User.objects.get(username="ada")
    ada.set_password("my own now")
    ada.save()

    assert ensure_people(tmp_path).passwords["ada"] == CHANGED
    assert authenticate(username="ada", password="my own now") == ada


def test_an_administrator_of_an_older_quickstart_gets_a_password_that_can_be_told(
    tmp_path: Path,
) -> None:
    User.objects.create_superuser("admin", password="printed once, long ago")

    told = ensure_people(tmp_path).passwords["admin"]

    assert authenticate(username="admin", password=told) is not None


def test_people_and_their_tokens_stay_the_same(tmp_path: Path) -> None:
    first = ensure_people(tmp_path)
    second = ensure_people(tmp_path)

    ada = User.objects.get(username="ada")
    assert [find_owner(known.ada) for known in (first, second)] == [ada, ada]
    assert [group.name for group in User.objects.get(username="ada").groups.all()] == ["readers"]
    assert not User.objects.get(username="bob").groups.exists()


def test_the_catalog_has_starter_and_demo_entries_and_follows_the_hub() -> None:
    first = ensure_catalog("http://127.0.0.1:1111")
    second = ensure_catalog("http://127.0.0.1:2222")

    assert first == second == len(starter_catalog()["models"]) + len(ENGINES)
    assert CatalogModel.objects.count() == first
    target = CatalogModel.objects.get(model_id=NEW.model_id)
    assert target.hub_endpoint == "http://127.0.0.1:2222"
    assert target.embedder.model_id == PERMUTED.model_id
    families = PromptTemplate.objects.values_list("family", flat=True)
    assert {OLD.family, NEW.family} <= set(families)
