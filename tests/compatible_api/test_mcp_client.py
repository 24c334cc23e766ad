"""MCP through its official client, by the handshake of today and by that of older clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from engines.models import EnginePreference, TokenScope
from migrations_app.compatible_api import mcp_server
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.compatible_api.conftest import THINKS, Caller
from tests.tokens import token_for

READING = {"search_knowledge", "engine_state", "list_plans", "show_plan", "preview_plan"}
CHANGING = {"create_plan", "execute_plan"}
Asking = Callable[[Client], Awaitable[Any]]


def talk(address: str, token: str, asking: Asking, mode: Any = "auto") -> Any:
    """What comes of a conversation with a client that is set up with a token."""

    async def conversation() -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=120) as http,
            Client(streamable_http_client(f"{address}/mcp", http_client=http), mode=mode) as client,
        ):
            return await asking(client)

    return asyncio.run(conversation())


async def named(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


async def version(client: Client) -> str:
    assert client.server_info is not None
    return client.server_info.version


async def state(client: Client) -> Any:
    return (await client.call_tool("engine_state")).structured_content


def calling(name: str, **given: Any) -> Asking:
    async def call(client: Client) -> Any:
        return await client.call_tool(name, given)

    return call


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_are_listed_and_tell_of_the_engine(caller: Caller, mode: str) -> None:
    assert talk(caller.address, caller.token, named, mode) == READING | CHANGING
    assert talk(caller.address, caller.token, version, mode) == settings.VERSION
    told = talk(caller.address, caller.token, state, mode)
    found = talk(caller.address, caller.token, calling("search_knowledge", query="A bridge"), mode)

    assert (told["status"], told["engine"]["model_id"]) == ("ready", "tiny-llama")
    assert (found.is_error, found.structured_content["hits"]) == (False, [])


def test_a_plan_is_made_previewed_and_executed(caller: Caller) -> None:
    async def migrate(client: Client) -> list[Any]:
        made = await client.call_tool("create_plan", {"to_engine": THINKS})
        plan = {"plan_id": made.structured_content["id"]}
        previewed = await client.call_tool("preview_plan", plan)
        started = await client.call_tool("execute_plan", plan)
        shown = await client.call_tool("show_plan", plan)
        listed = await client.call_tool("list_plans")
        return [each.structured_content for each in (made, previewed, started, shown, listed)]

    made, previewed, started, shown, listed = talk(caller.address, caller.token, migrate)

    plan = Plan.objects.get()
    assert made["status"] == PlanStatus.PENDING
    assert previewed["to_engine"] == THINKS
    assert (started["id"], shown["id"]) == (str(plan.pk), str(plan.pk))
    assert shown["steps"]
    assert [each["id"] for each in listed["plans"]] == [str(plan.pk)]
    assert plan.status == PlanStatus.IN_PROGRESS
    assert plan.created_by == caller.user
    assert caller.user.username in {event.who for event in plan.events.all()}


def test_the_scope_of_a_token_decides_what_is_offered(caller: Caller) -> None:
    reading = caller.token_of(TokenScope.READ)
    refused = talk(caller.address, reading, calling("create_plan", to_engine=THINKS))
    with pytest.raises(ExceptionGroup):
        talk(caller.address, caller.token_of(TokenScope.ANSWERS), named)
    with pytest.raises(ExceptionGroup):
        talk(caller.address, "wrong", named)

    assert talk(caller.address, reading, named) == READING
    assert refused.is_error
    assert "This token may only read" in refused.content[0].text
    assert not Plan.objects.exists()


def test_what_is_wrong_or_anothers_is_told_to_the_model(caller: Caller) -> None:
    other = User.objects.create(username="ada")
    EnginePreference.objects.create(
        user=other, engine=caller.revision.model, revision=caller.revision
    )
    theirs = talk(caller.address, token_for(other), calling("create_plan", to_engine=THINKS))
    plan_id = theirs.structured_content["id"]
    answers = [
        talk(caller.address, caller.token, asking)
        for asking in (
            calling("show_plan", plan_id=plan_id),
            calling("execute_plan", plan_id=plan_id),
            calling("show_plan", plan_id="1"),
            calling("search_knowledge", query="?", k=1000),
            calling("create_plan", to_engine="nothing"),
            calling("nothing"),
            calling("create_plan", to_engine="a\0b"),
            calling("show_plan", plan_id=f"{plan_id}\n"),
        )
    ]

    assert [answer.is_error for answer in answers] == [True] * 8
    assert "no such plan of yours" in answers[0].content[0].text
    assert Plan.objects.get().status == PlanStatus.PENDING
    assert "k must be" in answers[3].content[0].text
    assert "No model is called" in answers[6].content[0].text
    assert "plan_id must be" in answers[7].content[0].text


def test_an_error_of_ours_keeps_its_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a statement with hush-hush")

    monkeypatch.setattr(mcp_server, "call_tool", fail)
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_plans"}}
    headers = [(b"content-type", b"application/json"), (b"accept", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers}

    answer = asyncio.run(
        mcp_server.answer_message(User(username="alan"), json.dumps(asked).encode(), scope)
    )

    assert json.loads(answer.content)["result"]["isError"] is True
    assert b"hush-hush" not in answer.content
    assert "a tool failed" in caplog.text


def called(tool: str, arguments: str) -> str:
    """A call as a client writes it that does not use the official kit."""
    params = f'{{"name": "{tool}", "arguments": {arguments}}}'
    return f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("engine_state", '{"random_string": "dummy"}'),
        ("list_plans", '{"limit": 3.0}'),
        ("list_plans", '{"limit": null}'),
        ("search_knowledge", '{"query": "A bridge \\ud83d"}'),
    ],
)
def test_arguments_are_taken_as_models_and_clients_write_them(
    caller: Caller, tool: str, arguments: str
) -> None:
    answer = posted(caller, called(tool, arguments))

    assert answer.json()["result"]["isError"] is False


def test_what_is_no_single_message_is_told_so(caller: Caller) -> None:
    ping = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    batch, broken = posted(caller, f"[{ping}, {ping}]"), posted(caller, ping[:-1])

    assert (batch.status_code, broken.status_code) == (400, 400)
    assert batch.json()["error"]["message"] == "The body must be a JSON object."
    assert "at character" in broken.json()["error"]["message"]


def test_a_message_needs_no_right_header(caller: Caller) -> None:
    ping = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'

    answers = [posted(caller, ping, media_type) for media_type in ("text/plain", "")]

    assert [answer.json() for answer in answers] == [{"jsonrpc": "2.0", "id": 1, "result": {}}] * 2


def posted(caller: Caller, body: str, media_type: str = "application/json") -> httpx2.Response:
    headers = {
        "Authorization": f"Bearer {caller.token}",
        "Content-Type": media_type,
        "Accept": "application/json, text/event-stream",
    }
    return httpx2.post(f"{caller.address}/mcp", content=body, headers=headers, timeout=120)


def test_only_posts_with_a_token_are_answered(caller: Caller) -> None:
    with httpx2.Client(base_url=caller.address) as http:
        unsigned = http.post("/mcp", json={})
        read = http.get("/mcp", headers={"Authorization": f"Bearer {caller.token}"})

    assert (unsigned.status_code, unsigned.headers["www-authenticate"]) == (401, "Bearer")
    assert unsigned.json()["jsonrpc"] == "2.0"
    assert (read.status_code, read.headers["allow"]) == (405, "POST")
