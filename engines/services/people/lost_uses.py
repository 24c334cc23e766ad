"""What a person used lately that another engine cannot do as the one they have."""

from __future__ import annotations

from engines.services.catalog.capabilities import (
    Capabilities,
    JsonUse,
    ToolUse,
)
from engines.services.people.usage import RecentUse


def describe_lost_uses(
    used: RecentUse, old: Capabilities | None, new: Capabilities, name: str
) -> list[str]:
    """Return a sentence for each use that ``new`` lacks and ``old`` (None: no engine) does not.

    What was counted is how often, never what was asked. Images are not counted: no engine takes them.
    """
    since = f"in the last {used.days} days"
    told = []
    if used.with_tools and new.tools == ToolUse.WRITTEN and _had(old, ToolUse.WRITTEN):
        told.append(
            f"{_times(used.with_tools)} {since} you had tools called. {name} was not trained for "
            "that: they are described to it in words, and calls may fail."
        )
    if used.with_schema and new.json != JsonUse.HELD and _held(old):
        refused = "it refuses such requests" if new.json == JsonUse.NONE else "its server may not"
        told.append(
            f"{_times(used.with_schema)} {since} an answer kept to a JSON schema. With {name} "
            f"nothing holds it to one: {refused}."
        )
    if 0 < new.context < used.longest_request:
        told.append(
            f"Your longest request {since} had {used.longest_request:,} tokens. {name} reads "
            f"{new.context:,}: the oldest messages of such a conversation are left out."
        )
    return told


def _had(old: Capabilities | None, lack: ToolUse) -> bool:
    return old is None or old.tools != lack


def _held(old: Capabilities | None) -> bool:
    return old is None or old.json == JsonUse.HELD


def _times(count: int) -> str:
    return "Once" if count == 1 else f"{count:,} times"
