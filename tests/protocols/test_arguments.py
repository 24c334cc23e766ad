"""Arguments of earlier calls, as programs keep them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrations_app.compatible_api.responses_requests import responses_body, responses_request


@pytest.mark.parametrize("kept", [{"city": "Graz", "near": ["Wien"], "sea": None}, {}, None, ""])
def test_arguments_that_are_an_object_are_read_as_its_text(kept: Any) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": kept}
    result = {"type": "function_call_output", "call_id": "c", "output": "Rain."}
    asked = responses_request(
        responses_body({"model": "sam", "input": [{"role": "user", "content": "Hi"}, call, result]})
    )

    (message,) = [one for one in asked.question.messages or [] if one.get("tool_calls")]
    (read,) = message["tool_calls"]
    assert json.loads(read["function"]["arguments"]) == (kept or {})
