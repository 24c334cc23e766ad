"""How the families of models differ: data that every runtime reads.

Source: the chat templates the families' publishers ship with their models.
"""

from __future__ import annotations

from dataclasses import dataclass

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
            calls=MISTRAL_CALLS,
            knows_tools=True,
        ),
        Family("gemma"),
        Family("phi", reasoning=THINK),
        Family("granite", reasoning=THINK, thinking_variable="thinking"),
        Family("smollm", reasoning=THINK, thinking_variable="enable_thinking", knows_tools=True),
    )
}


def family_of(name: str) -> Family:
    """Return the family whose name ``name`` begins with (``qwen3`` is of ``qwen``), else UNKNOWN."""
    given = name.lower()
    return next((family for key, family in FAMILIES.items() if given.startswith(key)), UNKNOWN)
