"""What stands above a person's form: engine, knowledge, adapters and plans in one place, by number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from django.contrib.auth.models import User
from django.db.models import Count, Q

from engines.models import AdapterStatus, CatalogModel, Chunk, Document, EnginePreference
from engines.services.engine_choice import with_engine_choice
from migrations_app.models import Plan
from migrations_app.plans.titles import title_for

MAX_PLANS = 5


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """One of a person's plans."""

    plan: Plan
    title: str


class PersonContext(TypedDict):
    """For the panel; what belongs to the person is counted, never named."""

    engine: CatalogModel | None
    is_own_choice: bool
    since: datetime | None
    bases: int
    documents: int
    passages: int
    adapters: dict[str, int]
    person_plans: list[PersonPlan]


def describe_person(user: User) -> PersonContext:
    """Return the panel's content in a number of queries that does not depend on the person."""
    row: Any = with_engine_choice(User.objects.filter(pk=user.pk)).first()
    engine = CatalogModel.objects.filter(pk=row.chosen_engine).first() if row else None
    preference = EnginePreference.objects.filter(user=user).first()
    joined = Plan.objects.select_related("user", "host", "from_engine", "to_engine")
    return {
        "engine": engine,
        "is_own_choice": preference is not None and preference.engine_id is not None,
        "since": preference.last_upgrade if preference else None,
        "bases": user.knowledge_bases.count(),
        "documents": Document.objects.filter(base__owner=user).count(),
        "passages": Chunk.objects.filter(base__owner=user, deleted_seq__isnull=True).count(),
        "adapters": user.lora_adapters.aggregate(
            active=Count("pk", filter=Q(status=AdapterStatus.ACTIVE)),
            waiting=Count("pk", filter=Q(status=AdapterStatus.INVALIDATED)),
        ),
        "person_plans": [
            PersonPlan(plan, title_for(plan)) for plan in joined.filter(user=user)[:MAX_PLANS]
        ],
    }
