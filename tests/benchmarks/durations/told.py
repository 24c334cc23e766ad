"""How well a preview tells the time of re-embedding once a host has worked for a minute: short texts and long ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from rich.console import Console
from rich.table import Table

from engines.models import CatalogModel, KnowledgeBase, ModelRevision, SpeedSample
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from tests.benchmarks.line_process import LineProcess
from tests.benchmarks.re_embed import real_texts
from tests.benchmarks.steps import base_with, embedder_here, forget_vectors, re_embed_step
from tests.fixtures_models import ensure_minilm

WORK_SECONDS = 60.0
WARM_TEXTS, TEXTS = 96, 192
GOAL = 1.5


@dataclass(frozen=True, slots=True)
class Told:
    """What a preview said of some texts, and what they took."""

    what: str
    texts: int
    told: float
    took: float
    basis: str

    @property
    def factor(self) -> float:
        """How far the two are apart, whichever is more."""
        return max(self.told / self.took, self.took / self.told)


def run(console: Console) -> None:
    """Work for a minute on texts as they come; then ask the preview and embed other texts."""
    texts = real_texts()
    with LineProcess("tests.benchmarks.worker_process") as sam:
        revision = embedder_here("bench-durations", ensure_minilm())
        CatalogModel.objects.filter(pk=revision.model_id).update(current_revision=revision)
        SpeedSample.objects.all().delete()
        _work(sam, revision, texts)
        others = sorted(texts[WARM_TEXTS:], key=len)
        middle = len(others) // 2
        told = [
            _measure(sam, revision, what, chosen)
            for what, chosen in (
                ("short texts", others[:TEXTS]),
                ("usual texts", others[middle : middle + TEXTS]),
                ("long texts", others[-TEXTS:]),
            )
        ]
    console.print(table_of(told))
    console.print(verdict(told))


def _work(sam: LineProcess, revision: ModelRevision, texts: Sequence[str]) -> None:
    end = time.monotonic() + WORK_SECONDS
    base = base_with(texts[:WARM_TEXTS])
    while time.monotonic() < end:
        forget_vectors(base)
        sam.ask({"step": re_embed_step(base, revision)})


def _measure(sam: LineProcess, revision: ModelRevision, what: str, texts: Sequence[str]) -> Told:
    base = base_with(texts)
    plan_id = MigrationController().create_re_embed_plan(
        base, revision.model.model_id, actor=_owner(base)
    )
    preview = Plan.objects.get(pk=plan_id).preview
    embedding = preview["to_embed"] / preview["texts_per_second"]
    answer = sam.ask({"step": re_embed_step(base, revision)})
    return Told(what, len(texts), embedding, answer.content["seconds"], preview["time_basis"])


def _owner(base: KnowledgeBase) -> User:
    if base.owner is None:
        raise TypeError("A base of a benchmark is a person's.")
    return base.owner


def table_of(told: Sequence[Told]) -> Table:
    """Return what was told beside what it took."""
    table = Table("texts", "told", "took", "factor", title=told[0].basis)
    for one in told:
        row = (f"{one.texts} {one.what}", f"{one.told:.1f} s", f"{one.took:.1f} s")
        table.add_row(*row, f"{one.factor:.2f}")
    return table


def verdict(told: Sequence[Told]) -> str:
    """Say how far the worst estimate is off, and whether the goal is met."""
    worst = max(told, key=lambda one: one.factor)
    held = "reached" if worst.factor <= GOAL else "MISSED"
    return f"The worst estimate is off by a factor of {worst.factor:.2f}, of {worst.what} (goal {GOAL:g}: {held})."
