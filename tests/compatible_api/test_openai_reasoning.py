"""What the other clients are asked here as well, of ``/v1/chat/completions`` by the ``openai`` client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.compatible_api.conftest import THINKS, Caller

COMMON: dict[str, Any] = {
    "messages": [{"role": "user", "content": "How will the weather be?"}],
    "temperature": 0,
    "max_tokens": 24,
}


@pytest.fixture
def client(caller: Caller) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{caller.address}/v1", api_key=caller.token) as made:
        yield made


def test_reasoning_is_told_apart(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=THINKS, **COMMON)

    message = answer.choices[0].message.to_dict()
    assert message["reasoning_content"]
    assert not message["content"]


def test_a_client_that_leaves_in_the_middle_frees_its_engine(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {**COMMON, "max_tokens": 1000, "stream": True}
    with client.chat.completions.create(model="sam", **asked) as stream:
        next(iter(stream))
    after = client.chat.completions.create(model="sam", **COMMON)

    assert after.usage is not None
    assert after.usage.completion_tokens == 24
