"""Compute the embeddings that are missing: in batches, never blocked by one text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from engines.exceptions import EngineCrashed, EngineError, NotFoundError
from engines.faults import tally
from engines.models import Chunk, Fingerprint
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.vector_rules import MAX_BATCH_TEXTS
from engines.services.knowledge.embedding_rows import load_vectors, missing_hashes, store_embeddings
from engines.services.knowledge.fingerprints import spec_of

__all__ = [
    "BatchSizes",
    "Embedder",
    "RangeCounts",
    "batches_at",
    "embed_range",
    "embed_texts",
    "load_vectors",
    "missing_hashes",
    "store_embeddings",
]

PAGE = 2000
"""Chunks looked at in one query; what is held in memory does not grow with the base."""

BATCH = 32
QUICK_SECONDS = 2.0
"""A batch that takes less is followed by a larger one: a quick embedder waits less, and sorts more texts by length."""
CANARY = "A short and harmless sentence."
"""Tells a poisonous text from an engine that crashes at everything."""

TextResult = NDArray[np.float32] | str
"""A vector, or the sentence why there is none."""


class BatchSizes(NamedTuple):
    """How many texts are embedded together: ``first`` at first, up to ``most`` where they are quick."""

    first: int
    most: int


MANY = BatchSizes(BATCH, MAX_BATCH_TEXTS)


def batches_at(texts_per_second: float) -> BatchSizes:
    """Return sizes that begin with as many texts as an embedder of this speed may embed together."""
    quick = int(texts_per_second * QUICK_SECONDS)
    return BatchSizes(min(max(BATCH, quick), MAX_BATCH_TEXTS), MAX_BATCH_TEXTS)


@dataclass(frozen=True, slots=True)
class Survivors:
    """What became of texts, in their order, and how many of them are longer than is read."""

    results: list[TextResult]
    cut: int


class Embedder(Protocol):
    """Whatever turns text into vectors of one space."""

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch: ...

    def embed_query(self, text: str) -> Sequence[float] | NDArray[np.float32]: ...


class DocumentEmbedder(Protocol):
    """The half of an Embedder that writing needs."""

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch: ...


@dataclass(frozen=True, slots=True)
class RangeCounts:
    """Distinct texts of a range: vectors computed, texts without one, and texts known before.

    ``cut`` of the computed ones are longer than the embedder reads; ``characters`` is what was computed.
    """

    embedded: int
    failed: int
    already: int
    cut: int = 0
    characters: int = field(default=0, compare=False)

    @property
    def trouble(self) -> str:
        """Say what is not as people expect; empty when all is well."""
        return describe_trouble(self.failed, self.cut)


def describe_trouble(failed: int, cut: int) -> str:
    """Return the middle of a sentence about texts without a vector, and with the mean of their parts'."""
    parts = [f", {failed} could not be"] if failed else []
    parts += [f", {cut} in parts: longer than the embedder reads"] if cut else []
    return "".join(parts)


def embed_range(  # noqa: PLR0913 - a range is four numbers
    base_id: int,
    fingerprint_id: int,
    first_id: int,
    last_id: int,
    embedder: DocumentEmbedder,
    *,
    checkpoint: Callable[[int], None],
    kept: Callable[[RangeCounts], None] | None = None,
    sizes: BatchSizes = MANY,
) -> RangeCounts:
    """Embed what is missing of a base's live chunks with ids from first to last, both included.

    Every batch is stored before the next begins, then ``checkpoint`` gets the number of texts done
    and may raise to stop; nothing done is lost. ``kept`` gets what became of a batch within the transaction that
    stores it: who counts there counts all, whenever this is ended. A text that cannot be embedded is stored with
    its reason. Raises EngineCrashed only when the engine crashes at harmless text too.
    """
    work = _Work(fingerprint_id, embedder, checkpoint, sizes, kept)
    for page in _pages(base_id, first_id, last_id):
        work.embed_page(page)
    return work.counts()


def embed_texts(
    fingerprint_id: int,
    texts: Mapping[bytes, str],
    embedder: DocumentEmbedder,
    kept: Callable[[RangeCounts], None] | None = None,
) -> RangeCounts:
    """Embed texts by their content hashes and store the facts; returns how many became what."""
    found = embed_surviving(embedder, list(texts.values()))
    results = dict(zip(texts, found.results, strict=True))
    vectors = {key: value for key, value in results.items() if not isinstance(value, str)}
    errors = {key: value for key, value in results.items() if isinstance(value, str)}
    _check_dimension(fingerprint_id, vectors)
    counts = RangeCounts(len(vectors), len(errors), already=0, cut=found.cut)
    with transaction.atomic():
        store_embeddings(fingerprint_id, vectors, errors)
        if kept is not None:
            kept(counts)
    tally("texts_kept", len(texts))
    return counts


def embed_surviving(
    embedder: DocumentEmbedder, texts: Sequence[str], *, suspected: bool = False
) -> Survivors:
    """Embed ``texts`` in order; one that crashes the engine is found by halving and gets a sentence.

    One poisonous text among n costs at most log2(n) + 1 crashes; its neighbours keep their vectors. A
    text is only blamed for its second crash, because the first may have been somebody's kill.
    """
    tally("texts_embedded", len(texts))
    try:
        batch = embedder.embed_documents(texts)
    except EngineCrashed as crash:
        if len(texts) == 1 and suspected:
            return Survivors([_verdict(embedder, crash)], cut=0)
        middle = (len(texts) + 1) // 2
        halves = [half for half in (texts[:middle], texts[middle:]) if half]
        found = [embed_surviving(embedder, half, suspected=True) for half in halves]
        together = [result for half in found for result in half.results]
        return Survivors(together, sum(half.cut for half in found))
    results = [batch.errors.get(number, batch.vectors[number]) for number in range(len(texts))]
    return Survivors(results, len(batch.cut))


def _verdict(embedder: DocumentEmbedder, crash: EngineCrashed) -> str:
    """Blame the text, unless the engine crashes at the canary too: then that error is raised."""
    embedder.embed_documents([CANARY])
    return f"The embedder crashes at this text, again and alone: {crash}"


def _check_dimension(fingerprint_id: int, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
    """Refuse vectors of another space before they are stored as facts of this one."""
    fingerprint = Fingerprint.objects.filter(pk=fingerprint_id).first()
    if fingerprint is None:
        raise NotFoundError(f"There is no vector space {fingerprint_id}; read the index again.")
    expected = spec_of(fingerprint).dimension
    found = {len(vector) for vector in vectors.values()} - {expected}
    if found:
        raise EngineError(
            f"The embedder gives vectors of {found.pop()} numbers, the space has {expected}; "
            "check the catalog's embedding dimension, or that the right model is loaded."
        )


def _pages(base_id: int, first_id: int, last_id: int) -> Iterator[dict[bytes, int]]:
    """Yield content hash → a chunk with it, over live chunks in the order of ids."""
    live = Chunk.objects.filter(base_id=base_id, deleted_seq__isnull=True, pk__lte=last_id)
    after = first_id - 1
    while rows := list(
        live.filter(pk__gt=after).order_by("pk").values_list("pk", "content_hash")[:PAGE]
    ):
        page: dict[bytes, int] = {}
        for pk, content_hash in rows:
            page.setdefault(bytes(content_hash), pk)
        yield page
        after = rows[-1][0]


class _Work:
    """The counts of one range, and what every batch of it needs."""

    def __init__(
        self,
        fingerprint_id: int,
        embedder: DocumentEmbedder,
        checkpoint: Callable[[int], None],
        sizes: BatchSizes,
        kept: Callable[[RangeCounts], None] | None,
    ) -> None:
        self._fingerprint_id = fingerprint_id
        self._embedder = embedder
        self._checkpoint = checkpoint
        self._size, self._most = sizes
        self._kept = kept
        self._embedded = self._failed = self._already = self._cut = self._characters = 0

    def counts(self) -> RangeCounts:
        return RangeCounts(self._embedded, self._failed, self._already, self._cut, self._characters)

    def embed_page(self, page: Mapping[bytes, int]) -> None:
        missing = missing_hashes(self._fingerprint_id, list(page))
        self._already += len(page) - len(missing)
        chunk_ids = [pk for key, pk in page.items() if key in missing]
        self._tell()
        start = 0
        while batch := chunk_ids[start : start + self._size]:
            begun = time.monotonic()
            self._embed(batch)
            self._tell()
            start += len(batch)
            if time.monotonic() - begun < QUICK_SECONDS:
                self._size = min(2 * self._size, self._most)

    def _embed(self, chunk_ids: Sequence[int]) -> None:
        # Read now, not with the page: a text deleted meanwhile is erased and nobody's any more.
        live = Chunk.objects.filter(pk__in=chunk_ids, deleted_seq__isnull=True).order_by("pk")
        texts = {bytes(key): text for key, text in live.values_list("content_hash", "text")}
        # Asked again too: whoever was overtaken, or works at the same base, has stored some since.
        missing = missing_hashes(self._fingerprint_id, list(texts))
        self._already += len(texts) - len(missing)
        texts = {key: text for key, text in texts.items() if key in missing}
        if texts:
            counts = embed_texts(self._fingerprint_id, texts, self._embedder, self._kept)
            self._embedded += counts.embedded
            self._failed += counts.failed
            self._cut += counts.cut
            self._characters += sum(map(len, texts.values()))

    def _tell(self) -> None:
        self._checkpoint(self._embedded + self._failed + self._already)
