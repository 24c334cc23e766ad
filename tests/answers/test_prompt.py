from __future__ import annotations

from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.parsing import convert_or_refuse
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.text.control_marks import make_literal, strip_enclosures
from engines.services.answers.messages import AnswerRequest
from engines.services.answers.prompt import fit_prompt, render, validate_messages
from engines.services.people.preferences import Prompts
from engines.specs import EngineSpec

OWN_TEMPLATE = Prompts("llama", "Be brief.", "Think first.", "")
OWN_FORMAT = Prompts("x", "Be brief.", "", "<|user|>{user_input}<|assistant|>")


def message(role: str, content: str) -> ChatMessage:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "bad",
    [
        "hello",
        7,
        [{"role": "user", "content": 7}],
        [{"role": "user"}],
        ["hello"],
        [{"role": "user", "content": "x"}] * 2001,
        [{"role": "user", "content": "x", "tool_calls": [7]}],
    ],
)
def test_what_has_not_the_shape_of_messages_is_no_request(bad: object) -> None:
    with pytest.raises(InvalidRequestError, match="messages"):
        convert_or_refuse({"user_id": 1, "messages": bad}, AnswerRequest)


@pytest.mark.parametrize("bad", [[], [{"role": "root", "content": "x"}]])
def test_what_is_no_conversation_is_refused(bad: list[ChatMessage]) -> None:
    with pytest.raises(InvalidRequestError):
        validate_messages(bad)


def test_without_a_chat_format_the_models_own_template_gets_the_messages() -> None:
    assert render(OWN_TEMPLATE, [message("user", "Hi")]) == [
        message("system", "Be brief.\n\nThink first."),
        message("user", "Hi"),
    ]


def test_a_chat_format_wraps_what_the_person_says() -> None:
    turns = [
        message("user", "Hi"),
        message("assistant", "Hello."),
        message("user", "{user_input}?"),
    ]

    prompt = render(OWN_FORMAT, turns)

    assert prompt == (
        f"Be brief.\n<|user|>{make_literal('Hi')}<|assistant|>\n{make_literal('Hello.')}\n"
        f"<|user|>{make_literal('{user_input}?')}<|assistant|>"
    )
    assert strip_enclosures(prompt) == (
        "Be brief.\n<|user|>Hi<|assistant|>\nHello.\n<|user|>{user_input}?<|assistant|>"
    )


@pytest.mark.parametrize("prompts", [OWN_TEMPLATE, OWN_FORMAT], ids=["template", "format"])
def test_a_conversation_longer_than_the_context_loses_its_oldest_messages(
    tiny_llama: Path, prompts: Prompts
) -> None:
    turns = [
        message("user" if number % 2 == 0 else "assistant", f"Turn {number} " + "word " * 20)
        for number in range(41)
    ]
    with LlamaCppEngine.from_spec(
        EngineSpec("tiny", "tiny", str(tiny_llama), context_length=256)
    ) as engine:
        engine.load_model()
        fitted = fit_prompt(engine, prompts, turns, 32)
        prompt = fitted.prompt
        text = prompt if isinstance(prompt, str) else engine.format_prompt(prompt)
        used = engine.count_prompt_tokens(prompt)
        short = fit_prompt(engine, prompts, turns[-1:], 32)

    assert used <= 256 - 32
    assert "Be brief." in text
    assert "Turn 40" in text
    assert "Turn 0 " not in text
    assert 0 < fitted.left_out <= 40
    assert f"Turn {fitted.left_out} " in text
    assert f"Turn {fitted.left_out - 1} " not in text
    assert (short.prompt, short.left_out) == (render(prompts, turns[-1:]), 0)
