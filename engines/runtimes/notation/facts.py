"""A notation among the facts that an engine tells of itself."""

from __future__ import annotations

from typing import Any

import msgspec

from engines.runtimes.base import Facts
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.families import family_of


def notation_facts(notation: Notation) -> dict[str, Any]:
    """Return a notation as values for JSON."""
    facts: dict[str, Any] = msgspec.to_builtins(notation)
    return facts


def notation_of(facts: Facts) -> Notation:
    """Return how an engine writes: as it told, else as its family does."""
    told = facts.get("notation")
    if told is None:
        return family_of(str(facts.get("family") or "")).notation
    return msgspec.convert(told, Notation)
