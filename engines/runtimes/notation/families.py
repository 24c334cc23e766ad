"""How the families of models differ where their templates do not show it: data that every runtime reads.

Source: the chat templates and model cards that the families' publishers ship with their models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from engines.parsing import convert
from engines.runtimes.base import Facts
from engines.runtimes.notation.description import (
    HERMES_CALLS,
    HOLE,
    THINK,
    CallForm,
    CallNotation,
    Notation,
    Switch,
)
from engines.runtimes.text.generation import Effort

LLAMA_CALLS = CallNotation(arguments_key="parameters", may_open=("<|python_tag|>",))
PYTHON_CALLS = CallNotation(CallForm.PYTHON)
PYTHON_MARKED = CallNotation(CallForm.PYTHON, ("<|python_start|>", "<|python_end|>"))
PYTHON_TAGGED = CallNotation(CallForm.LINES, ("<|python_tag|>", ""))
"""``<|python_tag|>search.call(query="…")``, as Llama 3.1 calls what it takes for its own."""
CODE_TAGGED = CallNotation(CallForm.CODE, ("<|python_tag|>", ""))
FUNCTION_TAG = CallNotation(
    CallForm.NAMED, opening="<function=", after_name=">", closing="</function>"
)
LLAMA_ALSO = (PYTHON_CALLS, PYTHON_MARKED, PYTHON_TAGGED, CODE_TAGGED, FUNCTION_TAG)
LISTED_CALLS = CallNotation(section=("<tool_calls>", "</tool_calls>"), is_list=True)
MISTRAL_CALLS = CallNotation(section=("[TOOL_CALLS]", ""), is_list=True)
MISTRAL_NAMED = CallNotation(
    CallForm.NAMED, opening="[TOOL_CALLS]", after_name=f"[CALL_ID]{HOLE}[ARGS]"
)
FUNCTOOLS = CallNotation(section=("functools", ""), is_list=True)
PHI_CALLS = CallNotation(section=("<|tool_call|>", "<|/tool_call|>"), is_list=True)
LFM_CALLS = CallNotation(CallForm.PYTHON, ("<|tool_call_start|>", "<|tool_call_end|>"))
DEEPSEEK_CALLS = CallNotation(
    CallForm.NAMED,
    ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    opening="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    after_name="\n```json\n",
    closing="\n```<｜tool▁call▁end｜>",
)
TOOLCALLS = CallNotation(section=("<TOOLCALL>", "</TOOLCALL>"), is_list=True)
GRANITE_CALLS = CallNotation(section=("<|tool_call|>", ""), is_list=True, may_open=("<tool_call>",))
ENABLE_THINKING = Switch("enable_thinking", on=True, off=False)
DETAILED_THINKING = Switch("", on="detailed thinking on", off="detailed thinking off")
"""System text of the Llama-Nemotrons, which their templates do not look for.

Source: their model cards, and arXiv 2505.00949, by which they were trained on either sentence.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of a family's models beyond their templates; a template's own marks come first."""

    name: str
    reasoning: tuple[str, str] = ("", "")
    """Marks around the reasoning that may precede an answer; empty for a family without."""
    switch: Switch | None = None
    """What turns its reasoning on and off; None for a family without."""
    calls: CallNotation = HERMES_CALLS
    """How its models call tools, or are asked to where they were not trained to."""
    also_read: tuple[CallNotation, ...] = ()
    """Other ways in which they are known to call."""
    knows_tools: bool = False
    """Whether its own templates describe tools, and answers then call them as in ``calls``."""
    is_divided: bool = False
    """Whether some of its models reason and others do not: it is said of none whose template is not known."""

    @property
    def reasons(self) -> bool:
        """Whether a model of it reasons as far as its name alone tells."""
        return bool(self.reasoning[0]) and not self.is_divided

    @property
    def notation(self) -> Notation:
        """What is known of a model whose template cannot be seen."""
        return Notation(
            reasoning=self.reasoning,
            calls=self.calls,
            also_read=self.also_read,
            switch=self.switch,
        )

    def complete(self, derived: Notation) -> Notation:
        """Return what a template shows, completed by what is known of the family."""
        shows_calls = derived.calls != HERMES_CALLS or derived.renders_calls
        calls = derived.calls if shows_calls else self.calls
        read = (self.calls, *derived.also_read, *self.also_read)
        # A variable that its template does not read changes nothing; words reach the model through any.
        in_words = self.switch if self.switch is not None and not self.switch.variable else None
        return replace(
            derived,
            reasoning=derived.reasoning if derived.reasons else self.reasoning,
            calls=calls,
            switch=derived.switch or in_words,
            also_read=tuple(dict.fromkeys(form for form in read if form != calls)),
        )


UNKNOWN = Family("")
"""A family without peculiarities."""
FAMILIES = {
    family.name: family
    for family in (
        # Before llama, whose name it begins with.
        Family(
            "llama-nemotron",
            reasoning=THINK,
            switch=DETAILED_THINKING,
            also_read=(TOOLCALLS,),
            knows_tools=True,
        ),
        Family(
            "llama",
            calls=LLAMA_CALLS,
            also_read=LLAMA_ALSO,
            knows_tools=True,
        ),
        Family("deepseek", reasoning=THINK, also_read=(DEEPSEEK_CALLS,)),
        Family("qwen", reasoning=THINK, switch=ENABLE_THINKING, knows_tools=True),
        Family(
            "mistral",
            reasoning=("[THINK]", "[/THINK]"),
            calls=MISTRAL_CALLS,
            also_read=(MISTRAL_NAMED,),
            knows_tools=True,
            is_divided=True,
        ),
        Family("gemma"),
        Family("phi", reasoning=THINK, also_read=(PHI_CALLS, FUNCTOOLS), is_divided=True),
        # Behind llama, from which some of its models are made.
        Family("nemotron", reasoning=THINK, also_read=(TOOLCALLS,), is_divided=True),
        Family("granite", reasoning=THINK, switch=Switch("thinking", on=True, off=False)),
        Family(
            "smollm",
            reasoning=THINK,
            switch=ENABLE_THINKING,
            knows_tools=True,
            is_divided=True,
        ),
    )
}


_NAMES = {
    "llama-nemotron": r"llama-.*nemotron-(?:nano-8b-v1|nano-4b-v1[.-]1|super-49b-v1|ultra-253b-v1)(?![.-]?\d)",
    "mistral": r"(?:mi|mini|magi|dev|code|math)stral|(?:mi|pi|vo)xtral",
    "phi": r"(?<![a-z])phi",
    "qwen": r"qwen|qwq",
}
"""How a family's models are called where its own name does not say it.

Those of arXiv 2505.00949 and the smaller Nano after it are the Llama-Nemotrons. Of Llama-3.1-Nemotron-70B-Instruct and
-51B no card knows their sentences, and the templates of Super v1.5 and Nano v2 look for others.
"""


def family_of(name: str) -> Family:
    """Return the family whose name ``name`` begins with (``qwen3`` is of ``qwen``), else UNKNOWN."""
    given = name.lower()
    return next((family for key, family in FAMILIES.items() if given.startswith(key)), UNKNOWN)


def family_in(name: str) -> str:
    """Return the family that a model's own name tells, empty for none that is known."""
    given = re.sub(r"[\s_]+", "-", name.lower())
    found = {known: re.search(_NAMES.get(known, known), given) for known in FAMILIES}
    # DeepSeek-R1-Distill-Llama is named last after what it was made from.
    places = [(place.start(), known) for known, place in found.items() if place is not None]
    return min(places, key=lambda place: place[0], default=(0, ""))[1]


def notation_facts(notation: Notation) -> dict[str, Any]:
    """Return a notation as values for JSON."""
    facts: dict[str, Any] = msgspec.to_builtins(notation)
    return facts


def takes_effort(facts: Facts, effort: Effort, *, thinking: bool | None = None) -> bool:
    """Say whether an engine can be told how much to think: a server takes any level or none.

    ``thinking`` is what its template is told of whether to think.
    """
    told = facts.get("takes_effort")
    if told is None:
        return notation_of(facts).takes_effort(effort, thinking=thinking)
    return bool(told)


def notation_of(facts: Facts) -> Notation:
    """Return how an engine writes: as it told, else as its family does."""
    told = facts.get("notation")
    if told is None:
        return family_of(str(facts.get("family") or "")).notation
    return convert(told, Notation)
