"""Measuring a plan's new embedder on a sample, before the plan starts."""

from __future__ import annotations

from uuid import UUID

from engines.exceptions import InvalidRequestError
from engines.models import Host
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from migrations_app.steps.sample import take_sample
from migrations_app.wakeups import publish_sample
from worker.host.resources import lend_embedder, this_host
from worker.steps.embedding import do_alone, do_in_turn
from worker.steps.places import LongWork


def sample_quality(plan_id: object) -> str:
    """Measure a pending plan's embedder on some passages; returns a sentence."""
    try:
        key = UUID(str(plan_id))
    except ValueError as error:
        raise InvalidRequestError(f"{plan_id!r:.80} is no plan's id.") from error
    return do_alone(f"sample {key}", lambda: _sample(key))


def _sample(plan_id: UUID) -> str:
    plans = Plan.objects.select_related("embedder_revision__model", "base")
    plan = plans.filter(pk=plan_id, status=PlanStatus.PENDING).first()
    if plan is None:
        return "Nothing to measure: the plan is not pending any more."
    host = this_host()
    if host is None:
        return _measure(plan, None)
    # Some twenty seconds of embedding.
    work = LongWork("sample", str(plan_id), plan.user_id, lambda: publish_sample(plan_id, host))
    return do_in_turn(work, lambda: _measure(plan, host))


def _measure(plan: Plan, host: Host | None) -> str:
    sample = take_sample(plan, lambda revision, spec: lend_embedder(host, revision, spec))
    return sample["why"] or f"Measured on {sample['passages']} passages."
