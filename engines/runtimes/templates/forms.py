"""The forms in which a conversation can be given to a chat template, from the least changed on.

Templates differ in what they take: some refuse a system message or two turns of one role in a row, some
leave out what they do not expect. A form moves and joins texts; it never changes one.
"""

from __future__ import annotations

import enum
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.notation.description import CallNotation
from engines.runtimes.notation.tool_prompts import read_arguments, write_tools_as_text
from engines.runtimes.text.response_format import Json

BETWEEN = "\n\n"
"""Between two texts that become one message."""


class SystemPlace(enum.IntEnum):
    """Where a template gets system messages."""

    OWN = 0
    LATER_WITH_USER = 1
    """Those after the first are the user's: their place in the conversation is kept."""
    WITH_USER = 2


class ToolPlace(enum.IntEnum):
    """Where a template gets the tools."""

    VARIABLE = 0
    LIST = 1
    """As before, and an empty list where there are none."""
    FUNCTIONS = 2
    """In the variable ``functions`` as JSON text, beside ``datetime``."""


class Given(NamedTuple):
    """What a template is given."""

    messages: list[Any]
    tools: list[Json] | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """What is done to a conversation before a template gets it; by default nothing."""

    typed: bool = False
    """A content is a list with one part, as templates of models that see pictures want it."""
    short_ids: bool = False
    """Calls have numbers of nine letters and digits, as Mistral's templates demand."""
    written_arguments: bool = False
    """The arguments of a call are JSON text instead of an object."""
    joined: bool = False
    """Neighbours of one role are one message."""
    split: bool = False
    """What an assistant said beside its calls is a message of its own."""
    system: SystemPlace = SystemPlace.OWN
    opened: bool = False
    """An empty turn of the user stands before an assistant who begins."""
    tools_as_text: bool = False
    """Tools, calls and results are written into the messages."""
    tools: ToolPlace = ToolPlace.VARIABLE

    @property
    def weight(self) -> float:
        """How far it is from what was sent."""
        return (
            self.typed * 0.1
            + self.short_ids * 0.2
            + self.written_arguments * 0.3
            + self.joined
            + self.split * 1.5
            + self.system * 2
            + self.opened * 3
            + self.tools_as_text * 5
            # Few templates want this, and for all others it doubles the search.
            + self.tools * 20
        )

    def describe(self) -> str:
        """Name in words what is changed beyond how the same is written down; empty for nothing."""
        system = ("", "later system in the user's turn", "system in the user's turn")[self.system]
        named = {
            system: bool(system),
            "turns joined": self.joined,
            "words beside calls apart": self.split,
            "an empty user's turn first": self.opened,
            "tools as text": self.tools_as_text,
        }
        return ", ".join(words for words, applies in named.items() if applies)

    def shape(
        self, messages: Sequence[ChatMessage], tools: Sequence[Json], calls: CallNotation
    ) -> Given:
        """Return messages and tools as a template gets them in this form; calls as text as ``calls``."""
        turns = list(messages)
        if self.tools_as_text:
            turns, tools = write_tools_as_text(turns, tools, calls), ()
        if self.split:
            turns = list(_split(turns))
        turns = _place_system(turns, self.system)
        if self.joined:
            turns = _join(turns)
        if self.opened:
            turns = _open(turns)
        written = [*self._write(turns)]
        if self.tools is ToolPlace.FUNCTIONS:
            return Given(written, None, _write_functions(tools))
        return Given(written, [*tools] or ([] if self.tools is ToolPlace.LIST else None), {})

    def _write(self, turns: Sequence[ChatMessage]) -> Iterator[Json]:
        """Yield the messages as templates read them."""
        names: dict[str, str] = {}
        ids: dict[str, str] = {}
        for turn in turns:
            written: Json = dict(turn)
            given = turn.get("tool_calls") or []
            for call in given:
                names[call["id"]] = call["function"]["name"]
                ids[call["id"]] = f"call{len(ids):05}" if self.short_ids else call["id"]
            if given:
                written["tool_calls"] = [self._write_call(call, ids[call["id"]]) for call in given]
            result_of = turn.get("tool_call_id")
            if result_of in ids:
                written |= {"tool_call_id": ids[result_of], "name": names[result_of]}
            if self.typed:
                text = turn["content"]
                written["content"] = [{"type": "text", "text": text}] if text else []
            yield written

    def _write_call(self, call: MessageToolCall, number: str) -> Json:
        function = call["function"]
        read = read_arguments(function["arguments"])
        arguments = json.dumps(read, ensure_ascii=False) if self.written_arguments else read
        return {**call, "id": number, "function": {**function, "arguments": arguments}}


def _list_forms() -> tuple[Form, ...]:
    switches = itertools.product((False, True), repeat=7)
    found = [
        Form(typed, ids, written, joined, split, place, opened, as_text, tools)
        for typed, ids, written, joined, split, opened, as_text in switches
        for place in SystemPlace
        for tools in ToolPlace
        if not (joined and split)
    ]
    return tuple(sorted(found, key=lambda form: form.weight))


FORMS = _list_forms()
"""All forms, the one that changes least first."""


def _write_functions(tools: Sequence[Json]) -> Json:
    """Return the variables of templates of the first kind that described tools."""
    # The day alone: with the time of day no prompt would begin as the one before it.
    day = datetime.now().strftime("%b %d %Y")  # noqa: DTZ005 - the day of the place SAM runs at
    return {"functions": json.dumps(tools, indent=2, ensure_ascii=False), "datetime": day}


def _split(turns: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    for turn in turns:
        if turn.get("tool_calls") and turn["content"].strip():
            yield {"role": turn["role"], "content": turn["content"]}
            yield {**turn, "content": ""}
        else:
            yield turn


def _place_system(turns: Sequence[ChatMessage], place: SystemPlace) -> list[ChatMessage]:
    """Make system messages the user's, each one text with the user's own that follows it."""
    if place is SystemPlace.OWN:
        return list(turns)
    kept = 0
    if place is SystemPlace.LATER_WITH_USER:
        kept = sum(1 for _ in itertools.takewhile(lambda turn: turn["role"] == "system", turns))
    placed = list(turns[:kept])
    is_moved = False
    for turn in turns[kept:]:
        moves = turn["role"] == "system"
        given: ChatMessage = {**turn, "role": "user"} if moves else turn
        if is_moved and given["role"] == "user":
            placed[-1] = _merge(placed[-1], given)
        else:
            placed.append(given)
        is_moved = moves
    return placed


def _join(turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    joined: list[ChatMessage] = []
    for turn in turns:
        before = joined[-1] if joined else None
        is_one = (
            before is not None
            and before["role"] == turn["role"] != "tool"
            # What was said after a call would be read before it.
            and not before.get("tool_calls")
        )
        if is_one and before is not None:
            joined[-1] = _merge(before, turn)
        else:
            joined.append(turn)
    return joined


def _merge(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    texts = [text for text in (first["content"], second["content"]) if text]
    both: Mapping[str, Any] = {**first, **second, "content": BETWEEN.join(texts)}
    return cast(ChatMessage, both)


def _open(turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    first = next((n for n, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    if first == len(turns) or turns[first]["role"] == "user":
        return list(turns)
    return [*turns[:first], {"role": "user", "content": ""}, *turns[first:]]
