"""What a new installation is told to do next."""

from __future__ import annotations

import socket

import pytest
from django.contrib.auth.models import Group, User

from engines.models import CatalogModel
from samproject.management.first_steps import find_next_step, is_listening


@pytest.mark.parametrize("way", ["superuser", "role"])
def test_first_an_administrator_then_a_catalog_then_nothing(db: None, way: str) -> None:
    assert find_next_step("http://x").startswith("next: make the first administrator")
    if way == "superuser":
        User.objects.create_superuser("root")
    else:
        group, _ = Group.objects.get_or_create(name="administrator")
        User.objects.create_user("adam").groups.add(group)

    assert find_next_step("http://x").startswith("next: fill the catalog")
    CatalogModel.objects.create(model_id="tiny", display_name="Tiny", filename="tiny.gguf")
    assert find_next_step("http://x") == ""


def test_an_address_answers_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = server.getsockname()
        assert is_listening(at)

    assert not is_listening(at)
