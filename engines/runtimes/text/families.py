"""How the families of models differ: data that every runtime reads.

Source: the chat templates the families' publishers ship with their models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage

THINK = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """How a call of a tool is written: marks, and between them JSON with a name and arguments."""

    opening: str = "<tool_call>"
    """Before a call; empty when the JSON itself begins the answer."""
    closing: str = "</tool_call>"
    """After a call; empty when the end of the answer is."""
    arguments: str = "arguments"
    is_list: bool = False
    """Whether all calls are in one JSON list."""
    may_open: str = ""
    """A mark that some models write before a call although the format has none."""

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(mark for mark in (self.opening, self.closing, self.may_open) if mark)


HERMES_CALLS = ToolFormat()
LLAMA_CALLS = ToolFormat("", "", arguments="parameters", may_open="<|python_tag|>")
MISTRAL_CALLS = ToolFormat("[TOOL_CALLS]", "", is_list=True)


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one family are prompted, and how they mark up their answers."""

    name: str
    reasoning: tuple[str, str] = ("", "")
    """Marks around the reasoning that may precede an answer; empty for a family without."""
    thinking_variable: str = ""
    """The template's variable that switches reasoning on and off; empty for a family without."""
    folds_system: bool = False
    """Some of its templates refuse a system message or two turns of one role in a row."""
    calls: ToolFormat = HERMES_CALLS
    """How its models call tools, or are asked to where they were not trained to."""
    knows_tools: bool = False
    """Whether its own templates describe tools, and answers then call them as in ``calls``."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks that are read from an answer although they may be control tokens."""
        return (*(mark for mark in self.reasoning if mark), *self.calls.marks)

    def switch(self, *, thinking: bool | None) -> dict[str, bool]:
        """The template's variables that set the thinking switch; none for a family without."""
        return (
            {}
            if thinking is None or not self.thinking_variable
            else {self.thinking_variable: thinking}
        )

    @property
    def reasons(self) -> bool:
        return bool(self.reasoning[0])


UNKNOWN = Family("")
"""A family without peculiarities."""
FAMILIES = {
    family.name: family
    for family in (
        Family("llama", calls=LLAMA_CALLS, knows_tools=True),
        Family("deepseek", reasoning=THINK),
        Family("qwen", reasoning=THINK, thinking_variable="enable_thinking", knows_tools=True),
        Family(
            "mistral",
            reasoning=("[THINK]", "[/THINK]"),
            folds_system=True,
            calls=MISTRAL_CALLS,
            knows_tools=True,
        ),
        Family("gemma", folds_system=True),
        Family("phi", reasoning=THINK),
        Family("granite", reasoning=THINK, thinking_variable="thinking"),
        Family("smollm", reasoning=THINK, thinking_variable="enable_thinking", knows_tools=True),
    )
}


def family_of(name: str) -> Family:
    """Return the family whose name ``name`` begins with (``qwen3`` is of ``qwen``), else UNKNOWN."""
    given = name.lower()
    return next((family for key, family in FAMILIES.items() if given.startswith(key)), UNKNOWN)


def fold_turns(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the messages without a system turn and with alternating roles.

    A system message is put in front of the user's message after it; turns of one role are joined.
    """
    turns: list[ChatMessage] = []
    for message in messages:
        role = "user" if message["role"] == "system" else message["role"]
        if turns and turns[-1]["role"] == role:
            joined = f"{turns[-1]['content']}\n\n{message['content']}"
            turns[-1] = {"role": role, "content": joined}
        else:
            turns.append({"role": role, "content": message["content"]})
    return turns


def render_for_family(
    render: Callable[[Sequence[ChatMessage]], str], messages: Sequence[ChatMessage], family: Family
) -> str:
    """Render the messages; those that ``render`` refuses are folded where the family needs that.

    Raises InvalidRequestError when it still refuses them.
    """
    # As they are first: newer templates of such a family accept a system message, and mean it.
    try:
        return render(messages)
    except InvalidRequestError:
        fold = fold_turns(messages)
        if not family.folds_system or fold == list(messages):
            raise
    return render(fold)
