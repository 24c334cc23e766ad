"""What a client may send: the fields one by one, without any server."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from migrations_app.openai_api.bodies import (
    chat_request,
    completion_request,
    embedding_request,
    read_body,
)
from migrations_app.openai_api.errors import RefusedError

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "sam", "messages": MESSAGES}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": MESSAGES * 2001}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [*MESSAGES, {"role": "tool", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content",
        ),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]},
            "messages[0]",
        ),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"stop": 7}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"else": 1}}, "stream_options"),
        ({"stream": True, "stream_options": [1]}, "stream_options"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"knowledge": {"k": 0}}, "knowledge"),
        ({"knowledge": {"k": 21}}, "knowledge"),
        ({"knowledge": {"of": "bob"}}, "knowledge"),
        ({"knowledge": "all"}, "knowledge"),
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": 7}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"enable_thinking": "no"}}, "enable_thinking"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_a_chat_that_cannot_be_served_is_refused_by_field(more: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as caught:
        chat_request({**CHAT, **more})

    assert (caught.value.param, caught.value.status) == (param, 400)
    assert str(caught.value).endswith(".")


def test_a_chat_becomes_what_the_worker_reads() -> None:
    asked = chat_request(
        {
            "model": "tiny",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]},
            ],
            "max_tokens": 9,
            "max_completion_tokens": 7,
            "temperature": 0,
            "top_k": 5,
            "seed": -1,
            "stop": "END",
            "stream": True,
            "stream_options": {"include_usage": True},
            "knowledge": {"k": 3},
            "user": "someone",
            "n": 1,
            "tools": None,
            "response_format": {"type": "text"},
        }
    )  # fmt: skip

    assert (asked.model, asked.stream, asked.include_usage) == ("tiny", True, True)
    assert asked.payload == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi!"},
        ],
        "max_tokens": 7,
        "temperature": 0,
        "top_k": 5,
        "seed": 0xFFFFFFFE,
        "stop": "END",
        "knowledge": 3,
    }


@pytest.mark.parametrize("wanted", [True, False])
def test_the_thinking_switch_is_passed_on(wanted: bool) -> None:
    asked = {**CHAT, "chat_template_kwargs": {"enable_thinking": wanted}}

    assert chat_request(asked).payload["thinking"] is wanted


@pytest.mark.parametrize(("given", "k"), [(True, 4), ({}, 4), ({"k": 20}, 20)])
def test_knowledge_is_asked_for_with_or_without_a_number(given: Any, k: int) -> None:
    assert chat_request({**CHAT, "knowledge": given}).payload["knowledge"] == k


@pytest.mark.parametrize("given", [None, False])
def test_knowledge_that_is_not_asked_for_is_not_used(given: Any) -> None:
    assert "knowledge" not in chat_request({**CHAT, "knowledge": given}).payload


@pytest.mark.parametrize("prompt", [None, "", [], ["a", "b"], [1, 2], [[1, 2]], 7])
def test_a_completion_has_one_prompt(prompt: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        completion_request({"model": "sam", "prompt": prompt})

    assert caught.value.param == "prompt"


@pytest.mark.parametrize("more", [{"echo": True}, {"best_of": 2}, {"suffix": "x"}, {"logprobs": 3}])
def test_a_completion_that_cannot_be_served_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        completion_request({"model": "sam", "prompt": "Once", **more})

    assert caught.value.param == next(iter(more))


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": ["float"]}, "encoding_format"),
        ({"dimensions": "few"}, "dimensions"),
        ({"input_type": "passage"}, "input_type"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_texts_that_cannot_be_embedded_are_refused_by_field(
    more: dict[str, Any], param: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        embedding_request({"model": "sam", "input": "a", **more})

    assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"temperature": NaN}', b"[" * 100_000]
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    request = RequestFactory().post("/v1/x", body, content_type="application/json")

    with pytest.raises(RefusedError, match="body"):
        read_body(request)
