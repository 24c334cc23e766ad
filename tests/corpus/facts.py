"""Short facts in thirteen scripts, each with a question; written for these tests (`facts.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Fact(NamedTuple):
    """One sentence, and a question that it alone answers."""

    script: str
    number: int
    text: str
    question: str


def load_facts() -> list[Fact]:
    """Return all facts, script by script."""
    known = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
    return [
        Fact(script, number, fact["text"], fact["question"])
        for script, group in known.items()
        for number, fact in enumerate(group["facts"])
    ]


FACTS = load_facts()
SCRIPTS = list(dict.fromkeys(fact.script for fact in FACTS))


def facts_of(script: str) -> list[Fact]:
    """Return the facts in one script."""
    return [fact for fact in FACTS if fact.script == script]
