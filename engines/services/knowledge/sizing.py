"""How large the passages of a base are: as much as the embedder reads that it is searched with."""

from __future__ import annotations

from engines.models import KnowledgeBase
from engines.services.knowledge.content import Cutting
from engines.services.knowledge.cutting.chunking import Sizes
from engines.services.knowledge.cutting.costs import estimate_costs
from engines.specs import EmbeddingSpec

MARKS = 2
"""Tokens that open and close a text."""


def cutting_for(base_id: int) -> Cutting:
    """Return how a base's texts are cut; the usual sizes while nothing is known of its embedder."""
    base = KnowledgeBase.objects.filter(pk=base_id)
    facts = base.values_list("live_index__fingerprint__facts", flat=True).first()
    return Cutting(sizes_for(EmbeddingSpec(**facts)) if facts else Sizes())


def sizes_for(spec: EmbeddingSpec) -> Sizes:
    """Return the sizes of passages that an embedder reads as a whole, its prefix before them."""
    prefix = estimate_costs(spec.document_prefix)[-1]
    return Sizes.within(int(spec.max_tokens - MARKS - prefix))
