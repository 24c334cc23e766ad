"""How long a person with few texts waits while others have very many embedded on the same host.

It says too how many texts the others have embedded a second while nobody else is there.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from uuid import UUID

from django.contrib.auth.models import User
from django.db import close_old_connections
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from engines.models import CatalogModel, Embedding, KnowledgeBase, ModelRevision
from engines.services.knowledge.documents import WrittenDocument, create_base, put_documents
from migrations_app.controller import MigrationController
from migrations_app.models import Plan, Step
from migrations_app.states import PLAN_FINAL, PlanStatus, StepStatus
from tests.benchmarks.re_embed import real_texts
from tests.benchmarks.sam_stack import SamStack
from tests.benchmarks.steps import embedder_here
from tests.fixtures_models import ensure_minilm

LARGE = int(os.environ.get("BENCH_LARGE", "6"))
"""People with very many texts: more than a worker has threads for steps."""
LARGE_TEXTS = int(os.environ.get("BENCH_TEXTS", "1500"))
"""Of each of them: enough for a few ranges, and for longer than the others are measured."""
SMALL_TEXTS = int(os.environ.get("BENCH_FEW", "10"))
UNDISTURBED_SECONDS = 40.0
"""So long the others are alone, after they have begun."""
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
GOAL = 3.0
LOOK_SECONDS = 0.1
PATIENCE = 1200.0


def run(console: Console) -> None:
    """Let people with few texts have them embedded, alone and then beside the others."""
    texts = real_texts()
    with tempfile.TemporaryDirectory() as folder, SamStack(Path(folder)):
        revision = embedder_here("bench-turns", ensure_minilm())
        CatalogModel.objects.filter(pk=revision.model_id).update(current_revision=revision)
        few = texts[:SMALL_TEXTS]
        _take(_begin("first", few, revision))
        alone = [_take(_begin(f"alone {n}", few, revision)) for n in range(ROUNDS)]
        large = [_begin(f"large {n}", _many(texts, n), revision) for n in range(LARGE)]
        _wait_for_embedding(large)
        speed = _embedded_per_second()
        beside = [_take(_begin(f"beside {n}", few, revision)) for n in range(ROUNDS)]
        waiting = Plan.objects.filter(pk__in=large, status=PlanStatus.IN_PROGRESS).count()
    console.print(table_of(alone, beside))
    console.print(verdict(median(alone), median(beside), waiting))
    console.print(f"Undisturbed, the {LARGE} others had {speed:.1f} texts embedded a second.")


def _many(texts: Sequence[str], number: int) -> list[str]:
    """Return texts that nobody else has: what is the same is embedded once for all."""
    return [f"{text}\n\n{number}.{at}" for at, text in enumerate(_repeat(texts, LARGE_TEXTS))]


def _repeat(texts: Sequence[str], count: int) -> list[str]:
    return [texts[at % len(texts)] for at in range(count)]


def _begin(name: str, texts: Sequence[str], revision: ModelRevision) -> UUID:
    """Start the plan that embeds a new person's base; returns its key."""
    owner = User.objects.create_user(f"bench {name}")
    base = create_base(name="Knowledge", owner=owner)
    now = timezone.now()
    own = [f"{text}\n\n{name}" for text in texts]
    put_documents(
        base.pk,
        [
            WrittenDocument(f"Text {at}", text, "text/plain", now, now)
            for at, text in enumerate(own)
        ],
    )
    return _execute(base, owner, revision)


def _execute(base: KnowledgeBase, owner: User, revision: ModelRevision) -> UUID:
    controller = MigrationController()
    plan_id = controller.create_re_embed_plan(base, revision.model.model_id, actor=owner)
    controller.execute_migration(plan_id, actor=owner)
    return Plan.objects.get(pk=plan_id).pk


def _take(plan: UUID) -> float:
    """Return the seconds until a plan has ended; RuntimeError when it did not complete."""
    started = time.monotonic()
    while (status := Plan.objects.values_list("status", flat=True).get(pk=plan)) not in PLAN_FINAL:
        _wait(started)
    if status != PlanStatus.COMPLETED:
        raise RuntimeError(f"A plan ended as {status}: {Plan.objects.get(pk=plan).error_message}")
    return time.monotonic() - started


def _wait_for_embedding(plans: Sequence[UUID]) -> None:
    """Wait until the first of them have something embedded."""
    started = time.monotonic()
    running = Step.objects.filter(plan__in=plans, kind="re_embed", status=StepStatus.IN_PROGRESS)
    while not running.filter(progress__gt=0).exists():
        _wait(started)


def _embedded_per_second() -> float:
    """Return how many texts are embedded a second, of whomever."""
    before, started = Embedding.objects.count(), time.monotonic()
    time.sleep(UNDISTURBED_SECONDS)
    return (Embedding.objects.count() - before) / (time.monotonic() - started)


def _wait(since: float) -> None:
    if time.monotonic() - since > PATIENCE:
        raise RuntimeError("Nothing has moved for too long; read up.log of the benchmark's folder.")
    close_old_connections()
    time.sleep(LOOK_SECONDS)


def table_of(alone: Sequence[float], beside: Sequence[float]) -> Table:
    """Return how long each plan took."""
    table = Table(f"a plan of {SMALL_TEXTS} texts, s", "each", "median")
    for what, taken in (("alone", alone), (f"beside {LARGE} of {LARGE_TEXTS}", beside)):
        table.add_row(what, ", ".join(f"{one:.1f}" for one in taken), f"{median(taken):.1f}")
    return table


def verdict(alone: float, beside: float, waiting: int) -> str:
    """Say how many times as long it took, and whether the others were still at it."""
    times = beside / alone
    held = "reached" if times <= GOAL else "MISSED"
    return (
        f"{times:.1f} times as long (goal {GOAL:g}: {held}); "
        f"{waiting} of the {LARGE} others were still at it."
    )
