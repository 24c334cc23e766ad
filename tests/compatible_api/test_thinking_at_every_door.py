"""Whether to reason is a wish: an engine without a switch answers, and a header says that it changed nothing."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from migrations_app.openai_api.responses import Opening
from tests.compatible_api.conftest import THINKS, Caller

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
OLLAMAS = {"messages": ASKED["messages"], "options": {"num_predict": 8}, "stream": False}
TAKES = [
    ("/v1/chat/completions", {**ASKED, "reasoning_effort": "minimal"}, "reasoning_effort"),
    ("/v1/chat/completions", {**ASKED, "reasoning": {"enabled": True}}, "reasoning.enabled"),
    ("/v1/chat/completions", {**ASKED, "think": False, "stream": True}, "think"),
    ("/v1/messages", {**ASKED, "thinking": {"type": "disabled"}}, "thinking"),
    (
        "/v1/messages",
        {**ASKED, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        "thinking",
    ),
    (
        "/v1/responses",
        {"input": "Hi", "max_output_tokens": 16, "reasoning": {"effort": "none"}},
        "reasoning.effort",
    ),
    ("/v1/chat/completions", {**ASKED, "reasoning_effort": "high"}, "reasoning_effort"),
    (
        "/v1/messages",
        {**ASKED, "thinking": {"type": "adaptive", "budget_tokens": 2048}},
        "thinking.budget_tokens",
    ),
    ("/v1/messages", {**ASKED, "output_config": {"effort": "low"}}, "output_config.effort"),
    ("/api/chat", {**OLLAMAS, "think": True}, "think"),
    ("/api/generate", {"prompt": "Hi", "stream": False, "think": False}, "think"),
]


@pytest.mark.parametrize(("path", "body", "name"), TAKES)
def test_a_wish_that_the_engine_cannot_fulfil_is_named_and_refuses_nothing(
    caller: Caller, path: str, body: dict[str, Any], name: str
) -> None:
    with httpx2.Client(headers={"Authorization": f"Bearer {caller.token}"}) as client:
        url = f"{caller.address}{path}"
        answer = client.post(url, json={**body, "model": "sam"}, timeout=60)

    assert answer.status_code == 200, answer.text
    assert name in answer.headers["x-sam-ignored"].split(", ")


@pytest.mark.parametrize("has_own_format", [False, True])
@pytest.mark.parametrize(("path", "body", "name"), TAKES)
def test_a_wish_is_named_where_no_template_is_told_of_it(
    caller: Caller, switcher: str, path: str, body: dict[str, Any], name: str, has_own_format: bool
) -> None:
    if has_own_format:
        caller.user.prompts.create(family="qwen3", chat_format="<user>{user_input}</user>")
    with httpx2.Client(headers={"Authorization": f"Bearer {caller.token}"}) as client:
        url = f"{caller.address}{path}"
        answer = client.post(url, json={**body, "model": switcher}, timeout=60)

    assert answer.status_code == 200, answer.text
    assert (name in answer.headers.get("x-sam-ignored", "").split(", ")) is has_own_format


@pytest.mark.parametrize("thinking", [{}, {"enable_thinking": True}])
def test_an_effort_is_named_where_the_form_of_the_answer_leaves_no_room_to_think(
    caller: Caller, switcher: str, thinking: dict[str, Any]
) -> None:
    body = {**ASKED, "reasoning_effort": "high", "response_format": {"type": "json_object"}}
    with httpx2.Client(headers={"Authorization": f"Bearer {caller.token}"}) as client:
        url = f"{caller.address}/v1/chat/completions"
        answer = client.post(url, json={**body, **thinking, "model": switcher}, timeout=60)

    assert answer.status_code == 200, answer.text
    assert (answer.headers.get("x-sam-ignored") == "reasoning_effort") is (not thinking)


def test_a_level_that_was_heard_is_not_named_where_there_is_no_switch() -> None:
    told = Opening(has_no_switch=True)
    untold = Opening(has_no_effort=True)

    assert told.name_unheard("think", "think") == []
    assert told.name_unheard("think", "") == ["think"]
    assert untold.name_unheard("think", "think") == ["think"]
    assert untold.name_unheard("", "reasoning_effort") == ["reasoning_effort"]


def test_a_model_that_always_reasons_does_so_though_its_client_wants_none(caller: Caller) -> None:
    body = {**ASKED, "model": THINKS, "reasoning_effort": "none"}
    with httpx2.Client(headers={"Authorization": f"Bearer {caller.token}"}) as client:
        answer = client.post(f"{caller.address}/v1/chat/completions", json=body, timeout=60)

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["reasoning_content"]
