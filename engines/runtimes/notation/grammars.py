"""Writes the grammar of an answer in the notation of llguidance.

Source: docs/syntax.md of https://github.com/guidance-ai/llguidance
"""

from __future__ import annotations

from collections.abc import Sequence

from engines.runtimes.notation.call_grammars import (
    CallRules,
    Mark,
    write_json_rule,
    write_mark,
    write_text_rules,
)
from engines.runtimes.notation.description import CallForm, CallNotation, Notation
from engines.runtimes.notation.reader import PromptEnd
from engines.runtimes.text.generation import GenerationOptions
from engines.runtimes.text.response_format import ANY_OBJECT, Json

MAX_CALLS = 8
"""In one answer that must call."""


def grammar_of(
    options: GenerationOptions, notation: Notation, mark: Mark, end: PromptEnd
) -> str | None:
    """Return the grammar that the options ask for, None when the answer is free.

    ``end`` says whether the prompt has opened a reasoning, which ends before the grammar begins.
    """
    schema, forced = options.schema, options.must_call
    if schema is None and not forced:
        return None
    rules = ["%llguidance {}", f"start: {'thought ' if end.opens_reasoning else ''}answer"]
    if end.opens_reasoning:
        rules += write_text_rules("thought", mark(notation.reasoning[1]))
    if forced:
        most = 1 if options.parallel_tool_calls is False or len(forced) == 1 else MAX_CALLS
        return "\n".join([*rules, "answer: calls", *_calls(forced, notation, mark, most, end)])
    opening = notation.channels.text + notation.channels.message if notation.channels else ""
    opened = f"{mark(opening)} " if opening else ""
    rules.append(f"json: {opened}{write_json_rule(schema or ANY_OBJECT)}")
    if not options.may_call:
        return "\n".join([*rules, "answer: json"])
    calls = _calls(options.may_call, notation, mark, MAX_CALLS, end)
    return "\n".join([*rules, "answer: json | calls", *calls])


def _calls(
    functions: Sequence[Json], notation: Notation, mark: Mark, most: int, end: PromptEnd
) -> list[str]:
    """Rules for one to ``most`` calls, each of one of the functions."""
    form = notation.calls
    writer = CallRules(form, mark)
    names = [f"tool_{number}" for number in range(len(functions))]
    rules: list[str] = []
    for name, function in zip(names, functions, strict=True):
        rules += writer.rules_of(name, function)
    if notation.channels:
        # The mark after a call ends the answer.
        most = 1
    several = _several(form, mark, most - 1, end)
    return [*several, f"call: {' | '.join(names)}", *rules]


def _several(form: CallNotation, mark: Mark, more: int, end: PromptEnd) -> list[str]:
    """Rules for a call and up to ``more`` others, with the marks around and between them."""
    opening, closing = (mark(each) if each else "" for each in form.section)
    if form.is_list or form.form is CallForm.PYTHON:
        opening, closing = f'{opening} "["', f'"]" {closing}'
        rest, one = f' (", " call){{0,{more}}}', "call"
    elif form.form is CallForm.LINES:
        rest, one = f' ("\\n" call){{0,{more}}}', "call"
    else:
        own = (
            write_mark(each, mark) if each.strip() else "" for each in (form.opening, form.closing)
        )
        before, after = own
        separator = '"\\n"' if before else '"; "'
        one, rest = f"{before} call {after}", f" ({separator} one_call){{0,{more}}}"
        if end.opened:
            # The prompt has the first mark already.
            return [
                f"calls: call {after}{rest if more else ''}",
                f"one_call: {one}",
            ]
        if more:
            return [f"calls: {opening} one_call{rest} {closing}", f"one_call: {one}"]
    return [f"calls: {opening} {one}{rest if more else ''} {closing}"]
