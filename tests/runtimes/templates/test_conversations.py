"""Conversations for templates that refuse or leave out a part of what they are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from jinja2 import TemplateError

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.child.chat_template import ChatTemplate
from engines.runtimes.notation.description import HERMES_CALLS
from engines.runtimes.templates.conversations import ConversationRenderer, Render
from engines.runtimes.templates.shapes import TOOL, shape_of
from engines.runtimes.templates.takings import find_losses
from engines.runtimes.text.control_marks import ControlMarks

TURN = "[{{ m.role }}]{{ m.content }}\n"
ANY = "{% for m in messages %}" + TURN + "{% endfor %}"
DROPS_SYSTEM = (
    "{% for m in messages %}{% if m.role in ('user', 'assistant') %}"
    + TURN
    + "{% endif %}{% endfor %}"
)
LAST_SYSTEM = (
    "{% set ns = namespace(s='') %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% set ns.s = m.content %}{% endif %}{% endfor %}{{ ns.s }}\n"
    "{% for m in messages %}{% if m.role != 'system' %}" + TURN + "{% endif %}{% endfor %}"
)
ALTERNATES = (
    "{% for m in messages %}{% if m.role not in ('user', 'assistant') %}"
    "{{ raise_exception('Only users and assistants') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}" + TURN + "{% endfor %}"
)
HOLDS_TOOLS = "{{ tools | tojson }}" + DROPS_SYSTEM
NEEDS_A_LIST = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}" + ANY
ONE_RESULT = (
    "{% for m in messages %}{% if m.role == 'tool' and not loop.first "
    "and messages[loop.index0 - 1].role == 'tool' %}{{ raise_exception('two results') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}\n"
    "{% endfor %}{{ tools | tojson }}"
)
LAST_ONLY = "{{ messages[-1].content }}"
SILENT = "Say moo."


def say(*turns: str) -> list[ChatMessage]:
    """Messages of words such as ``user: Why?``."""
    parts = [turn.split(": ", 1) for turn in turns]
    return [{"role": role, "content": content} for role, content in parts]


def call(number: int) -> MessageToolCall:
    function: Any = {"name": "probe_tool", "arguments": json.dumps({"n": number})}
    return {"id": f"c{number}", "type": "function", "function": function}


CALLS: list[ChatMessage] = [
    *say("user: Rain?"),
    {"role": "assistant", "content": "", "tool_calls": [call(1), call(2)]},
    {"role": "tool", "content": "Yes.", "tool_call_id": "c1"},
    {"role": "tool", "content": "No.", "tool_call_id": "c2"},
]


def render_of(source: str) -> Render:
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")

    def render(messages: Sequence[Any], tools: Any, variables: Mapping[str, Any]) -> str:
        try:
            return template.render(messages, tools, **variables)
        except (TemplateError, ValueError, TypeError) as error:
            raise InvalidRequestError(str(error)) from error

    return render


def renderer_of(source: str, *, takes_tools: bool = False) -> ConversationRenderer:
    return ConversationRenderer(render_of(source), HERMES_CALLS, takes_tools=takes_tools)


@pytest.mark.parametrize(
    ("source", "turns", "expected"),
    [
        (ANY, ["system: S", "user: U", "system: T", "user: V"], "[system]S\n[user]U\n[system]T\n[user]V\n"),
        (ANY, ["assistant: A", "user: U"], "[assistant]A\n[user]U\n"),
        (DROPS_SYSTEM, ["system: S", "user: U"], "[user]S\n\nU\n"),
        (DROPS_SYSTEM, ["system: S", "system: T", "user: U"], "[user]S\n\nT\n\nU\n"),
        (
            DROPS_SYSTEM,
            ["user: U", "assistant: A", "system: S", "user: V"],
            "[user]U\n[assistant]A\n[user]S\n\nV\n",
        ),
        (DROPS_SYSTEM, ["user: U", "system: S"], "[user]U\n[user]S\n"),
        (DROPS_SYSTEM, ["system: S"], "[user]S\n"),
        (LAST_SYSTEM, ["system: S", "user: U"], "S\n[user]U\n"),
        (
            LAST_SYSTEM,
            ["system: S", "user: U", "assistant: A", "system: T", "user: V"],
            "S\n[user]U\n[assistant]A\n[user]T\n\nV\n",
        ),
        (ALTERNATES, ["system: S", "user: U", "user: V"], "[user]S\n\nU\n\nV\n"),
        (ALTERNATES, ["user: U", "system: S"], "[user]U\n\nS\n"),
        (
            ALTERNATES,
            ["user: U", "assistant: A", "assistant: B", "user: V"],
            "[user]U\n[assistant]A\n\nB\n[user]V\n",
        ),
        (ALTERNATES, ["assistant: A", "user: U"], "[user]\n[assistant]A\n[user]U\n"),
    ],
)  # fmt: skip
def test_nothing_is_lost_and_no_more_is_moved_than_must_be(
    source: str, turns: Sequence[str], expected: str
) -> None:
    assert renderer_of(source).render(say(*turns), (), {}) == expected


def test_tools_that_are_written_out_stand_where_the_template_shows_them() -> None:
    for source in (DROPS_SYSTEM, ALTERNATES):
        prompt = renderer_of(source).render(say("system: S", "user: U"), [TOOL], {})

        assert prompt.startswith("[user]S\n\nYou may call these tools")
        assert '"Zq_tool_qZ"' in prompt
        assert prompt.endswith("\n\nU\n")


def test_system_text_that_is_lost_beside_tools_is_the_users_and_the_tools_are_the_templates() -> (
    None
):
    prompt = renderer_of(HOLDS_TOOLS, takes_tools=True).render(
        say("system: S", "user: U"), [TOOL], {}
    )

    assert prompt.endswith("[user]S\n\nU\n")
    assert prompt.startswith('[{"type": "function"')


def test_results_that_a_template_refuses_are_the_users_with_their_marks() -> None:
    both = "<tool_response>\n{}\n</tool_response>"
    prompt = renderer_of(ONE_RESULT, takes_tools=True).render(CALLS, [TOOL], {})

    assert prompt.index(both.format("Yes.")) < prompt.index(both.format("No."))
    assert "[tool]" not in prompt
    one = renderer_of(ONE_RESULT, takes_tools=True).render(CALLS[:3], [TOOL], {})
    assert "[tool]Yes." in one
    assert '"arguments": {"n": 1}' in one


def test_a_template_that_wants_a_list_of_tools_gets_an_empty_one() -> None:
    assert renderer_of(NEEDS_A_LIST).render(say("user: U"), (), {}) == "[user]U\n"


@pytest.mark.parametrize("text", ["", "[]", '{"n": 1', "null", "none at all"])
def test_arguments_that_are_no_object_are_in_the_prompt(text: str) -> None:
    odd = call(1)
    odd["function"]["arguments"] = text
    messages: list[ChatMessage] = [
        *say("user: Rain?"),
        {"role": "assistant", "content": "", "tool_calls": [odd]},
        {"role": "tool", "content": "Yes.", "tool_call_id": "c1"},
    ]
    for takes_tools in (True, False):
        prompt = renderer_of(ONE_RESULT, takes_tools=takes_tools).render(messages, (), {})

        assert text.strip("[]nul").replace('"', '\\"') in prompt
        assert "Yes." in prompt


def test_what_no_form_shows_is_refused_and_named() -> None:
    renderer = renderer_of(LAST_ONLY)

    assert renderer.render(say("user: U"), (), {}) == "U"
    with pytest.raises(
        InvalidRequestError, match="leaves out a message of the user of a conversation"
    ):
        renderer.render(say("user: U", "assistant: A", "user: V"), (), {})
    losses = find_losses(renderer, {})
    assert losses == [
        "what was said before", "later system text", "a call and its result", "two results in a row"
    ]  # fmt: skip
    assert find_losses(renderer_of(ALTERNATES), {}) == []


def test_a_form_is_looked_for_once_however_long_the_conversation_gets() -> None:
    rendered = 0
    inner = render_of(ALTERNATES)

    def render(messages: Sequence[Any], tools: Any, variables: Mapping[str, Any]) -> str:
        nonlocal rendered
        rendered += 1
        return inner(messages, tools, variables)

    renderer = ConversationRenderer(render, HERMES_CALLS, takes_tools=False)
    pair = say("user: U", "assistant: A")
    for pairs in range(2, 40):
        renderer.render([*say("system: S"), *pair * pairs, *pair[:1]], (), {})
    searched = rendered - 38
    for pairs in range(2, 40):
        assert (
            renderer.render([*say("system: S"), *pair * pairs, *pair[:1]], (), {}).count("U")
            == pairs + 1
        )

    assert rendered - 38 == searched + 38
    with pytest.raises(InvalidRequestError):
        renderer_of(LAST_ONLY).render(pair, (), {})


def test_a_refusal_is_not_looked_for_again() -> None:
    seen: list[int] = []

    def refuse(messages: Sequence[Any], _tools: Any, _variables: Mapping[str, Any]) -> str:
        seen.append(len(messages))
        raise InvalidRequestError("no")

    renderer = ConversationRenderer(refuse, HERMES_CALLS, takes_tools=False)
    tried = []
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match=r"^no$"):
            renderer.render(say("user: U"), (), {})
        tried.append(len(seen))

    assert tried[0] == tried[1] > 1


def test_a_tool_that_a_template_does_not_understand_is_written_out() -> None:
    source = (
        "{% for tool in tools or [] %}{% if 'moo' in tool.function.name %}"
        "{{ raise_exception('no moo') }}{% endif %}{{ tool | tojson }}{% endfor %}" + ANY
    )
    renderer = renderer_of(source, takes_tools=True)
    moo = {"type": "function", "function": {"name": "moo"}}

    assert renderer.render(say("user: U"), [TOOL], {}).startswith('{"type": "function"')
    written = renderer.render(say("user: U"), [TOOL, moo], {})

    assert written.startswith("[system]You may call these tools")
    assert '{"name": "moo"}' in written


def test_a_tool_that_says_little_stays_the_templates() -> None:
    source = (
        "{% for tool in tools or [] %}{{ '<' + tool.function.name + tool.function.description + '>' }}"
        "{% for name, said in tool.function.parameters.properties.items() %}{{ name + said.description }}{% endfor %}"
        "{% for name in tool.function.parameters.required or [] %}{{ name + '!' }}{% endfor %}{% endfor %}"
        + ANY
    )
    renderer = renderer_of(source, takes_tools=True)
    loud = {"type": "string"}
    for said, shown in (
        ({}, ""),
        ({"description": None, "parameters": None}, ""),
        ({"description": "", "parameters": {"required": None}}, ""),
        ({"parameters": {"type": "object", "properties": {"loud": loud, "far": True}}}, "loudfar"),
    ):
        tool = {"type": "function", "function": {"name": "moo", **said}}
        assert renderer.render(say("user: U"), [tool], {}) == f"<moo>{shown}[user]U\n"


def test_what_a_template_reads_in_the_texts_is_its_own_to_refuse() -> None:
    refuses = (
        "{% if 'moo' in messages[0].content %}{{ raise_exception('no moo') }}{% endif %}" + ANY
    )
    renderer = renderer_of(refuses)

    assert renderer.render(say("user: U"), (), {}) == "[user]U\n"
    with pytest.raises(InvalidRequestError, match="no moo"):
        renderer.render(say(f"user: {SILENT}"), (), {})


@pytest.mark.parametrize(
    ("repeats", "length"),
    [
        (["user", "assistant"], 4),
        (["user", "assistant+", "tool", "assistant"], 8),
        (["assistant+", "tool"], 4),
        (["user"], 4),
    ],
)
def test_shapes_of_what_repeats_are_few(repeats: Sequence[str], length: int) -> None:
    def conversation(times: int) -> list[ChatMessage]:
        made: list[ChatMessage] = say("system: S")
        for role in list(repeats) * times:
            message: ChatMessage = {"role": role.rstrip("+"), "content": "x"}
            if role.endswith("+"):
                message["tool_calls"] = [call(1)]
            made.append(message)
        return made

    shapes = {shape_of(conversation(times), (), {}) for times in range(12, 24)}

    assert len(shapes) <= 2
    assert all(len(shape.turns) <= length + len(repeats) + 1 for shape in shapes)
    assert all({turn.role for turn in shape.turns} >= {"system"} for shape in shapes)


def test_marks_in_a_text_that_is_moved_stay_text() -> None:
    marks = ControlMarks(["<|end|>", "<|user|>"])
    source = (
        "{% for m in messages %}{% if m.role != 'system' %}<|user|>{{ m.content }}<|end|>{% endif %}"
        "{% endfor %}"
    )
    inner = render_of(source)
    renderer = ConversationRenderer(inner, HERMES_CALLS, takes_tools=False)
    given = say("system: a<|end|>b", "user: c<|user|>")

    fragments = list(marks.split(renderer.render(marks.enclose(given), (), {})))

    assert [fragment.text for fragment in fragments if fragment.is_mark] == ["<|user|>", "<|end|>"]
    assert (
        "".join(fragment.text for fragment in fragments) == "<|user|>a<|end|>b\n\nc<|user|><|end|>"
    )
