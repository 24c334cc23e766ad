"""From a rendered answer with its reasoning to the marks around both."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any

from engines.runtimes.notation.description import THINK, Channels
from engines.runtimes.notation.probes import (
    CONTENT,
    IDS,
    NAMES,
    REASON,
    TOOLS,
    Probe,
    make_answer,
    make_calls,
    make_parts,
    make_thoughtful,
)
from engines.runtimes.notation.stretches import (
    TAG,
    find_common_prefix,
    find_pair,
    letters_of,
    strip_leading,
)

KNOWN_REASONING = (
    THINK,
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("Here is my thought process:", "Here is my response:"),
)
"""Pairs that a template may mention without rendering a reasoning, which its models then write."""
KNOWN_ANSWERS = (("<response>", "</response>"), ("<answer>", "</answer>"))
"""Marks around an answer that a template tells its model of, or takes out of earlier turns."""
SPOKEN_REASONING = ("[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]")
"""Apriel is told to reason first, without a mark, and to put its answer between these."""
_SIGNS = re.compile(r"[^\w\s]+$")


@dataclass(frozen=True, slots=True)
class AnswerMarks:
    """What stands around reasoning and answer."""

    header: str = ""
    """From the end of the user's text to where an answer begins."""
    ending: str = ""
    """After an answer."""
    reasoning: tuple[str, str] = ("", "")
    dropped: tuple[str, ...] = ()
    channels: Channels | None = None


def derive_answers(probe: Probe) -> AnswerMarks:
    """Return the marks that a template shows; empty ones for what it does not."""
    opened = probe.render_turn(is_open=True) or ""
    plain = probe.render_turn(make_answer()) or ""
    before_content, _, ending = plain.partition(CONTENT)
    header = find_common_prefix(opened, before_content) if CONTENT in plain else opened
    thought, answer = _thoughtful_turn(probe)
    reasoning, dropped = _mentioned(probe, opened), tuple[str, ...]()
    if thought:
        before, _, rest = thought.partition(REASON)
        after = rest.partition(answer)[0]
        if channels := _channels(header, before, after, ending):
            return AnswerMarks(header, ending, channels=channels)
        shown = _reasoning(header, before, after, opened)
        if shown is not None:
            reasoning, dropped = shown[0], shown[1] if answer == CONTENT else ()
    dropped = (*dropped, *_around_content(header, before_content, ending, reasoning))
    for around in KNOWN_ANSWERS:
        if all(mark in probe.source for mark in around) and not _is_of_results(probe, around[0]):
            dropped = (*dropped, *around)
    if not reasoning[1] and all(mark in probe.source for mark in SPOKEN_REASONING):
        reasoning, dropped = ("", SPOKEN_REASONING[0]), (*dropped, SPOKEN_REASONING[1])
    ending = strip_leading(ending, dropped)
    dropped = (*dropped, *_before_end(ending, header))
    return AnswerMarks(header, ending, reasoning, tuple(dict.fromkeys(dropped)))


def _before_end(ending: str, header: str) -> tuple[str, ...]:
    """Return the marks that close an answer before the one that ends the turn, the user's as well."""
    ending = ending.strip()
    tags = list(TAG.finditer(ending))
    before = ending[: tags[-1].start()] if tags else ""
    ends_turn = header.startswith(ending) and header.strip() != ending
    is_marks = "|" in before and not TAG.sub("", before).strip(string.ascii_letters)
    return (before,) if ends_turn and is_marks else ()


def _is_of_results(probe: Probe, mark: str) -> bool:
    """Whether a template writes a mark around what tools answer."""
    call = make_answer("", tool_calls=make_calls(1, as_text=False))
    result = {"role": "tool", "name": NAMES[0], "tool_call_id": IDS[0], "content": CONTENT}
    return mark in (probe.render_turn(call, result, tools=[*TOOLS]) or "")


def _thoughtful_turn(probe: Probe) -> tuple[str, str]:
    """Return a turn that shows its reasoning, and what follows it there; empty where none does."""
    given: dict[str, Any] = {"tools": [*TOOLS]}
    call = make_thoughtful("", tool_calls=make_calls(1, as_text=False))
    thinking: dict[str, Any] = {"enable_thinking": True, "thinking": True}
    none: dict[str, Any] = {}
    for variables in (none, thinking):
        for message, more, follows in (
            (make_thoughtful(), none, CONTENT),
            (make_parts(), none, CONTENT),
            (call, given, NAMES[0]),
        ):
            turn = probe.render_turn(message, **{**variables, **more}) or ""
            # A template that takes a text only writes the parts of a list as they are.
            if follows in turn.partition(REASON)[2] and "'type'" not in turn:
                return turn, follows
    return "", ""


def _repeated_header(header: str, after: str) -> str:
    """Return the beginning of a turn where it stands again between reasoning and answer."""
    for tag in reversed(list(TAG.finditer(header))):
        start = header[tag.start() :]
        if re.search(r"\w", start[len(tag[0]) :]) and start in after:
            return start
    return ""


def _channels(header: str, before: str, after: str, ending: str) -> Channels | None:
    again = _repeated_header(header, after)
    if not again or again not in before:
        return None
    reasoning = before.rpartition(again)[2]
    end, _, text = after.partition(again)
    message, other = (list(TAG.finditer(each)) for each in (reasoning, text))
    if not message or not other or message[-1][0] != other[-1][0]:
        return None
    mark = message[-1][0]
    first = TAG.match(again)
    ends = [end.strip(), *(tag[0] for tag in TAG.finditer(ending))]
    return Channels(
        start=first[0] if first else "",
        message=mark,
        ends=tuple(dict.fromkeys(filter(None, ends))),
        reasoning=reasoning.removesuffix(mark).strip(),
        text=text.removesuffix(mark).strip(),
    )


def _reasoning(
    header: str, before: str, after: str, opened: str
) -> tuple[tuple[str, str], tuple[str, ...]] | None:
    """Return the marks around the reasoning, and those before the answer; None where none are."""
    again = _repeated_header(header, after)
    if again and again in before:
        opening = before.rpartition(again)[2].strip()
        end, _, text = after.partition(again)
        dropped = (again + text, again, text)
        return (opening, end.strip()), tuple(each.strip() for each in dropped if each.strip())
    pair = find_pair(before, after)
    if pair is not None:
        text = pair[2].strip()
        return pair[:2], (text,) if text else ()
    # The prompt opens the reasoning in words of its own.
    words = opened[len(find_common_prefix(opened, before)) :].strip()
    closing = after.strip()
    return ((words, closing), ()) if words and closing else None


def _mentioned(probe: Probe, opened: str) -> tuple[str, str]:
    """Return the pair that the template mentions, for it renders no reasoning."""
    for opening, closing in KNOWN_REASONING:
        if opening in probe.source and closing in probe.source:
            return opening, closing
        if opened.rstrip().endswith(opening):
            return opening, closing
    last = next(reversed(list(TAG.finditer(opened.rstrip()))), None)
    if last is not None and last.end() == len(opened.rstrip()):
        # The prompt ends with a mark that the template takes out of earlier turns with its partner.
        partner = last[0][0] + "/" + last[0][1:]
        if partner in probe.source:
            return last[0], partner
    # A template that asks for reasoning in words alone (Cogito) leaves the marks to its model.
    return THINK if probe.mentions("enable_thinking") else ("", "")


def _around_content(
    header: str, before: str, ending: str, reasoning: tuple[str, str]
) -> tuple[str, ...]:
    """Return marks before and after an answer that are no reasoning and no end of a turn."""
    opening = strip_leading(before[len(header) :], reasoning).strip()
    if not opening:
        return ()
    if not TAG.search(opening):
        signs = _SIGNS.search(header)
        # Words alone are not taken out of an answer.
        opening = signs[0] + opening if signs else ""
    letters = {letters_of(tag[0]) for tag in TAG.finditer(opening)} - {""}
    pair = find_pair(opening, ending)
    if pair is not None:
        return opening, pair[1]
    closing = next((tag[0] for tag in TAG.finditer(ending) if letters_of(tag[0]) in letters), "")
    return tuple(filter(None, (opening, closing)))
