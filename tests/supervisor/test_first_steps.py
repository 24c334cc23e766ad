"""What a new installation is told to do next."""

from __future__ import annotations

import socket

import pytest
from django.contrib.auth.models import Group, User

from engines.models import CatalogModel, CopyStatus, EngineDefault, Host, ModelCopy, ModelRevision
from samproject.management.first_steps import (
    find_files_of_others,
    find_next_step,
    is_listening,
)


@pytest.mark.parametrize("way", ["superuser", "role"])
def test_first_an_administrator_then_a_catalog_then_an_engine_then_nothing(
    db: None, way: str
) -> None:
    assert find_next_step("http://x").startswith("next: make the first administrator")
    if way == "superuser":
        User.objects.create_superuser("root")
    else:
        group, _ = Group.objects.get_or_create(name="administrator")
        User.objects.create_user("adam").groups.add(group)

    assert find_next_step("http://x").startswith("next: fill the catalog")
    tiny = CatalogModel.objects.create(model_id="tiny", display_name="Tiny", filename="tiny.gguf")

    assert find_next_step("http://x").startswith(
        "next: nobody has an engine yet: choose one at http://x/migrate/"
    )
    EngineDefault.objects.create(engine=tiny)
    assert find_next_step("http://x") == ""


def test_an_address_answers_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = server.getsockname()
        assert is_listening(at)

    assert not is_listening(at)


def test_files_of_a_host_of_another_name_are_told_with_what_to_do(db: None) -> None:
    old, new = (Host.objects.create(name=name, status="active") for name in ("old", "new"))
    for name in ("tiny", "both"):
        model = CatalogModel.objects.create(model_id=name, display_name=name, filename="a.gguf")
        revision = ModelRevision.objects.create(
            model=model, commit="a" * 40, sha256="b" * 64, file_size=1
        )
        for host in (old, new) if name == "both" else (old,):
            ModelCopy.objects.create(
                revision=revision,
                host=host,
                status=CopyStatus.DOWNLOADED,
                path="/models/a",
                checksum="b" * 64,
            )

    (told,) = find_files_of_others("new")
    assert "files of tiny belong to the host old, and this machine runs as new" in told
    assert "SAM_HOST_NAME=old" in told
    assert find_files_of_others("old") == []
    Host.objects.filter(name="old").update(status="retired")
    assert find_files_of_others("new") == []
