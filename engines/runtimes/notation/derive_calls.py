"""From calls in a rendered conversation to the notation that they are written in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from engines.runtimes.notation.description import (
    HOLE,
    KEY,
    ArgumentMarks,
    CallForm,
    CallNotation,
)
from engines.runtimes.notation.probes import ARGUMENTS, IDS, KEYS, NAMES
from engines.runtimes.notation.stretches import (
    TAG,
    find_common_prefix,
    find_common_suffix,
    find_pair,
    merge_texts,
)

_MAX_CLOSING = 80
"""Characters; what is longer is no mark but a text that follows."""


class Span(NamedTuple):
    """Where a call stands in a turn."""

    start: int
    end: int


class Around(NamedTuple):
    """What stands around calls: before the first, between two, after the last."""

    before: str
    between: str
    after: str


@dataclass(frozen=True, slots=True)
class CallTurn:
    """An assistant's turn with calls, as rendered."""

    text: str
    """From the end of the header on."""
    ending: str
    """What ends a turn."""

    def around(self, spans: list[Span]) -> Around:
        first, last = spans[0], spans[-1]
        between = self.text[first.end : last.start] if len(spans) > 1 else ""
        return Around(self.text[: first.start], between, self._cut(self.text[last.end :]))

    def _cut(self, after: str) -> str:
        """What follows the last call, without the end of the turn."""
        tag = TAG.search(self.ending)
        for ending in (self.ending.strip(), tag[0] if tag else ""):
            if ending and ending in after:
                after = after.partition(ending)[0]
                break
        if len(after) <= _MAX_CLOSING:
            return after
        return after.strip().partition("\n")[0][:_MAX_CLOSING]


class Marks(NamedTuple):
    section: tuple[str, str]
    opening: str
    closing: str


def derive_calls(turn: CallTurn) -> CallNotation | None:
    """Return the notation of the calls in a turn; None where there is none that is known."""
    if NAMES[0] not in turn.text:
        return None
    readers = (_objects, _python, _lines, _named, _quoted, _tagged)
    return next((found for read in readers if (found := read(turn)) is not None), None)


def _split(around: Around) -> Marks:
    """Tell marks of each call from those of all of them, by what stands between two."""
    before, between, after = around
    if not between:
        return Marks(("", ""), before.lstrip(), after.rstrip())
    closing = find_common_prefix(between, after)
    opening = find_common_suffix(before, between[len(closing) :])
    section = before[: len(before) - len(opening)], after[len(closing) :]
    if not section[0].strip():
        # A mark after the last call alone belongs to what follows it.
        return Marks(("", ""), opening.lstrip(), closing.rstrip())
    return Marks((section[0].strip(), _closing_of(section)), opening.lstrip(), closing.rstrip())


def _closing_of(section: tuple[str, str]) -> str:
    """Return the mark that closes a section, without what ends the turn after it."""
    pair = find_pair(*section)
    if pair is not None:
        return pair[1]
    first = TAG.match(section[1].strip())
    return first[0] if first else section[1].strip()


def _objects(turn: CallTurn) -> CallNotation | None:
    value, span = _json_with(turn.text, NAMES[0])
    if span is None:
        return None
    is_list = isinstance(value, list)
    one = value[0] if is_list else value
    keys = _object_keys(one)
    if keys is None:
        return None
    spans = [span]
    if not is_list and (second := _json_with(turn.text, NAMES[1])[1]) is not None:
        spans.append(second)
    marks = _split(turn.around(spans))
    section, opening, closing = marks
    if is_list:
        section, opening, closing = (opening.strip(), _closing_of((opening, closing))), "", ""
    return CallNotation(
        section=section,
        opening=opening,
        closing=closing,
        is_list=is_list,
        name_key=keys[0],
        arguments_key=keys[1],
        id_key=keys[2],
    )


def _json_with(text: str, name: str) -> tuple[Any, Span | None]:
    """Return the outermost JSON that begins before a name and holds it."""
    at = text.find(name)
    for found in re.finditer(r"[\[{]", text[: max(at, 0)]):
        try:
            value, end = json.JSONDecoder().raw_decode(text, found.start())
        except ValueError:
            continue
        if end > at and isinstance(value, (dict, list)) and value:
            return value, Span(found.start(), end)
    return None, None


def _object_keys(value: Any) -> tuple[str, str, str] | None:
    """Return the keys of name, arguments and id; an empty one where the name is the key itself."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    value = inner if isinstance(inner, dict) else value
    if NAMES[0] in value:
        return "", "", ""
    name = next((key for key, each in value.items() if each == NAMES[0]), None)
    given = (ARGUMENTS[0], json.dumps(ARGUMENTS[0]))
    arguments = next((key for key, each in value.items() if each in given), None)
    if name is None or arguments is None:
        return None
    return name, arguments, next((key for key, each in value.items() if each == IDS[0]), "")


def _python(turn: CallTurn) -> CallNotation | None:
    at = turn.text.find(f"{NAMES[0]}({KEYS[0]}=")
    start = turn.text.rfind("[", 0, max(at, 0))
    end = turn.text.find("]", at)
    if at < 0 or start < 0 or end < 0 or turn.text[start + 1 : at].strip():
        return None
    around = turn.around([Span(start, end + 1)])
    return CallNotation(CallForm.PYTHON, (around.before.strip(), around.after.strip()))


def _lines(turn: CallTurn) -> CallNotation | None:
    starts = [turn.text.find(f"{name}({KEYS[0]}=") for name in NAMES]
    begun = [at for at in starts if at >= 0]
    if starts[0] < 0:
        return None
    spans = [Span(at, turn.text.find(")", at) + 1) for at in begun]
    around = turn.around([Span(spans[0].start, spans[-1].end)])
    section = around.before.strip(), around.after.strip()
    return CallNotation(CallForm.LINES, section) if section[0] else None


def _named(turn: CallTurn) -> CallNotation | None:
    text = _without_ids(turn.text)
    parts = []
    for number, name in enumerate(NAMES):
        at = text.find(name)
        begun = text.find("{", at)
        if at < 0 or begun < 0:
            break
        try:
            value, end = json.JSONDecoder().raw_decode(text, begun)
        except ValueError:
            break
        if value != ARGUMENTS[number]:
            break
        parts.append((Span(at, end), text[at + len(name) : begun]))
    if not parts:
        return None
    after_name = merge_texts(parts[0][1], parts[-1][1], HOLE)
    marks = _split(CallTurn(text, turn.ending).around([span for span, _ in parts]))
    return CallNotation(CallForm.NAMED, marks.section, marks.opening, after_name, marks.closing)


def _without_ids(text: str) -> str:
    for key in IDS:
        text = text.replace(key, HOLE)
    return text


def _quoted(turn: CallTurn) -> CallNotation | None:
    text = turn.text
    quote = r"(?P<quote><\S*?>)"
    pattern = rf"{NAMES[0]}(?P<name>[^{{]*){{{KEYS[0]}:{quote}VALONE(?P=quote),{KEYS[1]}:77}}"
    found = re.search(pattern, text)
    if found is None:
        return None
    spans = [Span(*found.span())]
    second = re.search(rf"{NAMES[1]}[^{{]*{{[^}}]*}}", text)
    if second is not None:
        spans.append(Span(*second.span()))
    marks = _split(turn.around(spans))
    tag = TAG.match(marks.opening)
    word = marks.opening[tag.end() :] if tag else ""
    return CallNotation(
        CallForm.QUOTED,
        marks.section,
        marks.opening,
        found["name"],
        marks.closing,
        quote=found["quote"],
        # Small models leave out the mark, or write the colon twice.
        may_open=(f"{tag[0]}:{word}", word) if tag and word.endswith(":") else (),
    )


class _Pieces(NamedTuple):
    """What stands between name, keys and values of a tagged call."""

    to_first_key: str
    after_first_key: str
    to_second_key: str
    after_second_key: str
    end: int
    """Where the last value ends."""


def _tagged(turn: CallTurn) -> CallNotation | None:
    text = _without_ids(turn.text)
    first = _pieces(text, 0)
    if first is None:
        return None
    second = _pieces(text, 1)
    stop = text.find(NAMES[1]) if second else len(text)
    tail = text[first.end : stop].replace(KEYS[1], KEY)
    between = first.to_second_key.replace(KEYS[0], KEY)
    closing, opening = _argument_marks(between, tail, first.to_first_key)
    after_key = merge_texts(first.after_first_key, first.after_second_key, HOLE)
    after_name = first.to_first_key[: len(first.to_first_key) - len(opening)]
    if second is not None:
        other = second.to_first_key[: len(second.to_first_key) - len(opening)]
        after_name = merge_texts(after_name, other, HOLE)
    is_padded = after_key.endswith("\n") and closing.startswith("\n")
    size = len(closing.replace(KEY, KEYS[1]))
    spans = [Span(text.find(NAMES[0]), first.end + size)]
    if second is not None:
        spans.append(Span(text.find(NAMES[1]), second.end + size))
    marks = _split(CallTurn(text, turn.ending).around(spans))
    # What tells a key from its value comes before what differs from call to call.
    needed = (marks.opening, marks.closing, opening, after_key.partition(HOLE)[0], closing)
    if not all(mark.strip() for mark in needed):
        return None
    argument = ArgumentMarks(
        opening.strip(), after_key.rstrip("\n"), closing.strip(), is_padded=is_padded
    )
    return CallNotation(
        CallForm.TAGGED,
        marks.section,
        marks.opening,
        after_name,
        marks.closing,
        argument=argument,
    )


def _argument_marks(between: str, tail: str, to_first_key: str) -> tuple[str, str]:
    """Return the marks after a value and before a key; empty ones where they cannot be told apart."""
    if KEY in between:
        # The name stands in the closing mark as well, which ends with the tag.
        end = between.find(">", between.index(KEY)) + 1
        return (between[:end], between[end:]) if end else ("", "")
    closing = find_common_prefix(between, tail)
    return closing, find_common_suffix(between[len(closing) :], to_first_key)


def _pieces(text: str, number: int) -> _Pieces | None:
    """Return the pieces of one call; None where keys and values do not follow the name."""
    at = text.find(NAMES[number])
    if at < 0:
        return None
    at += len(NAMES[number])
    stretches = []
    for word in (
        KEYS[0],
        str(ARGUMENTS[number][KEYS[0]]),
        KEYS[1],
        str(ARGUMENTS[number][KEYS[1]]),
    ):
        found = text.find(word, at)
        if found < 0:
            return None
        stretches.append(text[at:found])
        at = found + len(word)
    return _Pieces(stretches[0], stretches[1], stretches[2], stretches[3], at)
