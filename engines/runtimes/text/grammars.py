"""Writes the grammar of an answer in the notation of llguidance.

Source: docs/syntax.md of https://github.com/guidance-ai/llguidance
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from engines.runtimes.text.families import Family, ToolFormat
from engines.runtimes.text.generation import GenerationOptions
from engines.runtimes.text.patterns import loosen_patterns
from engines.runtimes.text.response_format import ANY_OBJECT, Json

Mark = Callable[[str], str]
"""How a mark is named in a grammar: as a text, or as the control token that it is."""

MAX_CALLS = 8
"""In one answer that must call."""
WHITE_SPACE = r"( |\n {0,16})?"
"""Between two parts of JSON; without a limit a model may write white space for ever."""


def grammar_of(
    options: GenerationOptions, family: Family, mark: Mark, *, reasoning: bool
) -> str | None:
    """Return the grammar that the options ask for, None when the answer is free.

    ``reasoning`` says that the prompt has opened a reasoning, which ends before the grammar begins.
    """
    schema, forced = options.schema, options.must_call
    if schema is None and not forced:
        return None
    rules = ["%llguidance {}", f"start: {'thought ' if reasoning else ''}answer"]
    if reasoning:
        rules += _thought(mark(family.reasoning[1]))
    if forced:
        most = 1 if options.parallel_tool_calls is False or len(forced) == 1 else MAX_CALLS
        return "\n".join([*rules, "answer: calls", *_calls(forced, family.calls, mark, most)])
    rules.append(f"json: {_json(schema or ANY_OBJECT)}")
    if not options.may_call:
        return "\n".join([*rules, "answer: json"])
    calls = _calls(options.may_call, family.calls, mark, MAX_CALLS)
    return "\n".join([*rules, "answer: json | calls", *calls])


def _thought(closing: str) -> list[str]:
    """Rules for a reasoning up to its closing mark, a text or a control token."""
    if closing.startswith('"'):
        return [f"thought[suffix={closing}]: /(.|\\n)*/"]
    return [f"thought: THOUGHT {closing}", "THOUGHT: /(.|\\n)*/"]


def _calls(functions: Sequence[Json], form: ToolFormat, mark: Mark, most: int) -> list[str]:
    """Rules for one to ``most`` calls, each of one of the functions."""
    names = [f"tool_{number}" for number in range(len(functions))]
    rules = [
        f"{name}: {_open(function, form)} {_json(function.get('parameters') or ANY_OBJECT)} {json.dumps('}')}"
        for name, function in zip(names, functions, strict=True)
    ]
    return [_several(form, mark, most), f"call: {' | '.join(names)}", *rules]


def _open(function: Json, form: ToolFormat) -> str:
    return json.dumps(f'{{"name": {json.dumps(function["name"])}, "{form.arguments}": ')


def _several(form: ToolFormat, mark: Mark, most: int) -> str:
    more = most - 1
    if form.is_list:
        rest = f' (", " call){{0,{more}}}' if more else ""
        return f'calls: {mark(form.opening)} "[" call{rest} "]"'
    parts = [mark(form.opening), '"\\n"', "call", '"\\n"', mark(form.closing)]
    one = " ".join(parts) if form.opening else "call"
    separator = '"\\n"' if form.opening else '"; "'
    rest = f" ({separator} one_call){{0,{more}}}" if more else ""
    return f"calls: one_call{rest}\none_call: {one}"


def _json(schema: Json) -> str:
    """A schema as a part of a rule; each is a document of its own, so its references stay inside."""
    loosened = loosen_patterns(schema).schema
    guided = {**loosened, "x-guidance": {"whitespace_pattern": WHITE_SPACE}}
    return f"%json {json.dumps(guided)}"
