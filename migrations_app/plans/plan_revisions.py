"""Which model files a plan needs on the host that runs it."""

from __future__ import annotations

from django.db.models import F

from engines.models import ModelRevision
from migrations_app.models import Plan
from migrations_app.states import PlanKind


def list_needed_revisions(plan: Plan) -> list[ModelRevision]:
    """Return the plan's engine and its embedder; of a way back all embedders that it leads to."""
    wanted = [plan.to_revision, plan.embedder_revision]
    if plan.kind == PlanKind.ROLLBACK and plan.rolls_back is not None:
        wanted += _embedders_before(plan.rolls_back)
    return list(dict.fromkeys(revision for revision in wanted if revision is not None))


def _embedders_before(original: Plan) -> list[ModelRevision]:
    moved = original.index_switches.filter(from_index__isnull=False)
    moved = moved.exclude(from_index=F("to_index"))
    ids = moved.values("from_index__fingerprint__revision")
    return list(ModelRevision.objects.select_related("model").filter(pk__in=ids).order_by("pk"))
