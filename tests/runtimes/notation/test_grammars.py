"""Grammars of calls in each notation: they take what the model is told to write, and nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from llguidance import LLMatcher, LLTokenizer

from engines.runtimes.notation.description import Notation, write_calls
from engines.runtimes.notation.grammars import grammar_of
from engines.runtimes.notation.reader import PromptEnd, read_prompt_end
from engines.runtimes.text.generation import GenerationOptions
from tests.runtimes.notation.more_outputs import MORE_TEMPLATES
from tests.runtimes.notation.outputs import FUNCTIONS, GPT, INLINE, STOP, WEATHER
from tests.runtimes.notation.test_outputs import derived

FORMS = {
    "JSON objects": "Qwen-Qwen3-0.6B",
    "bare JSON": "meta-llama-Llama-3.1-8B-Instruct",
    "a JSON list": "mistralai-Mistral-Nemo-Instruct-2407",
    "names as keys": "Apertus-8B-Instruct",
    "names and JSON": "unsloth-mistral-Devstral-Small-2507",
    "a section": "Kimi-K2-Instruct",
    "code fences": "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "tags": "Qwen3-Coder",
    "tags of one line": "GLM-4.7-Flash",
    "tags with types": "deepseek-ai-DeepSeek-V3.2",
    "a tag for each argument": "MiniMax-M3",
    "Python": "LFM2.5-8B-A1B",
    "lines of Python": "Olmo-3",
    "quotes": "google-gemma-4-31B-it",
    "channels": GPT,
}
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
BYTES = LLTokenizer("byte")


def accepts(notation: Notation, written: str, **asked: object) -> bool:
    """Whether the grammar that is asked for takes a whole text and may end there."""
    options = GenerationOptions.parse({"tools": TOOLS, "tool_choice": "required", **asked})
    grammar = grammar_of(options, notation, json.dumps, PromptEnd())
    assert grammar is not None
    matcher = LLMatcher(BYTES, grammar)
    assert not matcher.is_error(), matcher.get_error()
    tokens = BYTES.tokenize_str(written)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


@pytest.fixture(scope="module")
def templates(real_templates: Mapping[str, str]) -> Mapping[str, str]:
    return {**real_templates, **INLINE, **MORE_TEMPLATES}


@pytest.mark.parametrize("template", FORMS.values(), ids=FORMS)
def test_a_grammar_follows_the_notation(templates: Mapping[str, str], template: str) -> None:
    notation = derived(templates[template], "")
    full = {"city": "Graz", "days": 2, "zip": "08010", "exact": True, "near": ["a"], "unit": None}
    some = {"city": "Graz", "near": ["a", "b"]}

    def call(name: str, arguments: Mapping[str, object]) -> str:
        return write_calls([(name, json.dumps(dict(arguments)))], notation.calls)

    assert accepts(notation, call("get_weather", full))
    assert accepts(notation, call("get_weather", some))
    assert accepts(notation, call("stop", {}))
    assert not accepts(notation, call("stop", {"why": "x"})), "it has no parameters"
    assert not accepts(notation, call("get_weather", {"days": 2})), "city is required"
    assert not accepts(notation, call("rm", {}))
    assert not accepts(notation, "Graz")
    assert accepts(notation, call("convert-money", {"from": "978", "max-age": 1.5}))
    assert not accepts(notation, call("convert-money", {"from": "CHF"})), (
        "it is none of the choices"
    )
    if notation.channels is None:
        two = write_calls([("stop", "{}"), ("get_weather", json.dumps(some))], notation.calls)
        assert accepts(notation, two)
        assert not accepts(notation, two, parallel_tool_calls=False)


def test_an_answer_by_a_schema_stands_in_the_channel_of_answers(
    templates: Mapping[str, str],
) -> None:
    notation = derived(templates[GPT], "")
    form = {"response_format": {"type": "json_object"}, "tool_choice": "none"}

    assert accepts(notation, '<|channel|>final<|message|>{"a": 1}', **form)
    assert not accepts(notation, '{"a": 1}', **form)


def test_a_reasoning_without_a_mark_before_it_ends_before_the_form_begins(
    templates: Mapping[str, str],
) -> None:
    notation = derived(templates["unsloth-Apriel-1.5"], "")
    options = GenerationOptions.parse({"response_format": {"type": "json_object"}})
    grammar = grammar_of(options, notation, json.dumps, read_prompt_end("assistant\n", notation))
    assert grammar is not None
    matcher = LLMatcher(BYTES, grammar)
    tokens = BYTES.tokenize_str('Hm.\n[BEGIN FINAL RESPONSE]{"a": 1}')

    assert matcher.try_consume_tokens(tokens) == len(tokens)
    assert matcher.is_accepting()


def test_arguments_that_are_not_required_may_be_left_out_in_any_mixture() -> None:
    parameters = {**WEATHER["parameters"], "required": []}
    tool = {"type": "function", "function": {**STOP, "parameters": parameters}}
    notation = Notation(calls=derived(INLINE["Llama-4"], "llama").also_read[1])
    for written in (
        "stop()",
        "stop(days=2)",
        'stop(city="a", exact=True)',
        'stop(zip="1", unit=None)',
    ):
        assert accepts(notation, f"[{written}]", tools=[tool]), written
    assert not accepts(notation, '[stop(days=2, city="a")]', tools=[tool])
