"""Real answers read by what their templates show; cut anywhere, a stream gives what the whole gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.child.chat_template import ChatTemplate
from engines.runtimes.notation.derive import derive_notation
from engines.runtimes.notation.description import (
    HERMES_CALLS,
    THINK,
    Notation,
    Switch,
    write_calls,
)
from engines.runtimes.notation.families import (
    LLAMA_CALLS,
    MISTRAL_CALLS,
    family_of,
    notation_facts,
    notation_of,
)
from engines.runtimes.notation.reader import AnswerReader, read_prompt_end
from engines.runtimes.notation.tool_calls import ToolCallReader
from engines.runtimes.text.stop_words import ByteJoiner
from tests.runtimes.notation.habits import HABIT_TEMPLATES, HABITS
from tests.runtimes.notation.loose_outputs import LOOSE_OUTPUTS
from tests.runtimes.notation.more_outputs import MORE_OUTPUTS, MORE_TEMPLATES
from tests.runtimes.notation.near_outputs import NEAR_OUTPUTS
from tests.runtimes.notation.outputs import (
    FUNCTIONS,
    GPT,
    GRAZ,
    HERMES_CALL,
    INLINE,
    OUTPUTS,
    QWEN,
    Output,
)

EVERY = {**OUTPUTS, **MORE_OUTPUTS, **NEAR_OUTPUTS, **LOOSE_OUTPUTS}
CUT_OFF = (
    OUTPUTS
    | HABITS
    | LOOSE_OUTPUTS
    | {name: output for name, output in NEAR_OUTPUTS.items() if output.calls}
)
Read = tuple[str, str, list[tuple[str, Any]]]


@lru_cache(maxsize=256)
def derived(source: str, family: str) -> Notation:
    template = ChatTemplate(source, bos_token="<BOS>", eos_token="<EOS>")

    def render(
        messages: Sequence[Any], *, add_generation_prompt: bool, variables: Mapping[str, Any]
    ) -> str:
        given = dict(variables)
        tools = given.pop("tools", None)
        try:
            return template.render(
                messages, tools, add_generation_prompt=add_generation_prompt, **given
            )
        except Exception as error:
            raise InvalidRequestError(str(error)) from error

    return derive_notation(render, source, family_of(family))


def read(
    notation: Notation, said: Sequence[bytes], prompt: str = "", stop: Sequence[str] = ()
) -> Read:
    reader = AnswerReader(notation, FUNCTIONS, stop, read_prompt_end(prompt, notation))
    joiner = ByteJoiner()
    pieces = [piece for part in said for piece in reader.add(joiner.add(part))]
    pieces += [*reader.add(joiner.finish()), *reader.finish()]
    assert all(piece.text or piece.tool_call for piece in pieces)
    reasoning = "".join(piece.text for piece in pieces if piece.is_reasoning)
    content = "".join(piece.text for piece in pieces if not piece.is_reasoning)
    calls = [piece.tool_call for piece in pieces if piece.tool_call]
    return reasoning, content, [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.fixture(scope="module")
def templates(real_templates: Mapping[str, str]) -> Mapping[str, str]:
    return {**real_templates, **INLINE, **MORE_TEMPLATES, **HABIT_TEMPLATES}


@pytest.mark.parametrize("output", EVERY.values(), ids=EVERY)
def test_an_answer_means_what_its_publisher_says_wherever_it_is_cut(
    templates: Mapping[str, str], output: Output
) -> None:
    read_everywhere(templates, output, range(1, len(output.said.encode())))


@pytest.mark.parametrize("output", HABITS.values(), ids=HABITS)
def test_a_habit_of_an_engine_is_read_as_it_is_meant(
    templates: Mapping[str, str], output: Output
) -> None:
    read_everywhere(templates, output, range(1, len(output.said.encode()), 9))


def read_everywhere(templates: Mapping[str, str], output: Output, cuts: Sequence[int]) -> None:
    """Read an answer whole, byte by byte, and in two parts cut at each of the places."""
    notation = derived(templates[output.template], output.family)
    said = output.said.encode()
    expected = (output.reasoning, output.content, list(output.calls))

    assert read(notation, [said], output.prompt) == expected
    assert read(notation, [said[at : at + 1] for at in range(len(said))], output.prompt) == expected
    for at in cuts:
        assert read(notation, [said[:at], said[at:]], output.prompt) == expected, said[:at]


@pytest.mark.parametrize("output", CUT_OFF.values(), ids=CUT_OFF)
def test_what_is_cut_off_reads_alike_in_pieces(
    templates: Mapping[str, str], output: Output
) -> None:
    notation = derived(templates[output.template], output.family)
    said = output.said
    for end in range(1, len(said), 19):
        cut = [letter.encode() for letter in said[:end]]
        whole = read(notation, [b"".join(cut)], output.prompt)

        assert read(notation, cut, output.prompt) == whole
        assert [call for call in whole[2] if call not in output.calls] == []


def test_what_a_prompt_began_is_not_shown_without_tools(templates: Mapping[str, str]) -> None:
    notation = derived(templates["GLM-4-0414"], "glm")
    end = read_prompt_end("<|assistant|>", notation)
    reader = AnswerReader(notation, (), (), end)

    pieces = [*reader.add("\n"), *reader.add("Fine."), *reader.finish()]

    assert "".join(piece.text for piece in pieces) == "Fine."


CALLED: list[tuple[str, dict[str, Any]]] = [
    ("get_weather", {"city": 'St. Pölten, "old" <town>', "days": 3, "exact": False, "near": ["a"]}),
    ("stop", {}),
    ("write", {"text": "x = [1, 2]\n  # {}"}),
    ("convert-money", {"from": "978", "in": None, "max-age": 1.5, "version": "3.10"}),
]


def test_what_a_model_is_told_is_what_is_read(templates: Mapping[str, str]) -> None:
    for name, source in templates.items():
        form = derived(source, "").calls
        calls = [(called, json.dumps(given)) for called, given in CALLED]
        written = write_calls(calls, form)
        reader = ToolCallReader([form], FUNCTIONS)
        pieces = [*reader.add(written), *reader.finish()]
        read_calls = [piece.tool_call for piece in pieces if piece.tool_call]

        assert [(call.name, json.loads(call.arguments)) for call in read_calls] == CALLED, name
        assert not any(piece.text for piece in pieces), name


STOPS = {
    "in the answer": (QWEN, "<think>\na stop b</think>\nOne stop two", ("a stop b", "One ", [])),
    "not in a call": (
        QWEN,
        '<tool_call>\n{"name": "write", "arguments": {"text": "a stop b"}}\n</tool_call>\nOne stop two',
        ("", "One ", [("write", {"text": "a stop b"})]),
    ),
    "not in a header": (
        GPT,
        "<|channel|>analysis<|message|>stop<|end|><|start|>assistant<|channel|>final<|message|>One stop two",
        ("stop", "One ", []),
    ),
    "first of all": (GPT, "<|channel|>final<|message|>stop", ("", "", [])),
}


@pytest.mark.parametrize(("template", "said", "expected"), STOPS.values(), ids=STOPS)
def test_stop_words_are_looked_for_in_the_answer(
    templates: Mapping[str, str], template: str, said: str, expected: Read
) -> None:
    notation = derived(templates[template], "")
    for parts in ([said.encode()], [letter.encode() for letter in said]):
        assert read(notation, parts, stop=["stop"]) == expected


SWITCHES = {
    QWEN: Switch("enable_thinking", on=True, off=False),
    "GLM-4.6": Switch("enable_thinking", on=True, off=False),
    "ByteDance-Seed-OSS": Switch("thinking_budget", on=-1, off=0),
    "MiniMax-M3": Switch("thinking_mode", on="enabled", off="disabled"),
    "tencent-Hy3": Switch("reasoning_effort", on="high", off="no_think"),
    "Cohere2MoE": Switch("reasoning_effort", on="high", off="none"),
    "upstage-Solar-Open-100B": Switch("reasoning_effort", on="high", off="minimal"),
    "ibm-granite-granite-3.3-2B-Instruct": Switch("thinking", on=True, off=False),
    "Kimi-K3": Switch("thinking", on=True, off=False),
    "NVIDIA-Nemotron-Nano-v2": Switch("", on="/think", off="/no_think"),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": Switch("enable_thinking", on=True, off=False),
    "HuggingFaceTB-SmolLM3-3B": Switch("enable_thinking", on=True, off=False),
    GPT: None,
    "MiniMax-M2": None,
    "meta-llama-Llama-3.1-8B-Instruct": None,
}


def test_the_thinking_switch_is_found(templates: Mapping[str, str]) -> None:
    found = {name: derived(templates[name], "").switch for name in SWITCHES}

    assert found == SWITCHES


def test_the_first_nemotrons_are_told_in_the_words_of_their_cards(
    templates: Mapping[str, str],
) -> None:
    words = Switch("", on="detailed thinking on", off="detailed thinking off")
    by_itself = Switch("", on="/think", off="/no_think")

    assert derived(templates["Nemotron-Super"], "llama-nemotron").switch == words
    assert derived(templates["Nemotron-Super"], "nemotron").switch is None
    assert derived(templates["Nemotron-Super"], "llama").switch is None
    assert derived(templates["NVIDIA-Nemotron-Nano-v2"], "nemotron").switch == by_itself
    assert notation_of({"family": "llama-nemotron"}).switch == words


THINKS = (
    "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}"
    "{% if CONDITION %}{{ '<think></think>' }}{% else %}{{ '<think>' }}{% endif %}{% endif %}"
)


def test_a_template_that_asks_for_reasoning_in_words_has_the_usual_marks() -> None:
    source = (
        "{% if enable_thinking %}Think deeply.{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    notation = derived(source, "")

    assert notation.reasoning == THINK
    assert notation.switch == Switch("enable_thinking", on=True, off=False)


@pytest.mark.parametrize(
    ("condition", "expected"),
    {
        "skip_reasoning": Switch("skip_reasoning", on=False, off=True),
        "reasoning_effort == 'none'": Switch("reasoning_effort", on="high", off="none"),
        "'/no_think' in messages[0]['content']": Switch("", on="/think", off="/no_think"),
        "'/no_think' in messages[-1]['content']": None,
        "false": None,
    }.items(),
)
def test_a_switch_is_one_that_begins_an_answer_otherwise(
    condition: str, expected: Switch | None
) -> None:
    source = THINKS.replace("CONDITION", condition)

    assert derived(source, "qwen").switch == expected


def test_a_notation_is_told_and_understood_again(templates: Mapping[str, str]) -> None:
    for source in templates.values():
        notation = derived(source, "")
        facts = json.loads(json.dumps({"notation": notation_facts(notation)}))

        assert notation_of(facts) == notation


CALLS = (
    "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}[call {{ c.function.name }}]"
    "{% for key, value in c.function.arguments.items() %}ARGUMENT{% endfor %}[end]{% endfor %}|"
    "{% endfor %}{{ tools | tojson if tools }}"
)


@pytest.mark.parametrize(
    "argument",
    [
        "[{{ key }}]{{ value }}[/{{ key }}]",
        "{{ key }}{{ value }}",
        "<{{ key }}{{ loop.index }}>{{ value }}</{{ key }}>",
        "<a>{{ key }}{{ loop.index }}<b>{{ value }}</a>",
    ],
)
def test_a_template_whose_calls_cannot_be_told_is_taken_as_it_is(argument: str) -> None:
    notation = derived(CALLS.replace("ARGUMENT", argument), "")

    assert notation.describes_tools
    assert notation.calls == HERMES_CALLS
    assert read(notation, [HERMES_CALL.encode()]) == ("", "", [GRAZ])


def test_a_family_tells_what_a_template_does_not_show() -> None:
    plain = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

    assert derived(plain, "deepseek").reasoning == THINK
    assert derived(plain, "llama").calls == LLAMA_CALLS
    assert derived(plain, "").reasons is False
    assert notation_of({"family": "mistral"}).calls == MISTRAL_CALLS


@pytest.mark.parametrize(
    "arguments", ['{"near": {"city": "Graz"}', '{"city": "the "old" {town}"', '{"city": "Graz"']
)
def test_a_message_that_is_cut_calls_with_nothing_less(
    templates: Mapping[str, str], arguments: str
) -> None:
    reader = AnswerReader(derived(templates[GPT], ""), FUNCTIONS)
    said = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" + arguments

    pieces = [*reader.add(said), *reader.finish(is_cut=True)]

    assert [piece.tool_call for piece in pieces if piece.tool_call] == []
