"""Pages of other origins, methods that ask about an address, and slashes too many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from samproject import env

PAGE = "https://chat.example.org"
ASK = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, x-y",
}
ALLOWED = "Access-Control-Allow-Origin"


def asked(method: str, path: str, **headers: str) -> Any:
    async def answered() -> Any:
        return await AsyncClient().generic(method, path, headers=headers)

    return asyncio.run(answered())


def test_a_page_of_an_origin_that_is_named_may_ask_and_read(settings: Settings) -> None:
    settings.SAM_CORS_ORIGINS = [PAGE]

    told = asked("OPTIONS", "/v1/chat/completions", Origin=PAGE, **ASK)
    read = asked("GET", "/v1/nothing", Origin=PAGE)

    assert (told.status_code, told.content) == (204, b"")
    assert told["Access-Control-Allow-Headers"] == "authorization, x-y"
    assert "POST" in told["Access-Control-Allow-Methods"]
    for response in (told, read):
        assert response[ALLOWED] == PAGE
        assert "Origin" in response["Vary"]
    assert "X-SAM-Ignored" in read["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in read


@pytest.mark.parametrize("named", [[], ["https://other.example.org"]])
def test_any_other_page_is_told_nothing(settings: Settings, named: list[str]) -> None:
    settings.SAM_CORS_ORIGINS = named

    for response in (
        asked("OPTIONS", "/v1/chat/completions", Origin=PAGE, **ASK),
        asked("GET", "/v1/nothing", Origin=PAGE),
    ):
        assert not [name for name in response.headers if name.startswith("Access-Control")]


def test_a_star_lets_any_page_ask(settings: Settings) -> None:
    settings.SAM_CORS_ORIGINS = ["*"]

    assert asked("GET", "/v1/nothing", Origin=PAGE)[ALLOWED] == "*"
    assert ALLOWED not in asked("GET", "/v1/nothing")


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/chat/completions", "POST, OPTIONS"), ("/v1/models", "GET, HEAD, OPTIONS")],
)
def test_an_address_tells_its_methods_to_anybody(path: str, methods: str) -> None:
    response = asked("OPTIONS", path)

    assert (response.status_code, response["Allow"]) == (204, methods)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/", "/v1//chat/completions", "/v1//embeddings//"]
)
def test_slashes_too_many_lead_to_the_same_door(path: str) -> None:
    response = asked("OPTIONS", path)

    assert (response.status_code, response["Allow"]) == (204, "POST, OPTIONS")


@pytest.mark.parametrize(
    "given", ["chat.example.org", "https://chat.example.org/", "ftp://x", "https://"]
)
def test_what_is_no_origin_is_refused_when_sam_starts(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("SAM_CORS_ORIGINS", given)

    with pytest.raises(env.EnvironmentVariableError, match="write origins as https://"):
        env.read_origins("SAM_CORS_ORIGINS")
