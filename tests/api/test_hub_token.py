"""HF_TOKEN is the administrator's: a hub that a curator names never gets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from deploy.demo.hub.server import HubServer
from engines.models import CatalogModel
from engines.services.catalog.headers import header_of
from engines.services.catalog.hub import hub_token
from engines.services.catalog.resolving import resolve_model
from tests.api.roles import People, client_of, problem

TOKEN = "hf_secret"


@pytest.fixture
def hubs(tmp_path: Path, tiny_llama: Path, settings: Settings) -> Iterator[list[HubServer]]:
    """The administrator's hub, and one that only an entry names."""
    folder = tmp_path / "demo" / "tiny"
    folder.mkdir(parents=True)
    copyfile(tiny_llama, folder / "model.gguf")
    with HubServer(tmp_path) as ours, HubServer(tmp_path) as theirs:
        settings.HF_ENDPOINT, settings.HF_TOKEN = ours.endpoint, TOKEN
        yield [ours, theirs]


def entry(hub_endpoint: str) -> CatalogModel:
    return CatalogModel.objects.create(
        model_id="tiny",
        display_name="Tiny",
        model_family="llama",
        huggingface_repo="demo/tiny",
        filename="model.gguf",
        hub_endpoint=hub_endpoint,
    )


def test_the_configured_hub_gets_the_token(db: None, hubs: list[HubServer]) -> None:
    ours, _ = hubs

    header_of(resolve_model(entry("")))

    assert ours.log
    assert all(request.had_authorization for request in ours.log)


def test_a_hub_named_by_an_entry_does_not(db: None, hubs: list[HubServer]) -> None:
    ours, theirs = hubs

    header_of(resolve_model(entry(theirs.endpoint)))

    assert len(theirs.log) > 2
    assert not any(request.had_authorization for request in theirs.log)
    assert not ours.log


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://hub.example/a", True),
        ("https://HUB.example:443/b", True),
        ("http://hub.example/a", False),
        ("https://hub.example:8443/a", False),
        ("https://hub.example.evil.example/a", False),
        ("https://hub.example@evil.example/a", False),
    ],
)
def test_the_token_goes_to_one_origin(settings: Settings, url: str, *, goes: bool) -> None:
    settings.HF_ENDPOINT, settings.HF_TOKEN = "https://hub.example/mirror", TOKEN

    assert hub_token(url) == (TOKEN if goes else None)


@pytest.mark.usefixtures("no_inner_addresses")
def test_a_curator_cannot_send_sam_to_an_inner_address(people: People, tmp_path: Path) -> None:
    body: dict[str, Any] = {
        "model_id": "spy",
        "display_name": "Spy",
        "model_family": "llama",
        "huggingface_repo": "org/spy",
        "filename": "spy.gguf",
        "published": True,
    }
    curator, operator = client_of(people.curator), client_of(people.operator)
    with HubServer(tmp_path) as inner:
        created = curator.post(
            "/api/v1/catalog", {**body, "hub_endpoint": inner.endpoint}, format="json"
        )
        refused = operator.post("/api/v1/downloads", {"model_id": "spy"}, format="json")
        assert inner.log == []

    assert created.status_code == 201, created.content
    problem(refused, 400, "address_refused")
    assert CatalogModel.objects.get(model_id="spy").current_revision is None
