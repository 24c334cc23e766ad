"""Step 2: what the move means for the person, before anything is spent."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from migrations_app.pages.wizard.base import MEANING, PlanPage
from migrations_app.pages.wizard.comparison import can_compare
from migrations_app.pages.wizard.wording import (
    engine_name,
    figures,
    knowledge_points,
    loss_points,
    old_name,
    place_points,
    server_points,
)
from migrations_app.states import PlanStatus


class MeaningView(PlanPage):
    """The preview, counted anew each time it is looked at."""

    page: ClassVar[str] = MEANING
    template_name: ClassVar[str] = "pages/wizard/meaning.html"
    statuses: ClassVar[frozenset[PlanStatus]] = frozenset({PlanStatus.PENDING})

    def get(self, request: HttpRequest, plan_id: UUID) -> HttpResponse:
        """Show it."""
        preview = dict(self.controller.preview_migration(plan_id))
        tells = self.tells_content
        return self.show(
            {
                "title": f"What moving to {engine_name(self.plan)} means",
                "engine": engine_name(self.plan),
                "old_engine": old_name(self.plan),
                "figures": figures(preview),
                "losses": list(loss_points(self.plan, preview, tells_content=tells)),
                "knowledge": list(knowledge_points(self.plan, preview)),
                "runs": [*server_points(preview), *place_points(self.plan, preview)],
                "prompts": preview.get("prompts") if tells else None,
                "can_compare": tells and can_compare(self.plan),
            }
        )
