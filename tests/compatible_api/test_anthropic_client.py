"""The unmodified ``anthropic`` client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from jsonschema import Draft202012Validator

from engines.models import TokenUsage
from tests.compatible_api.conftest import THINKS, Caller
from tests.compatible_api.questions import PLACE, REPLY, WEATHER

MESSAGES: Any = [{"role": "user", "content": "How will the weather be?"}]
COMMON: dict[str, Any] = {
    "model": "sam",
    "messages": MESSAGES,
    "max_tokens": 24,
    "extra_body": {"temperature": 0},
}
TOOLS: Any = [{"name": WEATHER, "description": "Tells it.", "input_schema": PLACE}]


@pytest.fixture
def client(caller: Caller) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=caller.address, api_key=caller.token, max_retries=0) as made:
        yield made


def said(block: Any) -> str:
    assert block.type == "text"
    return str(block.text)


def test_a_whole_answer_and_its_stream_say_the_same(client: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    whole = client.messages.create(**COMMON, system=system)
    with client.messages.stream(**COMMON, system="Be brief.") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    raw = [event.type for event in client.messages.create(**COMMON, system=system, stream=True)]
    counted = client.messages.count_tokens(model="sam", messages=MESSAGES, system="Be brief.")

    assert (whole.model, whole.role, whole.stop_reason) == ("tiny-llama", "assistant", "max_tokens")
    assert [said(block) for block in whole.content] == [said(block) for block in final.content]
    assert final.stop_reason == "max_tokens"
    assert final.usage.output_tokens == whole.usage.output_tokens == 24
    read = whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0)
    assert counted.input_tokens == read
    assert final.usage.input_tokens + (final.usage.cache_read_input_tokens or 0) == read
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert raw[:2] == ["message_start", "content_block_start"]
    assert raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    # Counting is no answer.
    usage = TokenUsage.objects.get()
    assert usage.tokens_in + usage.tokens_out == 3 * (read + 24)


def test_a_tool_is_called_and_its_result_answered(client: anthropic.Anthropic) -> None:
    asked = {**COMMON, "max_tokens": 300, "tools": TOOLS}
    must: Any = {"type": "tool", "name": WEATHER, "disable_parallel_tool_use": True}
    whole = client.messages.create(**asked, tool_choice=must)
    with client.messages.stream(**asked, tool_choice=must) as stream:
        final = stream.get_final_message()
    (call,) = (block for block in whole.content if block.type == "tool_use")
    (streamed,) = (block for block in final.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": REPLY}
    history: Any = [
        *MESSAGES,
        {"role": "assistant", "content": [block.to_dict() for block in whole.content]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    ]
    answer = client.messages.create(**{**asked, "messages": history, "max_tokens": 8})

    assert whole.stop_reason == final.stop_reason == "tool_use"
    assert call.name == WEATHER
    Draft202012Validator(PLACE).validate(call.input)
    assert streamed.input == call.input
    assert answer.usage.output_tokens == 8


def test_models_are_listed_and_shown(client: anthropic.Anthropic) -> None:
    page = client.models.list()
    shown = client.models.retrieve(THINKS)
    grounded = client.models.retrieve("sam+knowledge")
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.models.retrieve("nothing")

    assert [model.id for model in page] == ["sam", "tiny-llama", THINKS, "sam+knowledge"]
    assert (page.first_id, page.last_id, page.has_more) == ("sam", "sam+knowledge", False)
    assert (shown.type, shown.display_name, shown.max_input_tokens) == ("model", THINKS, 1024)
    assert shown.created_at.tzinfo is not None
    assert grounded.id == "sam+knowledge"
    assert unknown.value.type == "not_found_error"


def test_the_clients_tool_runner_goes_on_without_a_thread(client: anthropic.Anthropic) -> None:
    asked: list[bool] = []

    @anthropic.beta_tool
    def weather(today: bool) -> str:
        """Tells it."""
        asked.append(today)
        return REPLY

    runner = client.beta.messages.tool_runner(
        model="sam",
        messages=MESSAGES,
        max_tokens=300,
        tools=[weather],
        tool_choice={"type": "tool", "name": WEATHER},
        max_iterations=2,
    )
    answers = list(runner)

    assert [answer.stop_reason for answer in answers] == ["tool_use"] * 2
    assert len(asked) == 2


def test_an_answer_keeps_a_schema(client: anthropic.Anthropic) -> None:
    form: Any = {"format": {"type": "json_schema", "schema": PLACE}}
    answer = client.messages.create(**{**COMMON, "max_tokens": 300}, output_config=form)

    (block,) = answer.content
    assert block.type == "text"
    Draft202012Validator(PLACE).validate(json.loads(block.text))
    assert answer.stop_reason == "end_turn"


def test_reasoning_is_a_block_of_its_own(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**{**COMMON, "model": THINKS}) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()

    assert "thinking" in kinds
    assert final.content[0].type == "thinking"
    assert final.content[0].thinking


def test_a_client_that_leaves_in_the_middle_frees_its_engine(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**{**COMMON, "max_tokens": 1000}) as stream:
        next(iter(stream.text_stream))
    after = client.messages.create(**COMMON)

    assert after.usage.output_tokens == 24


def test_errors_are_the_clients_own(client: anthropic.Anthropic, caller: Caller) -> None:
    image: Any = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "a"},
    }
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(**{**COMMON, "model": "nothing"})
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(**{**COMMON, "extra_body": {"temperature": 11}})
    with pytest.raises(anthropic.BadRequestError) as unread:
        client.messages.create(**{**COMMON, "messages": [{"role": "user", "content": [image]}]})
    with (
        anthropic.Anthropic(base_url=caller.address, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(**COMMON)

    read = httpx2.get(f"{caller.address}/v1/messages")
    assert (read.status_code, read.json()["error"]["type"]) == (405, "invalid_request_error")
    body: Any = unknown.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert "temperature" in str(wrong.value)
    assert "messages[0].content[0] is of type 'image'" in str(unread.value)
    assert not TokenUsage.objects.exists()
