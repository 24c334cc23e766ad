"""Step 2: what the move means for the person, before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from migrations_app.pages.wizard.base import MEANING, PlanPage
from migrations_app.pages.wizard.comparison import can_compare
from migrations_app.pages.wizard.quality import table_of
from migrations_app.pages.wizard.wording import (
    doing,
    figures,
    knowledge_points,
    loss_points,
    old_name,
    place_points,
    server_points,
)
from migrations_app.plans.prompt_changes import PromptChange, PromptMove
from migrations_app.plans.titles import destination_of
from migrations_app.states import PlanStatus
from migrations_app.steps.sample import Sample

PROMPT_TITLES = {
    "system_prompt": "What the engine is told first",
    "reasoning_prompt": "How it is asked to reason",
    "chat_format": "How a conversation is written for it",
}


@dataclass(frozen=True, slots=True)
class PromptLine:
    """One kind of prompt, now and then."""

    title: str
    change: PromptChange


def _prompt_lines(move: PromptMove | None) -> list[PromptLine]:
    changes = move["changes"] if move else []
    return [PromptLine(PROMPT_TITLES.get(c["kind"], c["kind"]), c) for c in changes]


class MeaningView(PlanPage):
    """The preview, counted anew each time it is looked at."""

    page: ClassVar[str] = MEANING
    template_name: ClassVar[str] = "pages/wizard/meaning.html"
    part_name: ClassVar[str] = "pages/wizard/sample.html"
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset({PlanStatus.PENDING})

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show it."""
        preview = dict(self.controller.preview_migration(plan_id))
        tells = self.tells_content
        sample = cast("Sample | None", preview.get("sample"))
        measured = sample["quality"] if sample else None
        quality = table_of(measured, tells_content=tells) if measured else None
        prompts = cast("PromptMove | None", preview.get("prompts") if tells else None)
        return self.show(
            {
                "title": f"What {doing(self.plan, self.person.pk)} means",
                "engine": destination_of(self.plan),
                "old_engine": old_name(self.plan),
                "figures": figures(self.plan, preview),
                "losses": list(loss_points(self.plan, preview, tells_content=tells)),
                "knowledge": list(knowledge_points(self.plan, preview)),
                "runs": [*server_points(preview), *place_points(self.plan, preview)],
                "sample": sample,
                "measured_at": datetime.fromisoformat(sample["at"]) if sample else None,
                "quality": quality,
                "losing": ", ".join(row.label for row in quality.losing) if quality else "",
                "prompts": prompts,
                "prompt_lines": _prompt_lines(prompts),
                "can_compare": tells and can_compare(self.plan),
            }
        )
