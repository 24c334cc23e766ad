"""What a move means for a person beyond what is counted: how fast, how well, what is no longer there."""

from __future__ import annotations

from typing import TypedDict

from django.db.models import Sum
from django.db.models.functions import Length

from engines.models import KnowledgeBase, Message, ModelRevision
from engines.services.catalog.capabilities import (
    capabilities_of,
    context_of,
    lost_capabilities,
)
from engines.services.catalog.speeds import embedding_speed
from migrations_app.models import IndexSwitch, Plan, Step
from migrations_app.states import PlanKind, StepStatus

TEXTS_PER_SECOND = 12.0
"""What a small embedder does on two CPU cores, until this host has measured its own."""
CHARS_PER_TOKEN = 4
MAX_MOVES = 20
"""Earlier moves between the same embedders of which the proofs are added up."""


class Pace(TypedDict):
    """How fast texts are expected to be embedded, and how that is known."""

    texts_per_second: float
    is_measured: bool
    time_basis: str


class ContextChange(TypedDict):
    """Tokens of the old and the new context (0: not known), and the conversations that get cut."""

    before: int
    after: int
    conversations_cut: int


class Quality(TypedDict):
    """How many questions found their passage in earlier moves between the same two embedders."""

    moves: int
    asked: int
    old_found: int
    new_found: int


class Effects(Pace):
    """What a preview says besides its counts."""

    keeps_embedder: bool
    """Whether all that is searched stays searched with the embedder it has."""
    context: ContextChange | None
    lost: list[str]
    quality: Quality | None
    """None where nobody has measured it, or nothing changes."""


def effects_of(plan: Plan, bases: list[KnowledgeBase]) -> Effects:
    """Return what moving means; every question is asked once, however many bases there are."""
    embedders = _embedders_of(bases)
    keeps = not plan.re_embed_knowledge or embedders <= {plan.embedder_revision_id}
    return {
        **pace_of(plan),
        "keeps_embedder": bool(embedders) and keeps,
        "context": _context_change(plan),
        "lost": _lost(plan),
        "quality": None if keeps else _quality(plan, embedders),
    }


def pace_of(plan: Plan) -> Pace:
    """Return how fast the plan's host is expected to embed, and on what that rests."""
    host, embedder = plan.host, plan.embedder_revision
    measured = embedding_speed(embedder, host) if host and embedder else None
    if host is None or measured is None:
        basis = f"an estimate: {TEXTS_PER_SECOND:g} texts/s, as a small embedder does on two cores"
        return {
            "texts_per_second": TEXTS_PER_SECOND,
            "is_measured": False,
            "time_basis": basis,
        }
    basis = f"measured on {host.name}: {measured:.3g} texts/s"
    return {"texts_per_second": measured, "is_measured": True, "time_basis": basis}


def count_conversations_cut(plan: Plan, context: int) -> int:
    """Return about how many of the person's conversations are longer than a context."""
    return (
        Message.objects.filter(conversation__user=plan.user)
        .values("conversation")
        .annotate(chars=Sum(Length("content")))
        .filter(chars__gt=context * CHARS_PER_TOKEN)
        .count()
    )


def _context_change(plan: Plan) -> ContextChange | None:
    if plan.kind != PlanKind.MIGRATE:
        return None
    before, after = _context(plan.from_revision), _context(plan.to_revision)
    is_shorter = 0 < after < before
    cut = count_conversations_cut(plan, after) if is_shorter else 0
    return {"before": before, "after": after, "conversations_cut": cut}


def _context(revision: ModelRevision | None) -> int:
    return context_of(revision.model, revision) if revision is not None else 0


def _lost(plan: Plan) -> list[str]:
    old, new = plan.from_engine, plan.to_engine
    if plan.kind != PlanKind.MIGRATE or old is None or new is None:
        return []
    return lost_capabilities(
        capabilities_of(old, plan.from_revision), capabilities_of(new, plan.to_revision)
    )


def _embedders_of(bases: list[KnowledgeBase]) -> set[int | None]:
    searched_by = "live_index__fingerprint__revision"
    rows = KnowledgeBase.objects.filter(pk__in=[base.pk for base in bases])
    searched = rows.filter(live_index__isnull=False).values(searched_by).distinct()
    return {row[searched_by] for row in searched}


def _quality(plan: Plan, embedders: set[int | None]) -> Quality | None:
    """Add up the proofs of earlier moves from these embedders to this one, whoever was moved."""
    proofs = Step.objects.filter(
        kind="probe",
        status=StepStatus.COMPLETED,
        plan__embedder_revision=plan.embedder_revision,
        plan__index_switches__from_index__fingerprint__revision__in=embedders,
    )
    steps = list(proofs.distinct().order_by("-pk")[:MAX_MOVES])
    moved = set(
        IndexSwitch.objects.filter(
            plan__in=[step.plan_id for step in steps],
            from_index__fingerprint__revision__in=embedders,
        ).values_list("plan", "base")
    )
    compared = [
        proof
        for step in steps
        for proof in step.result.get("indexes", [])
        if proof.get("compared") and (step.plan_id, proof["base"]) in moved
    ]
    if not compared:
        return None
    return {
        "moves": len(steps),
        "asked": sum(proof["compared"] for proof in compared),
        "old_found": sum(proof["old_found"] for proof in compared),
        "new_found": sum(proof["found"] for proof in compared),
    }
