"""A re_embed plan with the embedder that a base has: its documents are cut anew, and nothing else changes.

The new passages' vectors are facts about their texts, so they are computed while the old passages serve, and
the switch only exchanges the passages. The index's file follows by itself, as after any writing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engines.models import Document, VectorIndex
from engines.services.knowledge.embeddings import BATCH, Embedder, embed_texts, missing_hashes
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.recutting import (
    DocumentCut,
    cut_for,
    documents_cut_otherwise,
)
from migrations_app.models import IndexSwitch, Plan
from migrations_app.states import PlanKind
from migrations_app.steps.base import StepContext


def index_to_cut(plan: Plan, switches: Sequence[IndexSwitch]) -> VectorIndex | None:
    """Return the index whose documents a plan cuts anew; None for a plan that changes the embedder."""
    if plan.kind != PlanKind.RE_EMBED or not switches:
        return None
    (switch,) = switches
    return switch.to_index if switch.from_index_id == switch.to_index_id else None


def prepare_cuts(
    ctx: StepContext, index: VectorIndex, tell: Callable[[int, int], None]
) -> list[DocumentCut]:
    """Cut what is cut otherwise, and embed the new passages; nothing is found by them yet.

    ``tell`` gets how many documents are done, and of how many. Doing it twice embeds nothing twice.
    """
    due = documents_cut_otherwise(index)
    total, cuts = due.count(), list[DocumentCut]()
    if not total:
        return cuts
    with ctx.embedder(index.fingerprint.revision, spec_of(index.fingerprint)) as embedder:
        for pk in due.values_list("pk", flat=True):
            tell(len(cuts), total)
            # Deleted meanwhile, perhaps.
            document = Document.objects.filter(pk=pk).first()
            if document is not None:
                cut = cut_for(index, document, embedder)
                _embed(ctx, index, document, cut, embedder)
                cuts.append(cut)
    return cuts


def _embed(
    ctx: StepContext, index: VectorIndex, document: Document, cut: DocumentCut, embedder: Embedder
) -> None:
    texts = {one.content_hash: document.text[one.span.start : one.span.end] for one in cut.passages}
    missing = sorted(missing_hashes(index.fingerprint_id, list(texts)))
    for start in range(0, len(missing), BATCH):
        ctx.checkpoint()
        page = {key: texts[key] for key in missing[start : start + BATCH]}
        embed_texts(index.fingerprint_id, page, embedder)
