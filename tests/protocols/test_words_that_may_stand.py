"""Who sends a word that may not stand somewhere is told those that may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_requests import ollama_chat
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import Body, chat_request, embedding_request

HI: dict[str, Any] = {"model": "sam", "messages": [{"role": "user", "content": "Hi"}]}
TEXT = {"model": "sam", "input": "Hi"}
WRONG: list[tuple[Callable[[Body], Any], Body, str]] = [
    (
        embedding_request,
        {**TEXT, "encoding_format": "int8"},
        "encoding_format cannot be 'int8'; it must be one of base64, float.",
    ),
    (
        chat_request,
        {**HI, "think": "maybe"},
        "think cannot be 'maybe'; it must be one of high, low, max, medium, minimal, none, xhigh, true, false.",
    ),
    (
        ollama_chat,
        {**HI, "think": "maybe"},
        "think cannot be 'maybe'; it must be one of high, low, max, medium, minimal, none, xhigh, true, false.",
    ),
    (
        messages_request,
        {**HI, "thinking": {"type": "on"}},
        "thinking.type cannot be 'on'; it must be one of adaptive, disabled, enabled.",
    ),
    (
        messages_request,
        {**HI, "messages": [{"role": "tool", "content": "x"}]},
        "messages[0].role cannot be 'tool'; it must be one of assistant, system, user.",
    ),
]


@pytest.mark.parametrize(("read", "body", "sentence"), WRONG)
def test_a_word_that_may_not_stand_somewhere_is_refused_with_those_that_may(
    read: Callable[[Body], Any], body: Body, sentence: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        read(body)

    assert str(refused.value) == sentence
