"""Publishers' own templates: none loses a text, and what they show whole they get as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.templates.shapes import TOOL, TOOL_TEXT
from engines.runtimes.templates.takings import KINDS, find_losses
from tests.runtimes.templates.page import COLUMNS, PAGE, Tried, list_tried, page, table

WORDS = ("Passage one.", "Why is it so?", "Because.", "Of late: in rhyme.", "Again!", "Once more!")
ALL_AT_ONCE: list[ChatMessage] = [
    {"role": role, "content": text}
    for role, text in zip(("system", "user", "assistant", "system", "user", "user"), WORDS, strict=True)
]  # fmt: skip


def call(name: str) -> Any:
    arguments = f'{{"city": "in {name}"}}'
    return {"id": name, "type": "function", "function": {"name": "weather", "arguments": arguments}}


CALLS: list[ChatMessage] = [
    *ALL_AT_ONCE[:2],
    {"role": "assistant", "content": "I shall look.", "tool_calls": [call("Rome"), call("Oslo")]},
    {"role": "tool", "content": "Sun in Rome.", "tool_call_id": "Rome"},
    {"role": "tool", "content": "Snow in Oslo.", "tool_call_id": "Oslo"},
    {"role": "assistant", "content": "Sun and snow."},
    {"role": "user", "content": "Thank you."},
]
CALLED = (
    *WORDS[:2],
    "I shall look.",
    "in Rome",
    "in Oslo",
    "Sun in",
    "Snow in",
    "Sun and snow.",
    "Thank",
)


@pytest.fixture(scope="module")
def tried(real_templates: Mapping[str, str]) -> list[Tried]:
    return list_tried(real_templates)


def test_no_template_loses_a_text(tried: list[Tried]) -> None:
    for each in tried:
        assert find_losses(each.conversations, {}) == [], each.name
        prompt = each.render(ALL_AT_ONCE)
        assert [word for word in WORDS if word not in prompt] == [], each.name
        with_tools = each.render(CALLS, [TOOL])
        wanted = (*CALLED, TOOL_TEXT)
        assert [word for word in wanted if word not in with_tools] == [], each.name


def test_what_a_template_shows_whole_it_gets_as_it_is(tried: list[Tried]) -> None:
    unchanged = 0
    for each in tried:
        for kind in ("a question", "system text", "later system text", "two user turns in a row"):
            words = [f"{kind} {number}" for number in range(len(KINDS[kind].messages))]
            messages: list[ChatMessage] = [
                {**message, "content": word}
                for message, word in zip(KINDS[kind].messages, words, strict=True)
            ]
            try:
                plain = each._render(messages, None, {})
            except InvalidRequestError:
                continue
            if all(word in plain for word in words):
                assert each.render(messages) == plain, (each.name, kind)
                unchanged += 1

    assert unchanged > 3 * len(tried)


def test_the_page_says_what_the_templates_take(tried: list[Tried]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    made = table(tried)

    assert page(text, made) == text, "python -m tests.runtimes.templates.page writes it anew"
    assert made.count("\n") == len(tried) + 2
    assert "**lost**" not in made
    assert len(COLUMNS) == made.splitlines()[0].count("|") - 1
