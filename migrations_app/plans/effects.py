"""What a move means for a person beyond what is counted: how fast, how well, what is no longer there."""

from __future__ import annotations

from typing import TypedDict

from django.db.models import F, Sum
from django.db.models.functions import Length

from engines.models import Chunk, Fingerprint, Host, KnowledgeBase, Message, ModelRevision
from engines.services.catalog.capabilities import (
    capabilities_of,
    context_of,
    lost_capabilities,
)
from engines.services.catalog.speeds import Speed, download_speed, embedding_speed
from engines.services.knowledge.fingerprints import find_fingerprint
from engines.services.people.usage import describe_lost_uses, recent_use
from migrations_app.models import IndexSwitch, Plan, Step
from migrations_app.states import BRINGING_FILES, PlanKind, PlanStatus, StepStatus

TEXTS_PER_SECOND = 12.0
"""What a small embedder does on two CPU cores, until this host has measured its own."""
BYTES_PER_SECOND = 10 * 1024 * 1024
OTHER_SECONDS = 60.0
LOOKED_AT = 500
"""Passages whose length is looked at."""
MEASURED = "measured on "
MIB = 1024 * 1024
CHARS_PER_TOKEN = 4
MAX_MOVES = 20
"""Earlier moves between the same embedders of which the proofs are added up."""


class Pace(TypedDict):
    """How fast texts are expected to be embedded and files to come, and how that is known."""

    texts_per_second: float
    is_measured: bool
    time_basis: str
    bytes_per_second: int
    download_basis: str
    other_seconds: float
    """For all that is neither downloaded nor embedded."""


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
    lost_uses: list[str]
    """A sentence for each thing that the person used lately and the new engine lacks."""
    quality: Quality | None
    """None where nobody has measured it, or nothing changes."""


def effects_of(plan: Plan, bases: list[KnowledgeBase]) -> Effects:
    """Return what moving means; every question is asked once, however many bases there are."""
    spaces, target = _spaces_of(bases), find_fingerprint(plan.embedder_revision)
    keeps = not plan.re_embed_knowledge or spaces <= {target.pk if target else None}
    return {
        **pace_of(plan, bases),
        "keeps_embedder": bool(spaces) and keeps,
        "context": _context_change(plan),
        "lost": _lost(plan),
        "lost_uses": _lost_uses(plan),
        "quality": None if keeps else _quality(spaces, target),
    }


def pace_of(plan: Plan, bases: list[KnowledgeBase]) -> Pace:
    """Return how fast the plan's host is expected to work, and on what that rests."""
    host = plan.host
    texts, basis = _embedding_pace(plan, bases)
    came = download_speed(host) if host is not None else None
    rest = _rest_of_plan(plan)
    return {
        "texts_per_second": round(texts, 3),
        "is_measured": basis.startswith(MEASURED),
        "time_basis": basis,
        "bytes_per_second": round(came.per_second) if came else BYTES_PER_SECOND,
        "download_basis": _download_basis(host, came),
        "other_seconds": round(OTHER_SECONDS if rest is None else rest, 1),
    }


def _embedding_pace(plan: Plan, bases: list[KnowledgeBase]) -> tuple[float, str]:
    """Return texts a second, and how that is known: by the length of these texts where it was measured."""
    host, embedder = plan.host, plan.embedder_revision
    name = host.name if host else "the host"
    found = embedding_speed(embedder, host) if host and embedder else None
    if found is None:
        # What was embedded as it was written was not measured: steps of plans alone are.
        what = "with this embedder yet" if embedder else "yet"
        return TEXTS_PER_SECOND, f"a guess: {name} was not measured {what}"
    own = _mean_length(bases)
    mean = found.size / max(found.texts, 1) if found.size else 0
    rate = found.per_second / own if own and mean else found.texts / max(found.seconds, 1e-4)
    return rate, f"{MEASURED}{name} over the last {found.texts:,} passages"


def _mean_length(bases: list[KnowledgeBase]) -> float:
    """Return about how many characters a passage has, by those written last: reading all takes long."""
    live = Chunk.objects.filter(base__in=bases, deleted_seq__isnull=True).order_by("-pk")
    lengths = list(
        live.annotate(length=Length("text")).values_list("length", flat=True)[:LOOKED_AT]
    )
    return sum(lengths) / len(lengths) if lengths else 0.0


def _download_basis(host: Host | None, came: Speed | None) -> str:
    name = host.name if host else "the host"
    if came is None:
        return f"a guess: nothing was downloaded to {name} yet"
    return f"{MEASURED}{name} over the last {came.size / MIB:,.0f} MiB"


def _rest_of_plan(plan: Plan) -> float | None:
    """Return the seconds that everything but bytes and vectors took in the last plans of the kind."""
    ended = Plan.objects.filter(kind=plan.kind, host=plan.host, status=PlanStatus.COMPLETED)
    last = list(ended.order_by("-finished_at").values_list("pk", flat=True)[:MAX_MOVES])
    others = Step.objects.filter(plan__in=last, status=StepStatus.COMPLETED)
    took = others.exclude(kind__in=(*BRINGING_FILES, "re_embed")).aggregate(
        sum=Sum(F("finished_at") - F("started_at"))
    )["sum"]
    return took.total_seconds() / len(last) if last and took is not None else None


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


def _lost_uses(plan: Plan) -> list[str]:
    old, new = plan.from_engine, plan.to_engine
    if plan.kind != PlanKind.MIGRATE or plan.user is None or new is None:
        return []
    had = capabilities_of(old, plan.from_revision) if old is not None else None
    gets = capabilities_of(new, plan.to_revision)
    return describe_lost_uses(recent_use(plan.user), had, gets, new.display_name)


def _spaces_of(bases: list[KnowledgeBase]) -> set[int | None]:
    searched_by = "live_index__fingerprint"
    rows = KnowledgeBase.objects.filter(pk__in=[base.pk for base in bases])
    searched = rows.filter(live_index__isnull=False).values(searched_by).distinct()
    return {row[searched_by] for row in searched}


def _quality(spaces: set[int | None], target: Fingerprint | None) -> Quality | None:
    """Add up the proofs of earlier moves from these spaces to this one, whoever was moved."""
    if target is None:
        return None
    moves = IndexSwitch.objects.filter(
        from_index__fingerprint__in=spaces, to_index__fingerprint=target
    )
    proofs = Step.objects.filter(
        kind="probe", status=StepStatus.COMPLETED, plan__index_switches__in=moves
    )
    steps = list(proofs.distinct().order_by("-pk")[:MAX_MOVES])
    of_steps = moves.filter(plan__in=[step.plan_id for step in steps])
    moved = set(of_steps.values_list("plan", "base"))
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
