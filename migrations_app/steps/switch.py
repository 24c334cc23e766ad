"""The switch and the way back: one short transaction over all of a person's bases, or nothing.

Lock order: step and plan (taken by ``finish_step``), preference, bases by id. The check that nothing is
missing is a statement of its own after the locks, so that it sees every writer who committed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings

from engines.db.clock import read_clock
from engines.models import EnginePreference, KnowledgeBase, PreferenceSnapshot
from engines.services.knowledge.indexes import is_ready
from engines.services.knowledge.recutting import DocumentCut, put_cuts
from engines.services.people.adapters import invalidate_adapters, restore_adapters
from engines.services.people.preferences import EngineChoice, lock_preference, write_preference
from migrations_app.models import IndexSwitch, Plan, Step
from migrations_app.plans.actions import CUT_ANEW
from migrations_app.plans.transitions import LeaseLostError, Outcome, mark_rolled_back
from migrations_app.states import PlanKind, StepStatus
from migrations_app.steps.base import (
    ChangedByOthersError,
    StepContext,
    TryAgainError,
    bases_of,
    mark_halfway,
)
from migrations_app.steps.cut_anew import index_to_cut, prepare_cuts
from migrations_app.steps.index_switches import (
    ask_writers_to_embed,
    build_missing_files,
    drain_tails,
    going_on_without_deleted,
    prepare_switches,
    switches_of,
    switches_that_move,
)

PATIENT_ROUNDS = 3
"""Switches tried while writers are free; then they embed on write until it is done."""


def cut_over(ctx: StepContext) -> Outcome:
    """Switch bases, preference, prompts and adapters of the plan's person together."""
    if ctx.plan.re_embed_knowledge:
        _catch_up(ctx)
    kept = index_to_cut(ctx.plan, switches_of(ctx.plan))
    # Once more, for what was written since; what is embedded by now costs only its cutting.
    cuts = prepare_cuts(ctx, kept, lambda *_: ctx.checkpoint()) if kept is not None else None
    mark_halfway(ctx)
    return Outcome(_sentence(ctx.plan), effects=switch_effects(ctx.plan, cuts))


def switch_effects(plan: Plan, cuts: Sequence[DocumentCut] | None = None) -> Callable[[], None]:
    """Return the switch itself, to be committed together with the step; ``cuts`` are exchanged in it."""
    return partial(_switch, plan, cuts)


def cut_back(ctx: StepContext) -> Outcome:
    """Take a completed migration back: the same transaction the other way."""
    _catch_up(ctx)
    mark_halfway(ctx)
    effects = switch_back_effects(ctx.plan, ctx.claim.owner)
    return Outcome("Switched back in one transaction.", effects=effects)


def switch_back_effects(plan: Plan, who: str) -> Callable[[], None]:
    """Return the way back itself, to be committed together with the step."""
    return partial(_switch_back, plan, who)


def _catch_up(ctx: StepContext) -> None:
    rounds = _count_round(ctx)
    switches = prepare_switches(ctx.plan)
    indexes = [switch.to_index for switch in switches_that_move(switches)]
    with going_on_without_deleted(switches):
        build_missing_files(ctx, indexes)
        if rounds > PATIENT_ROUNDS:
            ask_writers_to_embed(switches)
        drain_tails(ctx, indexes)


def _count_round(ctx: StepContext) -> int:
    """Count in the row, so that a successor does not begin to be patient again.

    Raises LeaseLostError first of all: a worker that was frozen must not make writers embed.
    """
    ctx.step.refresh_from_db(fields=["result"])
    rounds = int(ctx.step.result.get("rounds", 0)) + 1
    held = Step.objects.filter(pk=ctx.step.pk, fence=ctx.claim.fence, status=StepStatus.IN_PROGRESS)
    if not held.update(result={"rounds": rounds}):
        raise LeaseLostError("Another worker holds this step now, or it has ended.")
    return rounds


def _sentence(plan: Plan) -> str:
    target = plan.to_engine.display_name if plan.to_engine else "the new index"
    return f"Switched to {target} in one transaction."


def _switch(plan: Plan, cuts: Sequence[DocumentCut] | None) -> None:
    preference = _lock_person(plan)
    bases = _lock_bases(plan)
    if not plan.re_embed_knowledge:
        _refuse_bare(bases)
    moved = _point_bases(plan, bases) if plan.re_embed_knowledge else []
    written: dict[str, Any] = {"bases": moved}
    if cuts is not None:
        written[CUT_ANEW] = sum(put_cuts(base, cuts) for base in bases)
    if preference is not None and plan.kind == PlanKind.MIGRATE:
        written |= _write_preference(plan, preference)
    plan.switched = written
    plan.retention_until = read_clock() + timedelta(days=settings.SAM_RETENTION_DAYS)
    plan.save(update_fields=["switched", "retention_until"])


def _lock_person(plan: Plan) -> EnginePreference | None:
    if plan.user_id is None:
        return None
    preference = lock_preference(plan.user_id)
    if plan.kind == PlanKind.MIGRATE and preference.version != plan.preference_version:
        raise ChangedByOthersError(
            "The person's engine was changed by somebody else since this plan was started; "
            "make a new plan."
        )
    return preference


def _lock_bases(plan: Plan) -> list[KnowledgeBase]:
    ids = [base.pk for base in bases_of(plan)]
    locked = KnowledgeBase.objects.select_for_update(no_key=True, of=("self",))
    return list(locked.filter(pk__in=ids).order_by("pk"))


def _refuse_bare(bases: list[KnowledgeBase]) -> None:
    """A base that got its first text meanwhile would be searched with vectors that nobody proved."""
    for base in bases:
        if base.live_index_id is None and base.write_seq:
            raise ChangedByOthersError(
                f"The base {base.name!r} got text but has no index whose embedder could stay; make a "
                "new plan, with re-embedding."
            )


def _point_bases(
    plan: Plan, bases: list[KnowledgeBase]
) -> list[tuple[int, int | None, int | None, bool]]:
    """Point each base to its new index; returns base, index before, index now, whether that before had a file."""
    switches = {switch.base_id: switch for switch in switches_of(plan)}
    for base in bases:
        switch = switches.get(base.pk)
        if switch is None:
            raise TryAgainError(f"The base {base.name!r} was created meanwhile; preparing it too.")
        if base.live_index_id not in (switch.from_index_id, switch.to_index_id):
            raise ChangedByOthersError(
                f"The base {base.name!r} was given another index meanwhile; make a new plan."
            )
        if switch.from_index_id != switch.to_index_id and not is_ready(switch.to_index):
            raise TryAgainError(f"The base {base.name!r} got new text; embedding it first.")
    for base in bases:
        base.live_index = switches[base.pk].to_index
        base.embed_on_write_for = None
        base.save(update_fields=["live_index", "embed_on_write_for"])
    return [_describe_move(switches[base.pk]) for base in bases]


def _describe_move(switch: IndexSwitch) -> tuple[int, int | None, int | None, bool]:
    before = switch.from_index
    had_file = before is not None and before.base_seq is not None
    return switch.base_id, switch.from_index_id, switch.to_index_id, had_file


def _write_preference(plan: Plan, preference: EnginePreference) -> dict[str, Any]:
    target, revision = plan.to_engine, plan.to_revision
    if target is None or revision is None or plan.user_id is None:
        raise ChangedByOthersError("The plan's target was removed; make a new plan.")
    family = target.model_family
    if not plan.update_prompt_templates:
        family = preference.prompt_family or _family_before(plan)
    before = preference.version
    choice = EngineChoice(target, revision, family, _local_path(plan))
    write_preference(preference, choice, why=f"Plan {plan.pk}")
    adapters = invalidate_adapters(
        plan.user_id,
        keep=revision,
        plan_id=str(plan.pk),
        from_engine=plan.from_engine.model_id if plan.from_engine else "",
    )
    return {
        "version_before": before,
        "version": preference.version,
        "prompt_family": family,
        "adapters": adapters,
    }


def _family_before(plan: Plan) -> str:
    return plan.from_engine.model_family if plan.from_engine else ""


def _local_path(plan: Plan) -> str:
    copies = plan.to_revision.copies.filter(status="downloaded") if plan.to_revision else None
    copy = copies.order_by("pk").first() if copies is not None else None
    return copy.path if copy else ""


def _switch_back(plan: Plan, who: str) -> None:
    original = plan.rolls_back
    if original is None:
        raise ChangedByOthersError("The plan to take back is gone.")
    left: list[str] = []
    preference = _lock_person(plan)
    bases = _lock_bases(plan)
    moved = _point_bases(plan, bases) if original.re_embed_knowledge else []
    if preference is not None and original.kind == PlanKind.MIGRATE:
        left += _restore_preference(plan, original, preference)
    plan.switched = {"bases": moved, "left": left}
    plan.save(update_fields=["switched"])
    mark_rolled_back(original.pk, who=who, why=" ".join(["Taken back.", *left]))


def _restore_preference(plan: Plan, original: Plan, preference: EnginePreference) -> list[str]:
    """Restore what still holds the switch's values; say what was changed since and is left.

    Adapters go with their engine: they stay invalid when the person uses a third one.
    """
    written = original.switched
    snapshot = PreferenceSnapshot.objects.filter(
        user=original.user, version=written.get("version_before")
    ).first()
    if snapshot is None or preference.revision_id != original.to_revision_id:
        return ["The engine was changed since and is left as it is."]
    left = []
    family = snapshot.prompt_family
    if preference.prompt_family != written.get("prompt_family"):
        left.append("The prompts were changed since and are left as they are.")
        family = preference.prompt_family
    choice = EngineChoice(snapshot.engine, snapshot.revision, family, snapshot.local_model_path)
    write_preference(preference, choice, why=f"Rollback of plan {original.pk}")
    restore_adapters(written.get("adapters", []), plan_id=str(plan.pk))
    return left
