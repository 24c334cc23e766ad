"""Questions about the demo's texts, and the words of the one passage that answers each."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
RUN = 3
"""A shared run of so many words would make a question findable without understanding it."""


@dataclass(frozen=True, slots=True)
class Question:
    """``needle`` is text of the passage that answers; nothing else may hold it."""

    text: str
    needle: str
    shared: bool = False
    """Whether the passage lies in the team's base."""


QUESTIONS = (
    Question(
        "I want the few biggest entries of some data set.",
        "Find the n largest elements in a dataset.",
    ),
    Question(
        "Make a tamper-proof unguessable token for a password reset link",
        "Return a random URL-safe text string",
    ),
    Question(
        "Create an identifier from the network card address and the clock",
        "Generate a UUID from a host ID, sequence number, and the current time",
    ),
    Question(
        "How do I strip the indentation common to a whole paragraph?",
        "Remove any common leading whitespace from every line",
    ),
    Question(
        "Create a scratch folder that vanishes by itself afterwards.",
        "Create and return a temporary directory.  This has the same",
        shared=True,
    ),
)


GROUNDED = Question("What did we decide about the roof?", "with slate again")
"""What the new engine answers from Ada's own papers."""


def shared_runs(question: str, passage: str) -> set[tuple[str, ...]]:
    """Return the three-word sequences that both texts have, whatever their case and punctuation."""
    return _runs(question) & _runs(passage)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
