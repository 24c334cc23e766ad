"""``/v1/responses`` through the unmodified ``openai`` client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator

from engines.models import TokenUsage
from tests.compatible_api.conftest import THINKS, Caller
from tests.compatible_api.questions import PLACE, REPLY, WEATHER

QUESTION = "How will the weather be?"
COMMON: dict[str, Any] = {
    "model": "sam",
    "input": QUESTION,
    "max_output_tokens": 24,
    "temperature": 0,
}
TOOLS: Any = [{"type": "function", "name": WEATHER, "parameters": PLACE, "strict": True}]
MUST: Any = {"type": "function", "name": WEATHER}


@pytest.fixture
def client(caller: Caller) -> Iterator[openai.OpenAI]:
    address = f"{caller.address}/v1"
    with openai.OpenAI(base_url=address, api_key=caller.token, max_retries=0) as made:
        yield made


def test_a_whole_answer_and_its_stream_say_the_same(client: openai.OpenAI) -> None:
    whole = client.responses.create(**COMMON, instructions="Be brief.", store=True)
    events: list[Any] = list(
        client.responses.create(**COMMON, instructions="Be brief.", stream=True)
    )
    items: Any = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
    ]
    listed = client.responses.create(**{**COMMON, "input": items})

    final = events[-1].response
    assert whole.output_text == final.output_text == listed.output_text
    assert (whole.status, whole.store) == ("incomplete", False)
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens == 24
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert [event.type for event in events if event.type != "response.output_text.delta"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]


def test_a_tool_is_called_and_its_output_answered(client: openai.OpenAI) -> None:
    asked = {
        **COMMON,
        "max_output_tokens": 300,
        "tools": TOOLS,
        "tool_choice": MUST,
        "parallel_tool_calls": False,
    }
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    (call,) = whole.output
    (streamed,) = final.output
    assert call.type == streamed.type == "function_call"
    history: Any = [
        {"role": "user", "content": QUESTION},
        call.to_dict(),
        {"type": "function_call_output", "call_id": call.call_id, "output": REPLY},
    ]
    answer = client.responses.create(**{**COMMON, "input": history, "tools": TOOLS})

    Draft202012Validator(PLACE).validate(json.loads(call.arguments))
    assert (streamed.name, streamed.arguments) == (WEATHER, call.arguments)
    assert kinds[-3:] == [
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert answer.output_text


def test_an_answer_keeps_a_schema(client: openai.OpenAI) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "place", "schema": PLACE}}
    answer = client.responses.create(**{**COMMON, "max_output_tokens": 300}, text=form)

    Draft202012Validator(PLACE).validate(json.loads(answer.output_text))
    assert answer.status == "completed"


def test_reasoning_is_an_item_of_its_own(client: openai.OpenAI) -> None:
    asked = {**COMMON, "model": THINKS, "reasoning": {"effort": "low"}}
    events: list[Any] = list(client.responses.create(**asked, stream=True))
    first = events[-1].response.output[0]

    assert "response.reasoning_summary_text.delta" in {event.type for event in events}
    assert (first.type, bool(first.summary[0].text)) == ("reasoning", True)


def test_a_client_that_leaves_in_the_middle_frees_its_engine(client: openai.OpenAI) -> None:
    with client.responses.stream(**{**COMMON, "max_output_tokens": 1000}) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
    after = client.responses.create(**COMMON)

    assert after.output_text


def test_errors_are_the_clients_own(client: openai.OpenAI, caller: Caller) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(**{**COMMON, "model": "nothing"})
    with pytest.raises(openai.BadRequestError) as kept:
        client.responses.create(**COMMON, previous_response_id="resp_1")
    search: Any = [{"type": "web_search"}]
    with pytest.raises(openai.BadRequestError) as theirs:
        client.responses.create(**COMMON, tools=search)
    with pytest.raises(openai.NotFoundError, match="no rank model is offered to you") as ranks:
        client.post(
            "/rerank", body={"model": "sam", "query": "?", "documents": ["a"]}, cast_to=object
        )
    with (
        openai.OpenAI(base_url=f"{caller.address}/v1", api_key="wrong") as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.responses.create(**COMMON)

    assert unknown.value.code == "model_not_found"
    assert kept.value.param == "previous_response_id"
    assert "send the earlier items in input" in str(kept.value)
    assert ranks.value.code == "model_not_found"
    assert theirs.value.param == "tools[0]"
    assert not TokenUsage.objects.exists()
