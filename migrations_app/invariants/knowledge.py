"""Knowledge: every text once, with its vectors; every pointer to an index of the same base."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q

from engines.db.clock import seconds_from_now
from engines.models import (
    Chunk,
    Conversation,
    Document,
    EnginePreference,
    KnowledgeBase,
    PassageWords,
    VectorIndex,
)
from engines.services.hosts import present_hosts
from engines.services.knowledge.watched.due import due_folders
from migrations_app.invariants.findings import (
    MAX_FINDINGS,
    Finding,
    Surroundings,
    select,
)
from migrations_app.models import IndexSwitch
from migrations_app.plans.housekeeping import (
    retained_index_ids,
    stale_downloads,
    waiting_writers,
)

OVERDUE_SECONDS = 6 * 3600
_LIVE = Q(deleted_seq__isnull=True)
_LOST = """
SELECT index.id, index.base_id, lost.id, lost.created_seq
FROM engines_vectorindex AS index
CROSS JOIN LATERAL (
    SELECT chunk.id, chunk.created_seq FROM engines_chunk AS chunk
    LEFT JOIN LATERAL (
        SELECT true AS known FROM engines_embedding AS fact
        WHERE fact.fingerprint_id = index.fingerprint_id
        AND fact.content_hash = chunk.content_hash LIMIT 1
    ) AS fact ON true
    WHERE chunk.base_id = index.base_id AND chunk.created_seq <= index.covered_seq
    AND chunk.deleted_seq IS NULL AND fact.known IS NULL
    ORDER BY chunk.created_seq LIMIT 1
) AS lost
WHERE index.id = ANY(%(kept)s)
OR EXISTS (SELECT 1 FROM engines_knowledgebase AS base WHERE base.live_index_id = index.id)
"""
_CHANGED = """
SELECT 'document ' || id, base_id FROM engines_document
WHERE sha256 <> encode(sha256(convert_to(text, 'UTF8')), 'hex')
UNION ALL
SELECT 'chunk ' || id, base_id FROM engines_chunk
WHERE deleted_seq IS NULL AND content_hash <> sha256(convert_to(text, 'UTF8'))
"""
_OTHER_SIZE = """
SELECT fact.fingerprint_id, octet_length(fact.vector), count(*)
FROM engines_embedding AS fact
JOIN engines_fingerprint AS space ON space.id = fact.fingerprint_id
WHERE octet_length(fact.vector) <> 2 * (space.facts->>'dimension')::integer
GROUP BY fact.fingerprint_id, octet_length(fact.vector)
"""
"""Vectors are kept in half precision, two bytes a number."""


def find_documents_without_chunks(_: Surroundings) -> Iterator[Finding]:
    """Every document can be found: it has chunks."""
    live = Chunk.objects.filter(_LIVE, document=OuterRef("pk"))
    for document in Document.objects.filter(~Exists(live)).order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"document {document.pk} of base {document.base_id}",
            "It has no chunk, so no search finds it.",
            "Write its text again: the same text by another media type and back cuts it anew.",
        )


def find_chunks_without_document(_: Surroundings) -> Iterator[Finding]:
    """What is found belongs to a document that is there."""
    rows = Chunk.objects.filter(_LIVE, document__isnull=True).order_by("pk")
    for pk, base_id in rows.values_list("pk", "base_id")[:MAX_FINDINGS]:
        yield Finding(
            f"chunk {pk} of base {base_id}",
            "It is found, and its document is gone.",
            "Its text should have been erased: set deleted_seq to the base's next write_seq and "
            "the text to nothing.",
        )


def find_texts_that_were_to_be_erased(_: Surroundings) -> Iterator[Finding]:
    """Of a deleted chunk no word is left."""
    rows = Chunk.objects.exclude(_LIVE).exclude(text="").order_by("pk")
    for pk, base_id in rows.values_list("pk", "base_id")[:MAX_FINDINGS]:
        yield Finding(
            f"chunk {pk} of base {base_id}",
            "It is deleted, and its text is still there.",
            "Set its text to nothing.",
        )
    words = PassageWords.objects.filter(chunk__deleted_seq__isnull=False).order_by("pk")
    for pk, base_id in words.values_list("pk", "base_id")[:MAX_FINDINGS]:
        yield Finding(
            f"chunk {pk} of base {base_id}",
            "It is deleted, and its words are still there.",
            "Delete its row of engines_passagewords.",
        )


def find_changed_texts(around: Surroundings) -> Iterator[Finding]:
    """A text is the one that was written, which its digest, its vector and its words are of."""
    for what, base_id in select(_CHANGED) if around.read_files else []:
        yield Finding(
            f"{what} of base {base_id}",
            "Its text is not the one that its digest is of.",
            "Write the document's text again, from its file or the person's last backup.",
        )


def find_doubled_chunks(_: Surroundings) -> Iterator[Finding]:
    """Each piece of a document is there once."""
    rows = Chunk.objects.filter(_LIVE, document__isnull=False).order_by()
    doubled = rows.values("document_id", "position").annotate(times=Count("pk"))
    found = doubled.filter(times__gt=1).values_list("document_id", "position", "times")
    for document_id, position, times in found[:MAX_FINDINGS]:
        yield Finding(
            f"document {document_id}",
            f"Its piece {position} is there {times} times.",
            "Write the document's text again; that replaces all its pieces.",
        )


def find_chunks_of_the_future(_: Surroundings) -> Iterator[Finding]:
    """A base's ``write_seq`` has counted every write, and its indexes are not ahead of it."""
    ahead = Q(created_seq__gt=F("base__write_seq")) | Q(deleted_seq__gt=F("base__write_seq"))
    seen = Q(base_seq__gt=F("base__write_seq")) | Q(covered_seq__gt=F("base__write_seq"))
    chunks = Chunk.objects.filter(ahead).order_by().values_list("base_id", flat=True)
    indexes = VectorIndex.objects.filter(seen).order_by().values_list("base_id", flat=True)
    for base_id in chunks.union(indexes)[:MAX_FINDINGS]:
        yield Finding(
            f"base {base_id}",
            "Chunks or indexes are ahead of its write_seq.",
            "A write was lost, as when an older copy of the row came back: raise write_seq to the "
            "highest number in use.",
        )


def find_chunks_without_words(_: Surroundings) -> Iterator[Finding]:
    """What a base counts as having its words has them, so that a search by words finds it."""
    rows = Chunk.objects.filter(_LIVE, created_seq__lte=F("base__words_seq"), words=None)
    found = rows.order_by().values_list("base_id").annotate(Count("pk"), Min("created_seq"))
    for base_id, count, first in found[:MAX_FINDINGS]:
        yield Finding(
            f"base {base_id}",
            f"{count} of its chunks have no words, and nobody would look for them.",
            f"Set words_seq of the base to {first - 1}; they get them then.",
        )


def find_chunks_without_vector(_: Surroundings) -> Iterator[Finding]:
    """What an index counts as covered has its vector, or the reason why it has none."""
    for index, base, chunk, seq in select(_LOST, {"kept": list(retained_index_ids())}):
        yield Finding(
            f"index {index} of base {base}",
            f"The chunk {chunk} has no vector in its space, and nobody would embed it.",
            f"Set covered_seq of the index to {seq - 1}; it is embedded then.",
        )


def find_vectors_of_other_size(_: Surroundings) -> Iterator[Finding]:
    """A vector has as many numbers as its space."""
    for space, size, count in select(_OTHER_SIZE):
        yield Finding(
            f"space {space}",
            f"{count} vectors have {size} bytes, which is not the size of its vectors.",
            "Delete these rows, and set covered_seq of the space's indexes to 0; they are "
            "embedded again.",
        )


def find_crossed_pointers(_: Surroundings) -> Iterator[Finding]:
    """A base points to indexes of its own, a person's revision is one of their engine."""
    base = KnowledgeBase.objects.order_by("pk")
    switch = IndexSwitch.objects.order_by("pk")
    pinned = EnginePreference.objects.filter(revision__isnull=False).order_by("pk")
    crossed = {
        "base {}: live_index": base.filter(live_index__isnull=False).exclude(
            live_index__base=F("pk")
        ),
        "base {}: embed_on_write_for": base.filter(embed_on_write_for__isnull=False).exclude(
            embed_on_write_for__base=F("pk")
        ),
        "index switch {}: to_index": switch.exclude(to_index__base=F("base")),
        "index switch {}: from_index": switch.filter(from_index__isnull=False).exclude(
            from_index__base=F("base")
        ),
        "preference {}: revision": pinned.exclude(revision__model=F("engine")),
    }
    for where, rows in crossed.items():
        for pk in rows.values_list("pk", flat=True)[:MAX_FINDINGS]:
            yield Finding(
                where.format(pk),
                "It points to a row of something else.",
                "Somebody wrote the row by hand; point it to one of its own.",
            )


def find_writers_left_waiting(_: Surroundings) -> Iterator[Finding]:
    """Writers embed as they write only while a switch is under way."""
    for base_id in waiting_writers().order_by("pk").values_list("pk", flat=True)[:MAX_FINDINGS]:
        yield Finding(
            f"base {base_id}",
            "Writers wait for a switch that is not under way.",
            "A sweep ends that: see that a worker runs, or call control.sweep.",
        )


def find_downloads_nobody_makes(_: Surroundings) -> Iterator[Finding]:
    """A copy that is being downloaded has a plan that does it."""
    for pk in stale_downloads().order_by("pk").values_list("pk", flat=True)[:MAX_FINDINGS]:
        yield Finding(
            f"copy {pk}",
            "It counts as being downloaded, and no plan fetches it.",
            "A sweep ends that: see that a worker runs, or call control.sweep.",
        )


def find_folders_nobody_looks_at(_: Surroundings) -> Iterator[Finding]:
    """A watched folder whose host is there is looked at when it is due."""
    before = seconds_from_now(-OVERDUE_SECONDS)
    late = due_folders().filter(next_look_at__lt=before, host__in=present_hosts().values("pk"))
    for pk, path in late.values_list("pk", "path")[:MAX_FINDINGS]:
        yield Finding(
            f"watched folder {pk}",
            f"It is time to look at {path} for more than {OVERDUE_SECONDS // 3600} hours, and nobody does.",
            "See that its host's worker for steps runs, and look for knowledge.look_at_folder in its log.",
        )


def find_gaps_in_conversations(_: Surroundings) -> Iterator[Finding]:
    """No message between two others is missing."""
    rows = Conversation.objects.annotate(count=Count("messages"), last=Max("messages__position"))
    for row in rows.exclude(count=0).exclude(count=F("last") + 1).order_by("pk")[:MAX_FINDINGS]:
        yield Finding(
            f"conversation {row.pk}",
            f"It has {row.count} messages, the last one is number {row.last}.",
            "Messages are lost; the person's last backup has them.",
        )
