"""Passages that turned out longer than their embedder reads are cut once more, by its own tokens.

Who writes a document knows no tokenizer, so its passages are cut by what their characters are likely to cost.
Where they are embedded the tokens are counted, and what was just written is cut to fit before anybody missed
it. What was there before keeps its passages, whatever embedder reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from engines.models import Chunk, Document, Fingerprint, KnowledgeBase, VectorIndex
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.reading import TokenReading
from engines.services.knowledge.content import CutPassage, Cutting, cut_passages
from engines.services.knowledge.cutting.costs import Costs, estimate_costs, sum_costs
from engines.services.knowledge.embeddings import DocumentEmbedder
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.sizing import sizes_for
from engines.services.knowledge.writing import lock_base, next_seq, replace_passages

PAGE = 100
"""Documents read together: some are megabytes."""

TRIES = 5
"""How often a text is cut anew until the embedder reads each passage of it as a whole."""
CAUTION = 1.1
"""By this much more is counted each time: tokens of a part are not quite a part of the tokens."""


@runtime_checkable
class TokenReader(Protocol):
    """An embedder that says what it reads."""

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading] | None: ...


class LongTextNotice:
    """An embedder's documents, and which of them were longer than it reads."""

    def __init__(self, embedder: DocumentEmbedder) -> None:
        self._embedder = embedder
        self.hashes: set[bytes] = set()

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Embed, and remember what was too long."""
        batch = self._embedder.embed_documents(texts)
        self.hashes |= {hashlib.sha256(texts[number].encode()).digest() for number in batch.cut}
        return batch


def cut_anew(index: VectorIndex, hashes: Collection[bytes], embedder: DocumentEmbedder) -> int:
    """Cut the documents of these passages by an embedder's tokens; returns how many were.

    Only where the index is the one that is searched, and no switch waits for its writers; and only what was
    cut by today's rule. A document that is written meanwhile is left alone.
    """
    base = index.base
    if not hashes or base.live_index_id != index.pk or not isinstance(embedder, TokenReader):
        return 0
    long = Chunk.objects.filter(
        base=base, deleted_seq__isnull=True, content_hash__in=hashes, start_char__isnull=False
    )
    documents = Document.objects.filter(pk__in=long.values("document")).order_by("pk")
    return sum(
        _cut_document(index, document, embedder) for document in documents.iterator(chunk_size=PAGE)
    )


def documents_cut_otherwise(index: VectorIndex) -> QuerySet[Document]:
    """Return the documents of an index's base that are cut by another rule or for another embedder."""
    otherwise = _is_cut_otherwise(index.fingerprint)
    return Document.objects.filter(otherwise, base_id=index.base_id).order_by("pk")


class CutCounts(NamedTuple):
    """How much would be cut anew."""

    documents: int
    passages: int


def count_passages(documents: QuerySet[Document]) -> CutCounts:
    """Count documents that have passages, and these, in one statement."""
    live = Chunk.objects.filter(document__in=documents.order_by(), deleted_seq__isnull=True)
    found = live.aggregate(documents=Count("document", distinct=True), passages=Count("pk"))
    return CutCounts(**found)


def bases_cut_otherwise(owner_id: int) -> QuerySet[KnowledgeBase]:
    """Return a person's bases of which documents are cut by another rule than their embedder's, by name."""
    bases = KnowledgeBase.objects.filter(owner=owner_id, live_index__isnull=False)
    spaces = Fingerprint.objects.filter(pk__in=bases.values("live_index__fingerprint"))
    cut = Document.objects.filter(_is_cut_for_another(spaces), base__in=bases)
    return bases.filter(pk__in=cut.values("base")).order_by("name", "pk")


def _is_cut_for_another(spaces: Iterable[Fingerprint]) -> Q:
    found = Q(pk__in=[])
    for space in spaces:
        found |= Q(base__live_index__fingerprint=space) & _is_cut_otherwise(space)
    return found


def _is_cut_otherwise(space: Fingerprint) -> Q:
    limit = sizes_for(spec_of(space)).limit
    return Q(passage_limit__isnull=True) | ~Q(passage_limit=limit)


def _cut_document(index: VectorIndex, document: Document, embedder: TokenReader) -> bool:
    cut = cut_for(index, document, embedder)
    with transaction.atomic():
        base = lock_base(document.base_id)
        if base.embed_on_write_for_id is not None or base.live_index_id != index.pk:
            return False
        return bool(put_cuts(base, [cut]))


@dataclass(frozen=True, slots=True)
class DocumentCut:
    """The passages that a document of this text shall have."""

    document_id: int
    sha256: str
    media_type: str
    passages: list[CutPassage]
    limit: int


def cut_for(index: VectorIndex, document: Document, embedder: object) -> DocumentCut:
    """Cut a document by the tokens of an index's embedder, or by an estimate where it tells none."""
    cutting = Cutting(sizes_for(spec_of(index.fingerprint)))
    passages = _measured(document, embedder, cutting)
    kind, limit = document.media_type, cutting.sizes.limit
    return DocumentCut(document.pk, document.sha256, kind, passages, limit)


def put_cuts(base: KnowledgeBase, cuts: Sequence[DocumentCut]) -> int:
    """Give documents of a locked base their new passages in one write; returns how many got them.

    A document whose text was written anew since is left as it is.
    """
    texts = {cut.document_id: cut for cut in cuts}
    found = Document.objects.filter(base=base, pk__in=texts).order_by("pk")
    changed = 0
    seq = next_seq(base) if texts else base.write_seq
    for document in found.iterator(chunk_size=PAGE):
        cut = texts[document.pk]
        if (document.sha256, document.media_type) == (cut.sha256, cut.media_type):
            replace_passages(document, cut.passages, cut.limit, seq)
            changed += 1
    return changed


def _measured(document: Document, embedder: object, cutting: Cutting) -> list[CutPassage]:
    """Return passages that the embedder reads as a whole."""
    text, costs = document.text, estimate_costs(document.text)
    passages: list[CutPassage] = []
    for _ in range(TRIES):
        measured = Cutting(cutting.sizes, costs)
        passages = cut_passages(text, document.media_type, document.places, measured)
        texts = [text[one.span.start : one.span.end] for one in passages]
        found = embedder.read_documents(texts) if isinstance(embedder, TokenReader) else None
        if found is None or not any(one.beyond for one in found):
            break
        costs = _corrected(costs, passages, found)
    return passages


def _corrected(
    costs: Costs, passages: Sequence[CutPassage], found: Sequence[TokenReading]
) -> Costs:
    """Return what each character costs by the tokens that were counted of its passage."""
    each = np.diff(costs)
    ends = [one.span.start for one in passages[1:]] + [len(each)]
    for passage, end, reading in zip(passages, ends, found, strict=True):
        start = passage.span.start
        counted = costs[passage.span.end] - costs[start]
        if counted > 0:
            each[start:end] *= CAUTION * reading.tokens / counted
    return sum_costs(each)
