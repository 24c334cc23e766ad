"""What the publishers of embedders ask to be put before questions and passages.

A proposal, with the model's card that it is from: an instruction is part of the vector space, so nothing
here writes over what a curator typed, or left empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from msgspec import Struct

from engines.models import CatalogModel, ModelRole
from engines.parsing import decode

DATA = Path(__file__).resolve().parents[2] / "data" / "embedder_instructions.json"
_NOT_IN_NAMES = re.compile(r"[_\s]+")


class Instructions(Struct, frozen=True):
    """What is put before texts; ``card`` is the Hub's name of the model whose card says so."""

    query_prefix: str
    document_prefix: str
    card: str


class _Rule(Struct, frozen=True):
    """Whose instructions these are: models of a name, or without a name, all of an architecture."""

    query: str
    document: str
    card: str
    name: str = ""
    """A regular expression, found where a word of the name begins."""
    architectures: tuple[str, ...] = ()
    """What the file of such a name must be, where that is known."""
    architecture: str = ""

    def is_about(self, name: str, architecture: str) -> bool:
        if self.architecture:
            return self.architecture == architecture
        if architecture and self.architectures and architecture not in self.architectures:
            return False
        return re.search(rf"(?<![a-z0-9])(?:{self.name})(?![a-z])", name) is not None


def find_instructions(names: Iterable[str], architecture: str = "") -> Instructions | None:
    """Return what is known of a model by its names, the surest first; None for an unknown one.

    ``architecture`` is what its file says, where it was read.
    """
    words = [_NOT_IN_NAMES.sub("-", name.rpartition("/")[2].lower()) for name in names]
    for name in [*words, ""]:
        for rule in _rules():
            if rule.is_about(name, architecture):
                return Instructions(rule.query, rule.document, rule.card)
    return None


def propose_instructions(entry: CatalogModel) -> Instructions | None:
    """Return what the publisher of an embedder asks for; None for what is unknown or only chats."""
    if entry.role != ModelRole.EMBEDDING:
        return None
    revision = entry.current_revision
    read = {**revision.shape, **revision.facts} if revision is not None else {}
    query, document = (str(read.get(f"{what}_prompt") or "") for what in ("query", "document"))
    if query or document:
        return Instructions(query, document, card=entry.folder)
    places = (entry.huggingface_repo, entry.filename, entry.remote_name, entry.folder)
    names = [name for name in (*places, entry.model_id, entry.display_name) if name]
    return find_instructions(names, str(read.get("architecture") or ""))


def differing_instructions(entry: CatalogModel) -> Instructions | None:
    """Return the proposal for an embedder that has other instructions, else None."""
    proposed = propose_instructions(entry)
    if proposed is None:
        return None
    given = (entry.query_prefix, entry.document_prefix)
    return None if given == (proposed.query_prefix, proposed.document_prefix) else proposed


def describe_instructions(proposed: Instructions) -> str:
    """Return a sentence about a proposal, in one line."""
    parts = (("questions", proposed.query_prefix), ("passages", proposed.document_prefix))
    told = [
        f"{_quoted(text)} before {what}" if text else f"nothing before {what}"
        for what, text in parts
    ]
    return f"The card of {proposed.card} asks for {' and '.join(told)}."


def _quoted(text: str) -> str:
    return f"“{text}”".replace("\n", "\\n")


@cache
def _rules() -> tuple[_Rule, ...]:
    return decode(DATA.read_bytes(), tuple[_Rule, ...])
