"""The way into ``/v1``: its own, but no less guarded than the rest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient, override_settings


def answer(path: str, **more: Any) -> Any:
    return asyncio.run(AsyncClient().get(path, **more))


def test_an_answer_has_the_headers_of_every_other_but_no_session() -> None:
    response = answer("/v1/nothing")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert int(response["Content-Length"]) == len(response.content)
    assert not hasattr(response.asgi_request, "session")


def test_a_strange_host_is_refused() -> None:
    response = answer("/v1/models", headers={"host": "elsewhere.example"})

    assert response.status_code == 400


@override_settings(SECURE_SSL_REDIRECT=True)
def test_with_https_a_plain_request_is_sent_there() -> None:
    response = answer("/v1/models")

    assert response.status_code == 301
    assert response["Location"] == "https://testserver/v1/models"


@pytest.mark.parametrize("path", ["/v10/models", "/V1/models"])
def test_another_address_goes_the_usual_way(path: str) -> None:
    response = answer(path)

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
    assert hasattr(response.asgi_request, "session")
