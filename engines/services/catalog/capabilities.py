"""What an engine can do besides answering: from its file's chat template, else its family, and its runtime."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q

from engines.models import CatalogModel, ModelRevision
from engines.runtime_names import BUILT_IN
from engines.runtimes.notation.families import FAMILIES, family_of

SERVERS = frozenset(name for name, runtime in BUILT_IN.items() if runtime.server_decides)
"""Runtimes whose server decides what is done with tools and forms."""


class Ability(StrEnum):
    """What engines are looked for by."""

    TOOLS = "tools"
    JSON = "json"
    THINKING = "thinking"


class ToolUse(StrEnum):
    """How an engine is told of tools."""

    TRAINED = "trained"
    """Its own template describes them or writes calls, and it was trained to call them."""
    WRITTEN = "written"
    """They are written into the system text; it was not trained for that notation."""
    SERVER = "server"
    """They are sent to the server that runs it."""


class JsonUse(StrEnum):
    """Whether an answer can be held to a JSON schema."""

    HELD = "held"
    SERVER = "server"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; ``context`` in tokens, 0 while it is not known."""

    tools: ToolUse
    json: JsonUse
    thinks: bool
    """Whether it may reason before it answers."""
    can_switch_thinking: bool
    context: int


def capabilities_of(model: CatalogModel, revision: ModelRevision | None = None) -> Capabilities:
    """Return what a chat engine can do; ``revision`` is the one meant, else the current one."""
    family = family_of(model.model_family)
    pinned = revision or model.current_revision
    # A file's own template knows better than what is usual in its family.
    shown = pinned.abilities if pinned is not None else {}
    return Capabilities(
        tools=_tools(model.runtime, is_trained=shown.get("tools", family.knows_tools)),
        json=_json(model.runtime),
        thinks=shown.get("thinks", family.reasons),
        can_switch_thinking=shown.get("switches", family.reasons and family.switch is not None),
        context=context_of(model, pinned),
    )


def context_of(model: CatalogModel, revision: ModelRevision | None) -> int:
    """Return the tokens of an engine's context: the model's own, or fewer where a curator said so."""
    facts, shape = (revision.facts, revision.shape) if revision is not None else ({}, {})
    own = int(facts.get("context_length") or shape.get("context_length") or 0)
    return min(filter(None, (model.context_length, own)), default=0)


def ability_filter(ability: Ability) -> Q:
    """Return ``capabilities_of`` as a condition: trained for tools, held to a JSON schema, reasons."""
    if ability == Ability.JSON:
        return Q(runtime=CatalogModel.FILE_RUNTIME)
    usual = Q(pk__in=[])
    for name, family in FAMILIES.items():
        if family.reasons if ability == Ability.THINKING else family.knows_tools:
            usual |= Q(model_family__istartswith=name)
    name = "thinks" if ability == Ability.THINKING else "tools"
    is_unknown = Q(current_revision__isnull=True) | Q(current_revision__abilities={})
    can = Q(**{f"current_revision__abilities__{name}": True}) | (is_unknown & usual)
    return can if ability == Ability.THINKING else can & ~Q(runtime__in=SERVERS)


def lost_capabilities(old: Capabilities, new: Capabilities) -> list[str]:
    """Return a sentence for each thing that the old engine can do and the new one cannot."""
    lost = []
    if old.tools == ToolUse.TRAINED and new.tools == ToolUse.WRITTEN:
        lost.append(
            "It was not trained to call tools: SAM describes them to it in words, and calls may fail."
        )
    if old.json == JsonUse.HELD and new.json != JsonUse.HELD:
        lost.append(
            "Its answers cannot be held to a JSON schema: such requests are refused."
            if new.json == JsonUse.NONE
            else "Whether an answer keeps to a JSON schema is up to the server that runs it."
        )
    if old.thinks and not new.thinks:
        lost.append("It does not reason before it answers.")
    elif old.can_switch_thinking and new.thinks and not new.can_switch_thinking:
        lost.append("Its reasoning cannot be switched off.")
    return lost


def _tools(runtime: str, *, is_trained: bool) -> ToolUse:
    if runtime in SERVERS:
        return ToolUse.SERVER
    return ToolUse.TRAINED if is_trained else ToolUse.WRITTEN


def _json(runtime: str) -> JsonUse:
    if runtime in SERVERS:
        return JsonUse.SERVER
    return JsonUse.HELD if runtime == CatalogModel.FILE_RUNTIME else JsonUse.NONE
