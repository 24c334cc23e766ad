"""What plans did: nothing of those that were cancelled, everything once, and the way back still there."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import CharField, Count, Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat

from engines.models import EnginePreference, LoraAdapter, PreferenceSnapshot
from migrations_app.invariants.findings import (
    MAX_FINDINGS,
    PAGE,
    Finding,
    Surroundings,
    select,
)
from migrations_app.models import Plan, Step
from migrations_app.states import POINT_OF_NO_RETURN, PlanKind, PlanStatus, StepStatus

# A base deleted since has nothing to be taken back to.
_WAYS_LOST = """
SELECT plan.id, moved.base->>0 FROM migrations_app_plan AS plan
CROSS JOIN LATERAL jsonb_array_elements(plan.switched->'bases') AS moved (base)
JOIN engines_knowledgebase AS base ON base.id = (moved.base->>0)::bigint
WHERE plan.status = 'completed' AND plan.kind <> 'rollback' AND plan.retention_until > now()
AND moved.base->>1 IS NOT NULL
AND NOT EXISTS (
    SELECT 1 FROM migrations_app_indexswitch AS switch
    JOIN engines_vectorindex AS index ON index.id = switch.from_index_id
    WHERE switch.plan_id = plan.id AND switch.base_id = base.id
    AND (index.base_seq IS NOT NULL OR moved.base->>3 = 'false')
)
"""
_ENGINES_LOST = """
SELECT plan.id, plan.switched->>'version_before' FROM migrations_app_plan AS plan
WHERE plan.status = 'completed' AND plan.kind = 'migrate' AND plan.retention_until > now()
AND plan.switched->>'version_before' IS NOT NULL
AND NOT EXISTS (
    SELECT 1 FROM engines_preferencesnapshot AS snapshot
    WHERE snapshot.user_id = plan.user_id
    AND snapshot.version = (plan.switched->>'version_before')::integer
)
"""


def find_effects_of_cancelled_plans(_: Surroundings) -> Iterator[Finding]:
    """A plan that was cancelled or failed has changed nothing of its person's."""
    switched = Step.objects.filter(
        plan=OuterRef("pk"), kind__in=POINT_OF_NO_RETURN, status=StepStatus.COMPLETED
    )
    wrote = PreferenceSnapshot.objects.filter(
        user=OuterRef("user"), why=Concat(Value("Plan "), Cast(OuterRef("pk"), CharField()))
    )
    rows = Plan.objects.filter(status__in=[PlanStatus.CANCELLED, PlanStatus.FAILED])
    rows = rows.filter(Exists(switched) | Exists(wrote) | ~Q(switched={}))
    for plan in rows.order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"plan {plan.pk}",
            f"It is {plan.status}, and its switch was committed.",
            "Ask the person which engine they want, and migrate them to it.",
        )


def find_half_rollbacks(_: Surroundings) -> Iterator[Finding]:
    """A plan is taken back exactly when a rollback of it is completed."""
    rollbacks = Plan.objects.filter(kind=PlanKind.ROLLBACK, status=PlanStatus.COMPLETED)
    ended = rollbacks.filter(rolls_back=OuterRef("pk"))
    # A rollback that switched is on its way through what follows; its plan is taken back already.
    switched = Step.objects.filter(
        plan__rolls_back=OuterRef("pk"), kind__in=POINT_OF_NO_RETURN, status=StepStatus.COMPLETED
    )
    alone = Plan.objects.filter(~Exists(switched), ~Exists(ended), status=PlanStatus.ROLLED_BACK)
    for plan in alone.order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"plan {plan.pk}",
            "It counts as taken back, and no rollback of it has switched.",
            "Set its status back to completed; it can be taken back while its retention runs.",
        )
    for plan in rollbacks.exclude(rolls_back__status=PlanStatus.ROLLED_BACK)[:MAX_FINDINGS]:
        yield Finding(
            f"plan {plan.pk}",
            f"The rollback is completed, and the plan {plan.rolls_back_id} does not count as taken back.",
            "Set that plan's status to rolled_back; else it could be taken back twice.",
        )


def find_doubled_switches(_: Surroundings) -> Iterator[Finding]:
    """A plan writes a person's engine once."""
    by_plan = Q(why__startswith="Plan ") | Q(why__startswith="Rollback of plan ")
    rows = PreferenceSnapshot.objects.filter(by_plan).order_by().values("user_id", "why")
    doubled = rows.annotate(times=Count("pk")).filter(times__gt=1)
    for user_id, why, times in doubled.values_list("user_id", "why", "times")[:MAX_FINDINGS]:
        yield Finding(
            f"person {user_id}",
            f"“{why}” wrote their engine {times} times.",
            "Look at their preference's history, and let them choose the engine they want.",
        )


def find_doubled_notes(_: Surroundings) -> Iterator[Finding]:
    """A plan leaves at most one note of a kind on an adapter."""
    noted = LoraAdapter.objects.filter(training_stats__has_key="migration_notes").order_by("pk")
    rows = noted.values_list("pk", "training_stats").iterator(chunk_size=PAGE)
    for pk, stats in rows:
        keys = [(note.get("action"), note.get("plan")) for note in stats["migration_notes"]]
        if len(set(keys)) < len(keys):
            yield Finding(
                f"adapter {pk}",
                "A plan noted the same twice on it.",
                "The switch ran twice; look at the person's preference and its history.",
            )


def find_lost_preference_versions(_: Surroundings) -> Iterator[Finding]:
    """Each version of a person's engine before the one in use is kept."""
    kept = Count("user__preference_snapshots")
    rows = EnginePreference.objects.annotate(kept=kept).exclude(version=F("kept") + 1)
    for preference in rows.order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"person {preference.user_id}",
            f"Their engine is at version {preference.version}, {preference.kept} earlier ones are kept.",
            "A change was written past the services, or an update is lost; a plan that would go "
            "back to a lost version cannot be taken back.",
        )


def find_ways_back_that_are_lost(_: Surroundings) -> Iterator[Finding]:
    """While a plan can be taken back, the engine, the prompts and each index it left are there.

    One that had no file yet, as of a base without texts, is made on the way back.
    """
    remedy = (
        "Restore the rows from the backup that the plan made, or tell the person that it stays."
    )
    for plan_id, base_id in select(_WAYS_LOST):
        yield Finding(
            f"plan {plan_id}", f"The index that the base {base_id} had before is gone.", remedy
        )
    for plan_id, version in select(_ENGINES_LOST):
        yield Finding(
            f"plan {plan_id}", f"Version {version} of the person's engine is gone.", remedy
        )
