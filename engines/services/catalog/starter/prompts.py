"""The prompts that SAM ships, one template a family of the starter catalog."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TypedDict

from engines.models import PromptTemplate

SHIPPED = Path(__file__).resolve().parents[3] / "data" / "prompt_templates.json"


class ShippedPrompts(TypedDict):
    """The texts of one family; an empty chat format means the model's own template."""

    family: str
    system_prompt: str
    reasoning_prompt: str
    chat_format: str
    hint: str
    """For people, not for the engine: what they should know of the family."""


@cache
def shipped_prompts() -> tuple[ShippedPrompts, ...]:
    """Return what SAM ships, by family."""
    return tuple(json.loads(SHIPPED.read_text(encoding="utf-8")))


def write_missing_prompts() -> list[str]:
    """Write the templates of families that have none; return their names.

    A row that is there stays as it is, also an empty one: a curator may have meant it.
    """
    return [shipped["family"] for shipped in shipped_prompts() if _write(shipped)]


def hint_of(family: str) -> str:
    """Return what people should know of a family's prompts; an empty text where there is nothing."""
    return next((s["hint"] for s in shipped_prompts() if s["family"] == family), "")


def _write(shipped: ShippedPrompts) -> bool:
    texts = {
        "system_prompt": shipped["system_prompt"],
        "reasoning_prompt": shipped["reasoning_prompt"],
        "chat_format": shipped["chat_format"],
    }
    _, created = PromptTemplate.objects.get_or_create(family=shipped["family"], defaults=texts)
    return created
