"""What a switch changes in a person's prompts, kind by kind: the old text and the new one."""

from __future__ import annotations

from typing import TypedDict

from django.contrib.auth.models import User

from engines.models import EnginePreference, UserPrompts
from engines.services.catalog.starter.prompts import hint_of
from engines.services.people.preferences import PROMPT_FIELDS, prompts_of
from migrations_app.models import Plan
from migrations_app.states import PlanKind


class PromptChange(TypedDict):
    """One kind of prompt before and after the switch."""

    kind: str
    """Of PROMPT_FIELDS; an empty chat format is the model's own."""
    old: str
    new: str
    old_is_own: bool
    """Whether the person wrote the old text; it waits for their return to its family."""
    new_is_own: bool
    """Whether the person wrote the new text when they used its family before."""


class PromptMove(TypedDict):
    """From which family's prompts to which; ``changes`` has only the kinds that change."""

    from_family: str
    to_family: str
    hint: str
    """What to know of the new family, for people; often empty."""
    changes: list[PromptChange]


def prompt_move(plan: Plan) -> PromptMove | None:
    """Return what the switch would change now; None for a plan that touches nobody's prompts.

    Without ``update_prompt_templates`` the family stays, and nothing changes.
    """
    if plan.kind != PlanKind.MIGRATE or plan.user is None or plan.to_engine is None:
        return None
    chosen = EnginePreference.objects.filter(user=plan.user).values_list("prompt_family", flat=True)
    before = plan.from_engine.model_family if plan.from_engine else ""
    old = chosen.first() or before
    new = plan.to_engine.model_family if plan.update_prompt_templates else old
    changes = _changes(plan.user, old, new) if new != old else []
    return {"from_family": old, "to_family": new, "hint": hint_of(new), "changes": changes}


def _changes(user: User, old: str, new: str) -> list[PromptChange]:
    before, after = prompts_of(user, old), prompts_of(user, new)
    own = {row.family: row for row in UserPrompts.objects.filter(user=user, family__in=(old, new))}

    def is_own(family: str, kind: str) -> bool:
        return getattr(own.get(family), kind, None) is not None

    return [
        {
            "kind": kind,
            "old": getattr(before, kind),
            "new": getattr(after, kind),
            "old_is_own": is_own(old, kind),
            "new_is_own": is_own(new, kind),
        }
        for kind in PROMPT_FIELDS
        if getattr(before, kind) != getattr(after, kind)
    ]
