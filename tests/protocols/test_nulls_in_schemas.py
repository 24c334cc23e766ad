"""Keywords of a schema that are null, as serializers write what was not said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_requests import ollama_chat
from migrations_app.compatible_api.responses_requests import responses_body, responses_request
from migrations_app.openai_api.requests import AskedText, Body, chat_request

GIVEN: dict[str, Any] = {
    "type": "object",
    "title": None,
    "required": None,
    "additionalProperties": None,
    "properties": {
        "required": {"type": "string", "enum": None, "pattern": None, "default": None},
        "any": None,
        "never": False,
        "none": {"const": None},
        "one": {"anyOf": [{"type": "integer", "minimum": None}, {"enum": [None, 1]}]},
    },
    "patternProperties": {"^x": None},
    "$defs": None,
}
MEANT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "required": {"type": "string", "default": None},
        "any": {},
        "never": False,
        "none": {"const": None},
        "one": {"anyOf": [{"type": "integer"}, {"enum": [None, 1]}]},
    },
    "patternProperties": {"^x": {}},
}
HI = {"model": "sam", "messages": [{"role": "user", "content": "Hi"}]}
FUNCTION = {"name": "f", "parameters": GIVEN}
TOOL = {"type": "function", "function": FUNCTION}
Reader = Callable[[Body], AskedText]


def read_response(body: Body) -> AskedText:
    return responses_request(responses_body(body))


TOOLS: list[tuple[Reader, Body]] = [
    (chat_request, {**HI, "tools": [TOOL]}),
    (ollama_chat, {**HI, "tools": [TOOL]}),
    (messages_request, {**HI, "tools": [{"name": "f", "input_schema": GIVEN}]}),
    (read_response, {"model": "sam", "input": "Hi", "tools": [{"type": "function", **FUNCTION}]}),
]
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": GIVEN}}
FLAT = {"type": "json_schema", "name": "a", "schema": GIVEN}
FORMS: list[tuple[Reader, Body]] = [
    (chat_request, {**HI, "response_format": FORM}),
    (ollama_chat, {**HI, "format": GIVEN}),
    (
        messages_request,
        {**HI, "output_config": {"format": {"type": "json_schema", "schema": GIVEN}}},
    ),
    (read_response, {"model": "sam", "input": "Hi", "text": {"format": FLAT}}),
]


@pytest.mark.parametrize(("read", "body"), TOOLS)
def test_a_tools_schema_is_read_without_what_is_null(read: Reader, body: Body) -> None:
    (tool,) = read(body).question.tools or []

    assert tool["function"]["parameters"] == MEANT


@pytest.mark.parametrize(("read", "body"), FORMS)
def test_a_schema_of_the_answer_is_read_without_what_is_null(read: Reader, body: Body) -> None:
    form = read(body).question.response_format or {}

    assert form["json_schema"]["schema"] == MEANT
