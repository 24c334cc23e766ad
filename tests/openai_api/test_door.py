"""The way into ``/v1``: its own, but no less guarded than the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.test import AsyncClient, override_settings
from django.urls import resolve

from migrations_app.openai_api.errors import SERVED


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


def openai_sentence(body: Any) -> str:
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return str(body["error"]["message"])


def anthropic_sentence(body: Any) -> str:
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    return str(body["error"]["message"])


def ollama_sentence(body: Any) -> str:
    return str(body["error"])


def mcp_sentence(body: Any) -> str:
    assert (set(body), set(body["error"])) == ({"error", "jsonrpc", "id"}, {"code", "message"})
    return str(body["error"]["message"])


def problem_sentence(body: Any) -> str:
    assert set(body) == {"type", "title", "status", "code", "detail"}
    return str(body["detail"])


V1, ENDS = (
    "/v1/chat/completions, /v1/completions",
    "The base address of OpenAI's clients ends in /v1",
)
UNSERVED: list[tuple[str, Callable[[Any], str], str]] = [
    ("/v1/moderations", openai_sentence, V1),
    ("/v1/audio/speech", openai_sentence, V1),
    ("/v1/batches/b1/cancel", openai_sentence, V1),
    ("/v1/responses/resp_1", openai_sentence, "SAM keeps no answers"),
    ("/v1/responses/resp_1/cancel", openai_sentence, "SAM keeps no answers"),
    ("/v1/responses/input_tokens", openai_sentence, V1),
    ("/v1/conversations", openai_sentence, "SAM keeps no answers"),
    ("/v1", openai_sentence, V1),
    ("/v1/", openai_sentence, V1),
    ("/v1/v1/chat/completions", openai_sentence, ENDS),
    ("/chat/completions", openai_sentence, ENDS),
    ("/embeddings/", openai_sentence, ENDS),
    ("/models", openai_sentence, ENDS),
    ("/rerank", openai_sentence, ENDS),
    ("/v1/v1/messages", anthropic_sentence, "ends before /v1: ask /v1/messages."),
    ("/v2/chat", openai_sentence, "there is /v2/rerank"),
    ("/v2/embed/", openai_sentence, "there is /v2/rerank"),
    ("/api/api/chat", ollama_sentence, "/api/chat, generate"),
    ("/openai/deployments/sam/images/generations", openai_sentence, V1),
    ("/openai/v1/files", openai_sentence, V1),
    ("/v1/messages/batches", anthropic_sentence, "/v1/messages/count_tokens"),
    ("/v1/messages/batches/b1/results", anthropic_sentence, "/v1/messages/count_tokens"),
    ("/api/pull", ollama_sentence, "/api/chat, generate"),
    ("/api/blobs/sha256:00", ollama_sentence, "/api/chat, generate"),
    ("/api/chat/xyz", ollama_sentence, "/api/chat, generate"),
    ("/api/version/x", ollama_sentence, "/api/chat, generate"),
    ("/mcp/tools", mcp_sentence, "MCP is served at /mcp."),
    ("/api/chats", ollama_sentence, "/api/docs/"),
    ("/api/v1/chat", problem_sentence, "/api/docs/"),
    ("/api/v1/people/%C2%84/roles/administrator", problem_sentence, "/api/docs/"),
]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1/models", openai_sentence),
        ("/v1/messages", lambda body: str(body["error"]["message"])),
        ("/v1//messages/", lambda body: str(body["error"]["message"])),
        ("/api/tags", ollama_sentence),
        ("/api/v1/catalog", problem_sentence),
    ],
)
def test_a_name_that_is_not_ours_is_said_as_each_client_reads_it(
    path: str, sentence: Callable[[Any], str]
) -> None:
    with override_settings(ALLOWED_HOSTS=["sam.example"]):
        response = answer(path)

    assert response.status_code == 400
    assert "does not answer at 'testserver'" in sentence(response.json())
    assert "SAM_ALLOWED_HOSTS" in sentence(response.json())
    assert response.json().get("type", "error") in ("error", "about:blank")


def test_a_person_at_a_name_that_is_not_ours_reads_a_page() -> None:
    with override_settings(ALLOWED_HOSTS=["sam.example"]):
        html = answer("/").content.decode()

    assert "SAM does not answer at &#x27;testserver&#x27;" in html


@pytest.mark.parametrize(("path", "sentence", "named"), UNSERVED)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_what_is_not_served_says_what_is_as_each_client_reads_it(
    method: str, path: str, sentence: Callable[[Any], str], named: str
) -> None:
    response = asyncio.run(getattr(AsyncClient(), method)(path))

    assert response.status_code == 404
    assert named in sentence(response.json())


@pytest.mark.parametrize("path", ["/openai", "/embed", "/x"])
def test_an_address_that_nobody_knows_is_told_programs_as_programs_read_it(path: str) -> None:
    posted = asyncio.run(AsyncClient().post(path, "{}", "application/json"))
    asked = answer(path, headers={"accept": "application/json"})
    looked_at = answer(path, headers={"accept": "text/html,application/json;q=0.9,*/*;q=0.8"})

    assert V1 in openai_sentence(posted.json())
    assert posted.content == asked.content
    assert looked_at["Content-Type"].startswith("text/html")
    assert [one.status_code for one in (posted, asked, looked_at)] == [404] * 3


@pytest.mark.parametrize("path", SERVED)
def test_what_is_said_to_be_served_is(path: str) -> None:
    assert not resolve(path).func.__name__.startswith("unknown")


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
