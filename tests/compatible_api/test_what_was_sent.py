"""What is refused, and what changes nothing, is told in the words of who sent it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_requests import (
    ollama_chat,
    ollama_prompt,
    ollama_texts,
)
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import AskedText, Body, chat_request
from tests.compatible_api.test_bodies import READERS, TOOL

ASK = {"role": "user", "content": "Hi"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
NAMELESS = {"name": "a b", "input_schema": {"type": "object"}}
SERVER = {"type": "url", "name": "wiki", "url": "https://wiki.example/mcp"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "wiki"}
RESULT = {"type": "tool_result", "tool_use_id": "t9", "content": "Rain."}
FUNCTION = {"type": "function", **TOOL}
responses_request = READERS[1][1]


def messages(**more: Any) -> dict[str, Any]:
    return {"model": "sam", "max_tokens": 9, "messages": [ASK], **more}


def responses(**more: Any) -> dict[str, Any]:
    return {"model": "sam", "input": "Hi", **more}


def ollama(**options: Any) -> dict[str, Any]:
    return {"model": "sam", "messages": [ASK], "options": options}


REFUSED: list[tuple[dict[str, Any], Callable[[Body], AskedText], str]] = [
    (messages(stop_sequences=[str(number) for number in range(20)]), messages_request, "stop_sequences"),
    (messages(system="Be brief.", messages=[ASK, {"role": "user", "content": [RESULT]}]), messages_request, "messages[1].content[0].tool_use_id"),
    (messages(tools=[NAMELESS]), messages_request, "tools"),
    (messages(tools=[{"input_schema": {"type": "object"}}]), messages_request, "tools[0].name"),
    (messages(output_format={"type": "json_schema", "schema": {"a": "x" * 200_000}}), messages_request, "output_config.format"),
    (messages(tools=[NAMELESS | {"name": "f"}], tool_choice={"type": "tool", "name": "g"}), messages_request, "tool_choice.name"),
    (messages(tools=[SEARCH, NAMELESS | {"name": "f"}], tool_choice={"type": "tool", "name": "web_search"}), messages_request, "tool_choice.name"),
    (responses(max_output_tokens=0), responses_request, "max_output_tokens"),
    (responses(instructions="Be brief.", input=[{"content": "Hi"}]), responses_request, "input[0].role"),
    (responses(input=[ASK, {"type": "function_call_output", "call_id": "c9", "output": "Rain."}]), responses_request, "input[1].call_id"),
    (responses(input=[{"type": "web_search_call", "id": "w"}]), responses_request, "input"),
    (responses(text={"format": {"type": "grammar"}}), responses_request, "text.format"),
    (messages(mcp_servers=[SERVER]), messages_request, "mcp_servers"),
    (messages(mcp_servers=[SERVER], tools=[TOOLSET]), messages_request, "tools[0]"),
    (ollama(num_predict=-3), ollama_chat, "options.num_predict"),
    (ollama(temperature=11), ollama_chat, "options.temperature"),
    ({"model": "sam", "prompt": "Hi", "raw": True, "think": True}, ollama_prompt, "raw"),
    ({**ollama(), "think": "a lot"}, ollama_chat, "think"),
    ({"model": "sam", "prompt": "Hi", "format": {"a": "x" * 200_000}}, ollama_prompt, "format"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "read", "place"), REFUSED)
def test_a_refusal_names_what_was_sent(
    body: dict[str, Any], read: Callable[[Body], AskedText], place: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        read(body)

    assert refused.value.param == place
    assert str(refused.value).startswith(place)


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "m"}, {"id": "m"}])
def test_a_reference_to_an_earlier_item_is_said_to_be_one(item: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match=r"^input\[1\] refers to an item of an earlier answer"):
        responses_request(responses(input=[ASK, item]))


def test_a_tool_is_named_by_its_place_beside_those_that_are_left_out() -> None:
    with pytest.raises(RefusedError, match=r"^tools\[1\]\.function\.name must have"):
        messages_request(messages(tools=[SEARCH, NAMELESS]))


IGNORED: list[tuple[dict[str, Any], Callable[[Body], AskedText], list[str]]] = [
    (messages(metadata={"user_id": "u"}, service_tier="auto", output_config={"effort": "low"}), messages_request,
     ["metadata", "service_tier"]),
    (responses(store=True, prompt_cache_key="k", text={"verbosity": "low"}, reasoning={"effort": "high"}),
     responses_request, ["store", "prompt_cache_key", "text.verbosity"]),
    ({"model": "sam", "messages": [ASK], "reasoning": {"effort": "high", "exclude": True}}, chat_request, ["reasoning.exclude"]),
    (responses(reasoning={"effort": "none"}), responses_request, []),
    (responses(reasoning={"effort": "auto"}), responses_request, ["reasoning.effort"]),
    (messages(output_config={"effort": "so so"}, thinking={"type": "enabled", "budget_tokens": -1}), messages_request,
     ["output_config.effort", "thinking.budget_tokens"]),
    (messages(mcp_servers=[SERVER], container="c", betas=["b"], tools=[TOOLSET, NAMELESS | {"name": "f"}]), messages_request,
     ["betas", "container", "mcp_servers", "tools.mcp_toolset"]),
    ({**ollama(num_ctx=8192, temperature=0), "keep_alive": "5m"}, ollama_chat, ["keep_alive", "options.num_ctx"]),
    ({"model": "sam", "prompt": "Once", "raw": True, "think": False}, ollama_prompt, []),
    ({"model": "sam", "prompt": "Once", "raw": True, "think": "none"}, ollama_prompt, []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "read", "ignored"), IGNORED)
def test_what_changes_nothing_is_named_at_every_door(
    body: dict[str, Any], read: Callable[[Body], AskedText], ignored: list[str]
) -> None:
    assert list(read(body).ignored) == ignored


@pytest.mark.parametrize(
    ("think", "thinking"),
    [(False, False), ("none", False), ("minimal", False), ("high", True), ("", None)],
)
def test_ollamas_clients_switch_the_reasoning_by_the_same_words(
    think: bool | str, thinking: bool | None
) -> None:
    assert ollama_chat({**ollama(), "think": think}).question.thinking is thinking


def test_a_prompt_that_is_continued_ends_where_its_client_says() -> None:
    prompt = {"model": "sam", "prompt": "Once", "raw": True}

    limits = [
        ollama_prompt({**prompt, "options": options}).question.max_tokens
        for options in ({}, {"num_predict": -1}, {"num_predict": 0}, {"num_predict": 9})
    ]

    assert limits == [0, 0, 0, 9]


def test_texts_are_embedded_whatever_a_server_is_asked_for_besides() -> None:
    body = {"model": "sam", "input": "Hi", "truncate": False, "options": {"num_ctx": 9}}

    assert ollama_texts(body).ignored == ("truncate", "options")


CHAT = {"model": "sam", "messages": [ASK]}
EFFORTS: list[tuple[dict[str, Any], Callable[[Body], AskedText], str, object, object]] = [
    (messages(output_config={"effort": "max"}), messages_request, "output_config.effort", None, "max"),
    (messages(thinking={"type": "enabled", "budget_tokens": 31999}), messages_request, "thinking.budget_tokens", True, 31999),
    (responses(reasoning={"effort": "xhigh"}), responses_request, "reasoning.effort", None, "xhigh"),
    ({**ollama(), "think": "medium"}, ollama_chat, "think", True, "medium"),
    ({"model": "sam", "prompt": "Once", "think": "xhigh"}, ollama_prompt, "think", True, "xhigh"),
    ({**CHAT, "chat_template_kwargs": {"low_effort": True}}, chat_request, "chat_template_kwargs.low_effort", None, "low"),
    ({**CHAT, "chat_template_kwargs": {"reasoning_budget": 2048.0}}, chat_request, "chat_template_kwargs.reasoning_budget", None, 2048),
    ({**CHAT, "chat_template_kwargs": {"thinking_effort": "max"}}, chat_request, "chat_template_kwargs.thinking_effort", None, "max"),
    ({**CHAT, "thinking_budget": 1024.0}, chat_request, "thinking_budget", None, 1024),
    ({**CHAT, "reasoning": {"max_tokens": 2000}}, chat_request, "reasoning.max_tokens", None, 2000),
    ({**CHAT, "chat_template_kwargs": {"thinking_budget": 512}}, chat_request, "chat_template_kwargs.thinking_budget", None, 512),
    ({**CHAT, "thinking_budget": 0, "reasoning_effort": None}, chat_request, "", False, None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "read", "name", "thinking", "effort"), EFFORTS)
def test_how_much_to_think_is_read_at_every_door(
    body: dict[str, Any],
    read: Callable[[Body], AskedText],
    name: str,
    thinking: object,
    effort: object,
) -> None:
    asked = read(body)

    assert (asked.effort, asked.question.thinking, asked.question.effort) == (
        name,
        thinking,
        effort,
    )
    assert list(asked.ignored) == []


AGAINST: list[tuple[Callable[[Body], AskedText], dict[str, Any], str]] = [
    (
        messages_request,
        messages(thinking={"type": "disabled"}, output_config={"effort": "high"}),
        "output_config.effort",
    ),
    (
        messages_request,
        messages(
            thinking={"type": "enabled", "budget_tokens": 2000}, output_config={"effort": "low"}
        ),
        "thinking.budget_tokens",
    ),
    (chat_request, {**CHAT, "thinking_budget": 2000, "reasoning_effort": "low"}, "thinking_budget"),
    (
        chat_request,
        {**CHAT, "enable_thinking": False, "reasoning_effort": "high"},
        "reasoning_effort",
    ),
    (chat_request, {**CHAT, "enable_thinking": False, "think": "high"}, "think"),
    (chat_request, {**CHAT, "think": False, "thinking_budget": 2048}, "thinking_budget"),
    (chat_request, {**CHAT, "think": "low", "reasoning": {"effort": "high"}}, "reasoning.effort"),
    (
        chat_request,
        {**CHAT, "reasoning": {"effort": "high"}, "reasoning_effort": "none"},
        "reasoning.effort",
    ),
]


@pytest.mark.parametrize(("read", "body", "unheard"), AGAINST)
def test_a_wish_that_contradicts_itself_names_what_is_not_heard(
    read: Callable[[Body], AskedText], body: dict[str, Any], unheard: str
) -> None:
    asked = read(body)

    assert asked.ignored == (unheard,)
    assert asked.effort != unheard


def test_a_wish_that_is_sent_twice_contradicts_nothing() -> None:
    asked = chat_request(
        {**CHAT, "enable_thinking": True, "think": "high", "reasoning_effort": "high"}
    )

    assert (asked.question.thinking, asked.question.effort, asked.ignored) == (True, "high", ())
