"""Code that a model writes for a tool that runs it, where other tools get their arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from engines.runtimes.notation.reader import AnswerReader, read_prompt_end
from tests.runtimes.notation.outputs import GPT, L31, QWEN, STOP, WEATHER
from tests.runtimes.notation.test_outputs import Read, derived

PYTHON: dict[str, Any] = {
    "name": "python",
    "description": "Runs code.",
    "parameters": {
        "type": "object",
        "properties": {"code": {"type": "string"}, "timeout": {"type": "integer"}},
        "required": ["code"],
    },
}
INTERPRETER: dict[str, Any] = {
    "name": "code_interpreter",
    "parameters": {"type": "object", "properties": {"program": {"type": "string"}}},
}
CODE = 'import json\nd = {"a": [1, "}"], \'b\': "é"}\nprint(json.dumps(d))  # ```'
TAG = "<|python_tag|>"
TO = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>"

CALLS: dict[str, tuple[str, Sequence[dict[str, Any]], str, Read]] = {
    "Llama, code": (L31, (PYTHON, WEATHER), TAG + CODE, ("", "", [("python", {"code": CODE})])),
    "Llama, one expression": (
        L31, (INTERPRETER,), f"{TAG}print(2**10)", ("", "", [("code_interpreter", {"program": "print(2**10)"})]),
    ),
    "Llama, a name": (L31, (PYTHON,), f"{TAG}x", ("", "", [("python", {"code": "x"})])),
    "Llama, an object": (L31, (PYTHON,), TAG + '{"a": 1}["a"]', ("", "", [("python", {"code": '{"a": 1}["a"]'})])),
    "Llama, after words": (
        L31, (PYTHON,), f"I compute.\n{TAG}\n{CODE}\n", ("", "I compute.", [("python", {"code": CODE})]),
    ),
    "Llama, another tool": (
        L31, (PYTHON, WEATHER), f'{TAG}get_weather.call(city="Graz")', ("", "", [("get_weather", {"city": "Graz"})]),
    ),
    "Llama, the tool as JSON": (
        L31, (PYTHON,), TAG + '{"name": "python", "parameters": {"code": "x"}}', ("", "", [("python", {"code": "x"})]),
    ),
    "Llama, a fence": (L31, (PYTHON,), f"{TAG}```python\nprint(1)\n```\n", ("", "", [("python", {"code": "print(1)"})])),
    "Llama, only shown": (L31, (PYTHON,), f"Begin with `{TAG}` there.", ("", f"Begin with `{TAG}` there.", [])),
    "Llama, no such tool": (L31, (WEATHER,), f"{TAG}print(1)", ("", f"{TAG}print(1)", [])),
    "Qwen, code for arguments": (
        QWEN, (PYTHON,), '<tool_call>\n{"name": "python", "arguments": "print(1)\\nprint(2)"}\n</tool_call>',
        ("", "", [("python", {"code": "print(1)\nprint(2)"})]),
    ),
    "Qwen, words for arguments": (
        QWEN, (STOP,), '<tool_call>\n{"name": "stop", "arguments": "now"}\n</tool_call>',
        ("", '<tool_call>\n{"name": "stop", "arguments": "now"}\n</tool_call>', []),
    ),
    "gpt-oss, code": (
        GPT, (PYTHON, STOP), f"{TO}commentary to=python code<|message|>{CODE}<|call|>", ("Hm.", "", [("python", {"code": CODE})]),
    ),
    "gpt-oss, in its thoughts": (
        GPT, (PYTHON,), f"{TO}analysis to=python code<|message|>1 + 1", ("Hm.", "", [("python", {"code": "1 + 1"})]),
    ),
    "gpt-oss, an object": (
        GPT, (PYTHON,), f'{TO}commentary to=python<|message|>{{"a": 1}}<|call|>', ("Hm.", "", [("python", {"code": '{"a": 1}'})]),
    ),
    "gpt-oss, a number": (GPT, (PYTHON,), f"{TO}commentary to=python<|message|>5", ("Hm.", "", [("python", {"code": "5"})])),
    "gpt-oss, arguments": (
        GPT, (PYTHON,), f'{TO}commentary to=functions.python <|constrain|>json<|message|>{{"code": "x", "timeout": 5}}<|call|>',
        ("Hm.", "", [("python", {"code": "x", "timeout": 5})]),
    ),
    "gpt-oss, no code": (
        GPT, (STOP,), f"{TO}commentary to=functions.stop<|message|>print(1)<|call|>", ("Hm.", "print(1)", []),
    ),
}  # fmt: skip


def read_all(
    template: str, functions: Sequence[dict[str, Any]], parts: Sequence[str], *, is_cut: bool
) -> Read:
    notation = derived(template, "")
    reader = AnswerReader(notation, functions, (), read_prompt_end("", notation))
    pieces = [piece for part in parts for piece in reader.add(part)]
    pieces += reader.finish(is_cut=is_cut)
    calls = [piece.tool_call for piece in pieces if piece.tool_call]
    return (
        "".join(piece.text for piece in pieces if piece.is_reasoning),
        "".join(piece.text for piece in pieces if not piece.is_reasoning),
        [(call.name, json.loads(call.arguments)) for call in calls],
    )


@pytest.mark.parametrize(("template", "functions", "said", "meant"), CALLS.values(), ids=CALLS)
def test_code_is_what_the_tool_that_runs_it_is_called_with(
    real_templates: Mapping[str, str],
    template: str,
    functions: Sequence[dict[str, Any]],
    said: str,
    meant: Read,
) -> None:
    source = real_templates[template]

    assert read_all(source, functions, [said], is_cut=False) == meant
    assert read_all(source, functions, [*said], is_cut=False) == meant
    for at in range(1, len(said)):
        assert read_all(source, functions, [said[:at], said[at:]], is_cut=False) == meant


@pytest.mark.parametrize(
    ("template", "said"),
    [(L31, TAG + CODE), (GPT, f"{TO}commentary to=python code<|message|>{CODE}")],
)
def test_code_that_the_limit_cut_off_is_not_run(
    real_templates: Mapping[str, str], template: str, said: str
) -> None:
    for parts in ([said], [*said]):
        _, text, calls = read_all(real_templates[template], (PYTHON,), parts, is_cut=True)

        assert calls == []
        assert text.endswith(CODE)
