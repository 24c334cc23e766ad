"""How one model writes reasoning, answers and calls of tools: what it is told and what is read of it."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

from engines.runtimes.text.efforts import Efforts
from engines.runtimes.text.generation import Effort

HOLE = "\x1a"
"""In a mark: a stretch that differs from call to call, such as an id, an index or a type."""
KEY = "\x1b"
"""In a mark around an argument's value: the argument's name again."""


class CallForm(enum.StrEnum):
    """What a call consists of."""

    OBJECT = "object"
    """JSON with the name and the arguments in it."""
    NAMED = "named"
    """The name, then the arguments as JSON."""
    TAGGED = "tagged"
    """The name, then each argument between marks of its own."""
    PYTHON = "python"
    """A list of calls in Python's notation."""
    LINES = "lines"
    """Calls in Python's notation, one a line (Olmo)."""
    CODE = "code"
    """The code itself up to the end of the answer, for a tool that runs it (Llama 3.1)."""
    QUOTED = "quoted"
    """The name, then an object with bare keys and a mark for quotes (Gemma)."""


@dataclass(frozen=True, slots=True)
class ArgumentMarks:
    """Marks around one argument of a tagged call; white space in them stands for any."""

    opening: str
    after_key: str
    closing: str
    is_padded: bool = False
    """Whether a line end stands on both sides of each value and is no part of it."""
    has_cdata: bool = False
    """Whether texts with marks in them stand between ``<![CDATA[`` and ``]]>``."""


@dataclass(frozen=True, slots=True)
class CallNotation:
    """How calls of tools are written."""

    form: CallForm = CallForm.OBJECT
    section: tuple[str, str] = ("", "")
    """Marks around all calls of an answer; both empty where there are none."""
    opening: str = ""
    """Before each call, up to the name where that comes first."""
    after_name: str = ""
    closing: str = ""
    is_list: bool = False
    """Whether the calls are the entries of one JSON list."""
    name_key: str = "name"
    """Of an object's name; empty where the name itself is the key of the arguments."""
    arguments_key: str = "arguments"
    id_key: str = ""
    """Of an object's id; empty where none is written."""
    argument: ArgumentMarks | None = None
    """Of a tagged call."""
    quote: str = ""
    """Around a text in a quoted call."""
    may_open: tuple[str, ...] = ()
    """Marks that models also write before a call although the format has none."""

    @property
    def is_bare(self) -> bool:
        """Whether no mark tells a call from text."""
        return not (self.section[0] or self.opening).strip()

    @property
    def marks(self) -> tuple[str, ...]:
        """All that is written around names and values."""
        inner = self.argument
        around = (inner.opening, inner.after_key, inner.closing) if inner else ()
        outer = (*self.section, self.opening, self.after_name, self.closing, self.quote)
        return tuple(mark for mark in (*outer, *around, *self.may_open) if mark.strip())


THINK = ("<think>", "</think>")
OFTEN_REASONING = (
    THINK,
    ("◁think▷", "◁/think▷"),
    ("<|thought_start|>", "<|thought_end|>"),
)
"""Marks with which models begin an answer though their template shows none: no answer begins so by itself."""
HERMES_CALLS = CallNotation(opening="<tool_call>\n", closing="\n</tool_call>")
"""What models are told whose own notation is not known: most were trained on it."""


@dataclass(frozen=True, slots=True)
class Channels:
    """An answer in messages, each with a header that says what it is (gpt-oss)."""

    start: str
    """Begins a header after the first, whose beginning the prompt has."""
    message: str
    """Between a header and its text."""
    ends: tuple[str, ...]
    """Each ends a message."""
    reasoning: str
    """In the header of a reasoning."""
    text: str
    """In the header of the answer."""
    recipient: str = "to="
    """Before the name of who gets the message, a tool for one."""
    functions: str = ""
    """Before a tool's own name there."""

    @property
    def marks(self) -> tuple[str, ...]:
        return (self.start, self.message, *self.ends, self.reasoning, self.text)


@dataclass(frozen=True, slots=True)
class Switch:
    """A variable of a template that turns the reasoning on and off, or words of the system text that do."""

    variable: str
    """Empty where ``on`` and ``off`` are words that the template looks for in the system text."""
    on: str | bool | int
    off: str | bool | int


@dataclass(frozen=True, slots=True)
class Notation:
    """What is told to a model, and what is read from its answers."""

    reasoning: tuple[str, str] = ("", "")
    """Marks around the reasoning that may precede an answer; both empty for a model without."""
    channels: Channels | None = None
    dropped: tuple[str, ...] = ()
    """Marks around the answer itself, which are no part of it."""
    stops: tuple[str, ...] = ()
    """Marks that end an answer beside those that the vocabulary knows."""
    calls: CallNotation = HERMES_CALLS
    also_read: tuple[CallNotation, ...] = ()
    """Other ways in which such models call; they are never told one."""
    switch: Switch | None = None
    efforts: Efforts | None = None
    is_quiet: bool = False
    """Whether it reasons only where it is asked to."""
    describes_tools: bool = False
    """Whether the template itself tells the model of tools."""
    renders_calls: bool = False
    """Whether the template writes calls of earlier turns."""

    @property
    def reasons(self) -> bool:
        return bool(self.reasoning[1] or self.channels)

    @property
    def readable(self) -> tuple[CallNotation, ...]:
        return (self.calls, *self.also_read)

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks that are read from an answer although they may be control tokens."""
        found = [*self.reasoning, *self.dropped, *self.stops]
        for often in OFTEN_REASONING:
            found += often
        for calls in self.readable:
            found += calls.marks
        if self.channels:
            found += [*self.channels.marks, "<|constrain|>"]
        return tuple(dict.fromkeys(mark for mark in found if mark.strip()))

    def ignores_thinking(self, *, thinking: bool | None) -> bool:
        """Whether the wish to reason or not, where there is one, changes nothing."""
        if thinking is None or self.switch is not None:
            return False
        return thinking or not self.takes_effort("minimal")

    def takes_effort(self, effort: Effort | None, *, thinking: bool | None = None) -> bool:
        """Whether an effort changes a prompt: how much is thought, or that anything is."""
        if thinking is False and self.switch is not None:
            return False
        if self.is_quiet and effort not in (None, "minimal"):
            return True
        return self.efforts is not None and bool(self.efforts.variables(effort))

    def switch_variables(
        self, *, thinking: bool | None, effort: Effort | None = None
    ) -> dict[str, str | bool | int]:
        """Return the template's variables that say whether to reason and how much; none where there are none."""
        switched: dict[str, str | bool | int] = {}
        if self.switch is not None:
            if thinking is not None and self.switch.variable:
                switched[self.switch.variable] = self.switch.on if thinking else self.switch.off
            if thinking is False:
                return switched
        return {**switched, **(self.efforts.variables(effort) if self.efforts else {})}

    def switch_words(self, *, thinking: bool | None) -> str:
        """Return the word of the system text that sets the thinking switch; empty where there is none."""
        if thinking is None or self.switch is None or self.switch.variable:
            return ""
        return str(self.switch.on if thinking else self.switch.off)


def write_calls(calls: list[tuple[str, str]], form: CallNotation) -> str:
    """Return calls, each a name with its arguments as JSON, as the model itself would write them."""
    if form.form is CallForm.PYTHON:
        inner = "[" + ", ".join(_python_call(*call) for call in calls) + "]"
        return f"{form.section[0]}{inner}{form.section[1]}"
    if form.form is CallForm.LINES:
        inner = "\n".join(_python_call(*call) for call in calls)
        return f"{form.section[0]}{inner}{form.section[1]}"
    if form.is_list:
        inner = "[" + ", ".join(_object(*call, form) for call in calls) + "]"
        return f"{form.opening or form.section[0]}{inner}{form.closing or form.section[1]}"
    written = [_marked_call(*call, form, number) for number, call in enumerate(calls)]
    # Without marks of their own, calls are told apart as Llama's are.
    between = "\n" if form.opening.strip() else "; "
    return f"{form.section[0]}{between.join(written)}{form.section[1]}"


def _marked_call(name: str, arguments: str, form: CallNotation, number: int) -> str:
    if form.form is CallForm.OBJECT:
        inner = _object(name, arguments, form)
    elif form.form is CallForm.TAGGED:
        inner = name + form.after_name + _tagged(arguments, form)
    elif form.form is CallForm.QUOTED:
        inner = name + form.after_name + _quoted(json.loads(arguments), form.quote)
    else:
        inner = name + form.after_name + arguments
    return (form.opening + inner + form.closing).replace(HOLE, str(number))


def _object(name: str, arguments: str, form: CallNotation) -> str:
    if not form.name_key:
        return f"{{{json.dumps(name)}: {arguments}}}"
    return f'{{"{form.name_key}": {json.dumps(name)}, "{form.arguments_key}": {arguments}}}'


def _tagged(arguments: str, form: CallNotation) -> str:
    marks, written = form.argument, ""
    if marks is None:
        return ""
    for key, value in json.loads(arguments).items():
        is_text = isinstance(value, str)
        text = value if is_text else json.dumps(value, ensure_ascii=False)
        kind = _kind(marks.after_key, is_text=is_text)
        padding = "\n" if marks.is_padded else ""
        after_key = marks.after_key.replace(HOLE, kind)
        written += f"{marks.opening}{key}{after_key}{padding}{text}{padding}{marks.closing}"
        written = written.replace(KEY, key)
    return written


def _kind(after_key: str, *, is_text: bool) -> str:
    """How a mark says of which type its value is."""
    if "string=" in after_key:
        return "true" if is_text else "false"
    return "string" if is_text else "number"


def _python_call(name: str, arguments: str) -> str:
    given = json.loads(arguments)
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"


def _quoted(value: object, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_quoted(each, quote)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_quoted(each, quote) for each in value) + "]"
    return json.dumps(value)
