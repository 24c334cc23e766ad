"""How well is found before and after, for pages: a table by script, and the documents of which less is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse

from engines.models import Document
from migrations_app.models import Plan
from migrations_app.pages.components import Link
from migrations_app.steps.quality import (
    HITS,
    Measure,
    Quality,
    describe_quality,
    quality_of_result,
)

ALL = "All questions"


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One script: how many questions, which share is answered before and after, and how high the answer stands."""

    label: str
    asked: int
    before: str
    after: str
    rank_before: str
    rank_after: str
    is_worse: bool


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A document of which less is found."""

    link: Link
    text: str


@dataclass(frozen=True, slots=True)
class QualityTable:
    """What was measured, in words and rows."""

    sentence: str
    rows: list[QualityRow]
    own: str
    documents: list[LostDocument]

    @property
    def losing(self) -> list[QualityRow]:
        """The scripts of which less is found."""
        return [row for row in self.rows if row.is_worse and row.label != ALL]


def quality_of_plan(plan: Plan, *, tells_content: bool) -> QualityTable | None:
    """Return what the probe of a plan measured; None where nothing was compared."""
    probe = plan.steps.filter(kind="probe").first()
    found = quality_of_result(probe.result) if probe is not None else None
    return None if found is None else table_of(found, tells_content=tells_content)


def table_of(found: Quality, *, tells_content: bool) -> QualityTable:
    """Return measures as a page shows them; documents only to who may know of them."""
    rows = [_row(ALL, found["whole"])]
    if len(found["scripts"]) > 1 or rows[0].is_worse:
        # The database keeps them in an order of its own.
        by_size = sorted(found["scripts"].items(), key=lambda item: (-item[1]["asked"], item[0]))
        rows += [_row(script, one) for script, one in by_size]
    own = found["own"]
    said = ""
    if own is not None:
        said = (
            f"Of your own {own['asked']} latest searches the new index finds {_percent(own['recall'])} of the "
            f"passages that the old one shows among its first {HITS}."
        )
    documents = list(_lost_documents(found)) if tells_content else []
    return QualityTable(describe_quality(found), rows, said, documents)


def _row(label: str, one: Measure) -> QualityRow:
    return QualityRow(
        label,
        one["asked"],
        _percent(one["old_recall"]),
        _percent(one["recall"]),
        f"{one['old_ndcg']:.2f}",
        f"{one['ndcg']:.2f}",
        one["recall"] < one["old_recall"],
    )


def _lost_documents(found: Quality) -> Iterator[LostDocument]:
    losses = {loss["document"]: loss for loss in found["documents"]}
    titles = dict(Document.objects.filter(pk__in=losses).values_list("pk", "title"))
    for key, loss in losses.items():
        if key in titles:
            yield LostDocument(
                Link(titles[key], reverse("document", args=[key])),
                f"{loss['found']} of {loss['asked']} questions, {loss['old_found']} before",
            )


def _percent(share: float) -> str:
    return f"{share:.0%}"
