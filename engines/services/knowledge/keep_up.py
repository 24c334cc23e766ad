"""Indexes keep up with what people write: embed what is missing, rebuild a file when it pays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest

from engines.exceptions import ArtifactMissingError, IndexFileError
from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, VectorIndex
from engines.services.knowledge.embeddings import DocumentEmbedder, RangeCounts, embed_range
from engines.services.knowledge.index_files import IndexFiles
from engines.services.knowledge.indexes import (
    LATEST,
    build_file,
    describe_recall,
    index_again,
    missing_chunks,
    should_compact,
)
from engines.services.knowledge.recutting import LongTextNotice, cut_anew

PAGE = 1000


def lagging_indexes(needed: Collection[int] = ()) -> QuerySet[VectorIndex]:
    """Return the indexes that are live, or ``needed`` by id, and whose base was written to since.

    Looks at the hint ``covered_seq`` only, so it costs the same for any amount of text.
    """
    wanted = Q(live_for__isnull=False) | Q(pk__in=needed)
    return (
        VectorIndex.objects.filter(wanted, covered_seq__lt=F("base__write_seq"))
        .select_related("base", "fingerprint__revision__model")
        .distinct()
    )


def keep_up(
    index_id: int,
    embedder: DocumentEmbedder,
    store: ArtifactStore,
    scratch: Path,
    checkpoint: Callable[[int], None],
) -> str:
    """Embed what one index lacks now, rebuild its file when that pays; returns a sentence.

    What is written meanwhile is left to the next call. ``checkpoint`` gets the number of texts done and
    may raise to stop; nothing done is lost.
    """
    index = index_again(index_id)
    target = index.base.write_seq
    notice = LongTextNotice(embedder)
    counts = embed_missing(index, notice, checkpoint, after_seq=index.covered_seq, up_to_seq=target)
    # Their new passages are the next call's, as all that is written meanwhile.
    anew = cut_anew(index, notice.hashes, embedder)
    # Looked at before the hint says again that all is well: the hint is how damage was reported.
    rebuild = should_compact(index) or (
        index.covered_seq == 0 and not _has_sound_file(index, store)
    )
    if rebuild:
        done = counts.embedded + counts.failed
        build_file(index, store, scratch, checkpoint=lambda: checkpoint(done))
    VectorIndex.objects.filter(pk=index_id).update(covered_seq=Greatest("covered_seq", target))
    recall = describe_recall([index], store) if rebuild else ""
    built = f" and its file was rebuilt{recall}" if rebuild else ""
    cut = f"; {anew} documents cut anew by its tokens" if anew else ""
    return f"Index {index.pk}: {counts.embedded} texts embedded{counts.trouble}{built}{cut}."


def embed_missing(
    index: VectorIndex,
    embedder: DocumentEmbedder,
    checkpoint: Callable[[int], None],
    *,
    after_seq: int,
    up_to_seq: int = LATEST,
    kept: Callable[[RangeCounts], None] | None = None,
) -> RangeCounts:
    """Embed the live chunks of an index's base that lack their vector, of a part of its history.

    ``checkpoint`` gets the number of texts done and may raise to stop; nothing done is lost, and ``kept`` counts it as
    for ``embed_range``.
    """
    embedded = failed = cut = 0
    for chunks in _missing_pages(index, after_seq, up_to_seq):
        ids = [chunk.pk for chunk in chunks]
        counts = embed_range(
            index.base_id,
            index.fingerprint_id,
            min(ids),
            max(ids),
            embedder,
            checkpoint=_beginning_at(embedded + failed, checkpoint),
            kept=kept,
        )
        embedded, failed = embedded + counts.embedded, failed + counts.failed
        cut += counts.cut
    return RangeCounts(embedded, failed, already=0, cut=cut)


def _missing_pages(index: VectorIndex, after: int, up_to_seq: int) -> Iterator[list[Chunk]]:
    while chunks := missing_chunks(index, after_seq=after, limit=PAGE, up_to_seq=up_to_seq):
        yield chunks
        after = chunks[0].created_seq - 1


def _beginning_at(done: int, checkpoint: Callable[[int], None]) -> Callable[[int], None]:
    return lambda more: checkpoint(done + more)


def _has_sound_file(index: VectorIndex, store: ArtifactStore) -> bool:
    try:
        IndexFiles(store).open(index)
    except (ArtifactMissingError, IndexFileError):
        return False
    return True
