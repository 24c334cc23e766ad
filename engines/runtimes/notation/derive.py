"""Derives how a model writes its answers from its chat template, by rendering the template with probes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from engines.runtimes.notation.derive_answers import AnswerMarks, derive_answers
from engines.runtimes.notation.derive_calls import CallTurn, derive_calls
from engines.runtimes.notation.description import (
    HERMES_CALLS,
    CallForm,
    CallNotation,
    Notation,
    Switch,
)
from engines.runtimes.notation.families import (
    DEEPSEEK_CALLS,
    FUNCTOOLS,
    GRANITE_CALLS,
    LFM_CALLS,
    LISTED_CALLS,
    LLAMA_ALSO,
    LLAMA_CALLS,
    MISTRAL_CALLS,
    MISTRAL_NAMED,
    PHI_CALLS,
    PYTHON_CALLS,
    UNKNOWN,
    Family,
)
from engines.runtimes.notation.probes import (
    IDS,
    NAMES,
    TOOLS,
    Probe,
    RenderTemplate,
    make_answer,
    make_calls,
)
from engines.runtimes.notation.stretches import TAG, find_common_prefix, strip_leading
from engines.runtimes.notation.values.marked import CDATA
from engines.runtimes.text.efforts import NO_LIMIT, SPOKEN_EFFORTS, EffortForm, Efforts
from engines.runtimes.text.generation import EFFORTS
from engines.runtimes.text.response_format import Json

SWITCHES = (
    Switch("enable_thinking", on=True, off=False),
    Switch("thinking", on=True, off=False),
    Switch("thinking_mode", on="enabled", off="disabled"),
    Switch("thinking_budget", on=-1, off=0),
    Switch("skip_reasoning", on=False, off=True),
    Switch("reasoning_effort", on="high", off="no_think"),
    Switch("reasoning_effort", on="high", off="none"),
    Switch("reasoning_effort", on="high", off="minimal"),
)
"""Variables that publishers give their templates to turn the reasoning on and off."""
EFFORT_NUMBERS = ("thinking_budget", "reasoning_budget")
EFFORT_FLAGS = {"low_effort": "low"}
"""Each is true for one level (Nemotron)."""
EFFORT_WORDS = ("reasoning_effort", "reasoning_strength", "thinking_effort")
EFFORT_VARIABLES = (*EFFORT_WORDS, *EFFORT_NUMBERS, *EFFORT_FLAGS)
"""What publishers give their templates to say how much to think."""
_NO_LEVEL, _ODD_NUMBER = "EFFORTTEXT", 3210
IN_WORDS = Switch("", on="/think", off="/no_think")
"""What templates without such a variable look for in the system text (Nemotron)."""
RESULT_MARKS = ("<start_function_response>",)
"""With these models ask for the results of their calls, where the turn goes on behind them (FunctionGemma)."""
DSML = ("｜DSML｜function_calls", "｜DSML｜tool_calls")
"""What DeepSeek V3.2 and V4 write around calls, and each for the other."""
KIMI_IDS = tuple(f"functions.{name}:{number}" for number, name in enumerate(NAMES))
SIGNATURES: tuple[tuple[str, CallNotation], ...] = (
    ("<|tool_list_start|>", LFM_CALLS),
    ("List of tools: [", LFM_CALLS),
    ("functools[", FUNCTOOLS),
    ("<|tool_call|>", GRANITE_CALLS),
    ("<tool_calls>", LISTED_CALLS),
    ("[func_name1(", PYTHON_CALLS),
    ("<tool_call>", HERMES_CALLS),
)
"""What a template tells its model of a notation that it does not render itself."""
_TOOLS_AS_TEXT: tuple[Json, Json] = (
    {"functions": "[]", "datetime": "today"},
    {"functions": json.dumps(TOOLS), "datetime": "today"},
)
"""No tools and both, as the first templates that described tools want them."""


def derive_notation(render: RenderTemplate, source: str, family: Family = UNKNOWN) -> Notation:
    """Return what a template shows, completed by what is known of the family.

    ``render`` is asked for some twenty prompts, within ``PROBE_CPU_SECONDS``.
    """
    probe = Probe(render, source)
    if probe.render_whole() is None:
        # Some loop over tools whether there are any or not, and the oldest want them as text.
        lists: tuple[Json, ...] = ({"tools": []}, *_TOOLS_AS_TEXT[:1])
        probe.always = next((each for each in lists if probe.render_whole(**each)), {})
    given = _tools_for(probe)
    answers = derive_answers(probe)
    notation = Notation(
        reasoning=answers.reasoning,
        channels=answers.channels,
        dropped=answers.dropped,
        stops=tuple(mark for mark in RESULT_MARKS if mark in probe.source),
        switch=_switch(probe, answers.reasoning if answers.reasoning[1] else family.reasoning),
        describes_tools=bool(given),
    )
    notation = _with_calls(probe, answers, notation, given or {"tools": [*TOOLS]})
    efforts = _efforts(probe, notation.switch_variables(thinking=True))
    notation = replace(notation, efforts=efforts, is_quiet=_is_quiet(probe, notation))
    return family.complete(notation)


def _tools_for(probe: Probe) -> Json:
    """Return the variables with which a template describes tools; empty where it describes none."""
    for variables in ({"tools": [*TOOLS]}, _TOOLS_AS_TEXT[1]):
        prompt = probe.render_whole(is_open=True, **variables)
        if prompt and NAMES[0] in prompt:
            return variables
    return {}


def _efforts(probe: Probe, thinking: Mapping[str, Any]) -> Efforts | None:
    """Return how a template is told how much to think; ``thinking`` switches the reasoning on."""
    tried = (
        _try_effort(probe, variable, thinking)
        for variable in EFFORT_VARIABLES
        if probe.mentions(variable)
    )
    return next((found for found in tried if found), None)


def _try_effort(probe: Probe, variable: str, thinking: Mapping[str, Any]) -> Efforts | None:
    def render(value: str | int) -> str | None:
        return probe.render_whole(is_open=True, **{**thinking, variable: value})

    if variable in EFFORT_NUMBERS:
        changes = render(_ODD_NUMBER) not in (None, render(NO_LIMIT))
        return Efforts(variable, EffortForm.NUMBER) if changes else None
    if variable in EFFORT_FLAGS:
        changes = render(value=True) not in (None, render(value=False))
        return Efforts(variable, EffortForm.FLAG, (EFFORT_FLAGS[variable],)) if changes else None
    other = render(_NO_LEVEL)
    if other and _NO_LEVEL.lower() in other.lower():
        return replace(SPOKEN_EFFORTS, variable=variable)
    prompts = {level: prompt for level in EFFORTS if (prompt := render(level))}
    if all(prompt == other for prompt in prompts.values()):
        return None
    named = [level for level in prompts if re.search(rf"""['"]{level}['"]""", probe.source)]
    levels = tuple(level for level, prompt in prompts.items() if prompt != other or level in named)
    unasked = {name: value for name, value in thinking.items() if name != variable}
    usual = probe.render_whole(is_open=True, **unasked)
    # Where the usual level has a name, every other one stands below or above it.
    is_whole = not other or usual in [prompts[level] for level in levels]
    return Efforts(variable, EffortForm.NEAREST if is_whole else EffortForm.LISTED, levels)


def _switch(probe: Probe, reasoning: tuple[str, str]) -> Switch | None:
    if not reasoning[1]:
        return None
    for switch in SWITCHES:
        if not probe.mentions(switch.variable):
            continue
        # An effort is told in words; it is a switch where it changes how an answer begins, or can be none.
        is_effort = switch.variable in EFFORT_WORDS and not _names(probe, switch)
        ask = probe.render_turn if is_effort else probe.render_whole
        told: tuple[Json, Json] = ({switch.variable: switch.on}, {switch.variable: switch.off})
        on, off = (ask(is_open=True, **variables) for variables in told)
        if on is None or off is None or on == off:
            continue
        if not (reasoning[0] and off.rstrip().endswith(reasoning[0])):
            return switch
    return IN_WORDS if _listens(probe) else None


def _is_quiet(probe: Probe, notation: Notation) -> bool:
    told: list[Json] = [notation.switch_variables(thinking=on) for on in (True, False)]
    if not all(told):
        return False
    on, off = (probe.render_whole(is_open=True, **variables) for variables in told)
    return off != on and probe.render_whole(is_open=True) == off


def _names(probe: Probe, switch: Switch) -> bool:
    """Say whether a template tells the word that switches off from any other."""
    told: tuple[Json, Json] = ({switch.variable: switch.off}, {switch.variable: _NO_LEVEL})
    off, other = (probe.render_whole(is_open=True, **variables) for variables in told)
    if off is None or off == other:
        return False
    return other is None or _NO_LEVEL.lower() not in other.lower()


def _listens(probe: Probe) -> bool:
    """Say whether the words begin an answer otherwise, instead of being told to the model as any text."""
    if str(IN_WORDS.off) not in probe.source:
        return False
    on, off = (
        probe.render_turn(is_open=True, system=str(word)) for word in (IN_WORDS.on, IN_WORDS.off)
    )
    return on is not None and off is not None and on != off


def _with_calls(probe: Probe, answers: AnswerMarks, notation: Notation, given: Json) -> Notation:
    opened = probe.render_turn(is_open=True, **given) or ""
    for turn in _call_turns(probe, given):
        found = _found_calls(turn, answers, notation, opened)
        if found is None:
            continue
        if found.calls.argument and CDATA[0] in probe.source:
            argument = replace(found.calls.argument, has_cdata=True)
            found = replace(found, calls=replace(found.calls, argument=argument))
        return replace(found, also_read=_companions(found.calls), renders_calls=True)
    return _told(probe, notation, given)


def _call_turns(probe: Probe, given: Json) -> Iterator[str]:
    """Yield turns with two calls or one, their arguments as objects or as text."""
    variants = product(("", None), (IDS, KIMI_IDS), (False, True), (2, 1))
    for content, ids, as_text, count in variants:
        shown = make_calls(count, as_text=as_text, ids=ids)
        turn = probe.render_turn(make_answer(content, tool_calls=shown), **given)
        if turn is not None and NAMES[0] in turn:
            yield turn


def _found_calls(
    turn: str, answers: AnswerMarks, notation: Notation, opened: str
) -> Notation | None:
    """Read the calls of a turn; ``opened`` is how a prompt with tools begins an answer."""
    if notation.channels:
        return _channel_calls(turn, answers, notation)
    plain = max(
        (find_common_prefix(turn, each) for each in (answers.header, answers.header.rstrip())),
        key=len,
    )
    # A second template, for messages with tools, may begin its turns otherwise.
    plain = plain if plain.strip() else find_common_prefix(turn, opened)
    text = strip_leading(turn[len(plain) :], (*notation.reasoning, *notation.dropped))
    found = derive_calls(CallTurn(text, answers.ending))
    if found is None:
        return None
    if found.form is CallForm.NAMED and not found.opening.strip():
        # The prompt itself writes the mark before the name (functionary).
        signs = answers.header.rpartition("\n")[2]
        found = replace(found, opening=signs)
    return replace(notation, calls=found)


def _channel_calls(turn: str, answers: AnswerMarks, notation: Notation) -> Notation | None:
    """Read a call in a message of its own, whose header names the tool."""
    channels = notation.channels
    if channels is None:
        return None
    text = turn[len(find_common_prefix(turn, answers.header)) :]
    header, _, body = text.partition(channels.message)
    before, _, _ = header.partition(NAMES[0])
    prefix = before.partition(channels.recipient)[2]
    channels = replace(channels, functions=prefix)
    for end in channels.ends:
        body = body.partition(end)[0]
    if NAMES[0] in body:
        calls_in_body = derive_calls(CallTurn(body, answers.ending))
        return replace(notation, channels=channels, calls=calls_in_body or HERMES_CALLS)
    closing = TAG.search(text.partition(channels.message)[2])
    ends = (*channels.ends, closing[0]) if closing else channels.ends
    channels = replace(channels, ends=tuple(dict.fromkeys(ends)))
    written = CallNotation(
        CallForm.NAMED,
        opening=f"<|channel|>commentary {channels.recipient}{prefix}",
        after_name=f" <|constrain|>json{channels.message}",
        closing=closing[0] if closing else "",
    )
    return replace(notation, channels=channels, calls=written)


def _companions(found: CallNotation) -> tuple[CallNotation, ...]:
    """Return what models that write so are known to write as well."""
    if found.is_bare and found.form is CallForm.OBJECT:
        return (LLAMA_CALLS, *LLAMA_ALSO)
    if MISTRAL_NAMED.opening in (found.opening, found.section[0]):
        return (MISTRAL_CALLS, MISTRAL_NAMED)
    if any(name in found.section[0] for name in DSML):
        names = DSML if DSML[0] in found.section[0] else DSML[::-1]
        opening, closing = (mark.replace(*names) for mark in found.section)
        return (replace(found, section=(opening, closing)),)
    if "_calls_section_" in found.section[0]:
        opening, closing = (mark.replace("_calls_", "_call_") for mark in found.section)
        return (replace(found, section=(opening, closing)),)
    if found.form is CallForm.PYTHON and found.section[0]:
        # LFM2 is asked for JSON by a sentence of the system text.
        return (CallNotation(section=found.section, is_list=True),)
    return ()


def _told(probe: Probe, notation: Notation, given: Json) -> Notation:
    """Take the notation that the template tells its model of, for it renders no calls."""
    if "<|tool|>" in probe.source:
        return replace(notation, calls=PHI_CALLS, also_read=(FUNCTOOLS,))
    prompt = probe.render_whole(is_open=True, **given) or "" if notation.describes_tools else ""
    for sign, form in SIGNATURES:
        if sign in prompt:
            return replace(notation, calls=form, also_read=_companions(form))
    named = (DEEPSEEK_CALLS,) if DEEPSEEK_CALLS.section[0] in probe.source else ()
    return replace(notation, also_read=(LISTED_CALLS, *named))
