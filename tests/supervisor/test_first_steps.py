"""What a new installation is told to do next."""

from __future__ import annotations

import socket

import pytest
from django.contrib.auth.models import Group, User

from engines.models import CatalogModel
from samproject.first_steps import answers, next_step


@pytest.mark.parametrize("way", ["superuser", "role"])
def test_first_an_administrator_then_a_catalog_then_nothing(db: None, way: str) -> None:
    assert next_step("http://x").startswith("next: make the first administrator")
    if way == "superuser":
        User.objects.create_superuser("root")
    else:
        group, _ = Group.objects.get_or_create(name="administrator")
        User.objects.create_user("adam").groups.add(group)

    assert next_step("http://x").startswith("next: fill the catalog")
    CatalogModel.objects.create(model_id="tiny", display_name="Tiny", filename="tiny.gguf")
    assert next_step("http://x") == ""


def test_an_address_answers_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = server.getsockname()
        assert answers(at)

    assert not answers(at)
