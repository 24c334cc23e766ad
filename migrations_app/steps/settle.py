"""After a switch: the new engine warm, the old one out of memory when nobody needs it."""

from __future__ import annotations

from engines.models import ModelRevision
from migrations_app.plans.revision_needs import IN_MEMORY, is_needed
from migrations_app.plans.transitions import Outcome
from migrations_app.serving.protocol import UNLOAD, WARM, UnloadRequest, WarmRequest
from migrations_app.steps.base import StepContext, mark_halfway, required_host

WARM_SECONDS = 300.0


def settle(ctx: StepContext) -> Outcome:
    """Warm what the switch made active and unload what it left."""
    return _settle(ctx, warm=ctx.plan.to_revision, cool=ctx.plan.from_revision)


def resettle(ctx: StepContext) -> Outcome:
    """Warm what the way back made active again and unload what it left."""
    original = ctx.plan.rolls_back
    cool = original.to_revision if original else None
    return _settle(ctx, warm=original.from_revision if original else None, cool=cool)


def _settle(ctx: StepContext, *, warm: ModelRevision | None, cool: ModelRevision | None) -> Outcome:
    host = required_host(ctx)
    person = ctx.plan.user
    # Who was deactivated since the switch asks nothing: no engine is loaded for them.
    asks = person is None or person.is_active
    if warm is not None and asks:
        request = WarmRequest(revision_id=warm.pk, user_id=ctx.plan.user_id)
        ctx.live.call(WARM, request, host=host.name, timeout=WARM_SECONDS)
    mark_halfway(ctx)
    # What this plan itself moves between is needed for its switch, which is over.
    unloaded = (
        cool is not None and cool != warm and not is_needed(cool, IN_MEMORY, apart_from=ctx.plan)
    )
    if unloaded and cool is not None:
        ctx.live.call(UNLOAD, UnloadRequest(revision_id=cool.pk), host=host.name)
    name = warm.model.display_name if warm else "The engine"
    state = "is warm" if asks else "is not loaded, its person is deactivated"
    ending = "the old one is unloaded." if unloaded else "the old one stays for others."
    return Outcome(f"{name} {state}; {ending}")
