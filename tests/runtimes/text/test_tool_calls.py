"""Calls taken apart from an answer, as each family writes them; the whole and any pieces alike."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from engines.runtimes.notation.description import HERMES_CALLS, CallNotation
from engines.runtimes.notation.families import LLAMA_CALLS, MISTRAL_CALLS
from engines.runtimes.notation.tool_calls import ToolCallReader

FUNCTIONS = ({"name": "weather"}, {"name": "stop"})
Call = tuple[str, object]
RAIN: Call = ("weather", {"city": "Graz", "days": 2})
STOP: Call = ("stop", {})
Said = tuple[str, list[Call]]

CASES: list[tuple[str, CallNotation, str, str, list[Call]]] = [
    ("plain text", HERMES_CALLS, " It <b>rains</b>.\n", " It <b>rains</b>.\n", []),
    ("a call", HERMES_CALLS, '<tool_call>\n{"name": "weather", "arguments": {"city": "Graz", "days": 2}}\n</tool_call>', "", [RAIN]),
    ("text before it", HERMES_CALLS, 'Let me see.\n\n<tool_call>{"name": "stop", "arguments": {}}</tool_call>\n', "Let me see.", [STOP]),
    ("two calls", HERMES_CALLS, '<tool_call>{"name":"stop"}</tool_call>\n<tool_call>{"name":"weather","arguments":{"city":"Graz","days":2}}</tool_call>', "", [STOP, RAIN]),
    ("no end", HERMES_CALLS, '<tool_call>{"name": "stop", "arguments": {}}', "", [STOP]),
    ("no JSON", HERMES_CALLS, "<tool_call>weather()</tool_call> so", "<tool_call>weather()</tool_call> so", []),
    ("another tool", HERMES_CALLS, '<tool_call>{"name":"rm"}</tool_call>', '<tool_call>{"name":"rm"}</tool_call>', []),
    ("no object", HERMES_CALLS, '<tool_call>{"name":"stop","arguments":[1]}</tool_call>', '<tool_call>{"name":"stop","arguments":[1]}</tool_call>', []),
    ("a cut call", HERMES_CALLS, '<tool_call>{"name": "stop", "arg', '<tool_call>{"name": "stop", "arg', []),
    ("half a mark", HERMES_CALLS, "1 <tool", "1 <tool", []),
    ("bare JSON", LLAMA_CALLS, '{"name": "weather", "parameters": {"city": "Graz", "days": 2}}', "", [RAIN]),
    ("bare, two", LLAMA_CALLS, '\n{"name":"stop","parameters":{}}; {"name":"stop","parameters":{}}', "", [STOP, STOP]),
    ("bare, marked", LLAMA_CALLS, '<|python_tag|>{"name": "stop", "parameters": {}}', "", [STOP]),
    ("other JSON", LLAMA_CALLS, '{"city": "Graz"}', '{"city": "Graz"}', []),
    ("JSON later", LLAMA_CALLS, 'So: {"name": "stop", "parameters": {}}', 'So: {"name": "stop", "parameters": {}}', []),
    ("a list", MISTRAL_CALLS, '[TOOL_CALLS][{"name": "stop", "arguments": {}}, {"name": "weather", "arguments": {"city": "Graz", "days": 2}}]', "", [STOP, RAIN]),
    ("list and text", MISTRAL_CALLS, 'Hm. [TOOL_CALLS] [{"name": "stop", "arguments": {}}]', "Hm.", [STOP]),
    ("nothing", MISTRAL_CALLS, "", "", []),
    ("deep", HERMES_CALLS, "<tool_call>" + "[" * 5000 + "</tool_call>", "<tool_call>" + "[" * 5000 + "</tool_call>", []),
]  # fmt: skip


def read(form: CallNotation, parts: Sequence[str]) -> Said:
    reader = ToolCallReader([form], FUNCTIONS)
    pieces = [piece for part in parts for piece in reader.add(part)] + reader.finish()
    calls = [piece.tool_call for piece in pieces if piece.tool_call]
    text = "".join(piece.text for piece in pieces)
    return text, [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize(
    ("form", "said", "text", "calls"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_calls_are_read_and_what_is_none_stays_text(
    form: CallNotation, said: str, text: str, calls: list[Call]
) -> None:
    assert read(form, [said]) == (text, calls)
    for size in (1, 2, 3, 7):
        assert read(form, [said[at : at + size] for at in range(0, len(said), size)]) == (
            text,
            calls,
        )


def test_text_is_shown_while_it_comes_and_a_beginning_of_a_call_is_not() -> None:
    reader = ToolCallReader([HERMES_CALLS], FUNCTIONS)

    assert [piece.text for piece in reader.add("It rains <")] == ["It rains"]
    assert [piece.text for piece in reader.add("3 mm")] == [" <3 mm"]
    assert reader.add('<tool_call>{"name": "stop"') == []
    assert reader.add("}</tool_call>")[0].tool_call is not None
