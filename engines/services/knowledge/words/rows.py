"""The words of passages: written with them, removed with them, and caught up where they lack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from engines.db.cursors import binary_cursor
from engines.models import Chunk, KnowledgeBase, PassageWords
from engines.services.knowledge.words.languages import UNKNOWN, detect_language, dictionary_of
from engines.services.knowledge.words.tokens import list_pieces, split_words

PAGE = 500
AT_ONCE = 2000
"""Passages of one write whose words are stored in it; those of more follow, for others wait for the write."""
MAX_WORDS = 4000
"""Different words of one passage, and words of it that are stemmed."""

_COUNTED_PLACE = re.compile(r"^(line|page|slide|chapter) \d+\b")
"""Who asks for a number does not mean that of a line or page."""

# Language and number of a word's base and document stand before it or are a word of their own, with a
# character that no word of a text can hold. Rows are locked against their deletion: that erases the words
# after it has changed the row. Each is looked up by its key: joined, all passages that live would be read for
# every document, as long as PostgreSQL's statistics know of few.
_STORE = """
INSERT INTO engines_passagewords (chunk_id, base_id, language, size, words)
SELECT chunk.id, chunk.base_id, given.language, cardinality(given.pieces),
       array_to_tsvector(
           given.pieces
           || ARRAY['#b' || chunk.base_id, '#d' || chunk.document_id]
           || CASE WHEN given.dictionary = '' THEN '{}' ELSE ARRAY(
                  SELECT given.language || ':' || stem.lexeme
                  FROM unnest(to_tsvector(given.dictionary::regconfig, given.spoken)) AS stem
              ) END
       )
FROM (
    SELECT id, language, dictionary, spoken, string_to_array(pieces, ' ') AS pieces
    FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[])
         AS given (id, language, dictionary, spoken, pieces)
    ORDER BY id
) AS given
CROSS JOIN LATERAL (
    SELECT id, base_id, document_id FROM engines_chunk
    WHERE id = given.id AND deleted_seq IS NULL AND document_id IS NOT NULL
    LIMIT 1 FOR SHARE
) AS chunk
ON CONFLICT (chunk_id) DO NOTHING
"""


def store_words(chunks: Sequence[Chunk]) -> None:
    """Store the words of chunks that lie in the database; what has them or is deleted by now is left.

    A passage too short to tell its language is of its document's.
    """
    rows: list[tuple[int, str, str, str, str]] = []
    for _, passages in groupby(chunks, key=lambda chunk: chunk.document_id):
        own = [(chunk.pk, list(split_words(_spoken(chunk)))) for chunk in passages]
        whole = detect_language([word for _, words in own for word in words])
        rows += [_row(pk, words, detect_language(words) or whole) for pk, words in own]
    for start in range(0, len(rows), PAGE):
        columns = [list(column) for column in zip(*rows[start : start + PAGE], strict=True)]
        with binary_cursor() as cursor:
            cursor.execute(_STORE, columns)


def _spoken(chunk: Chunk) -> str:
    """Return a passage with the headings above it, which may hold its subject's name."""
    return f"{_COUNTED_PLACE.sub('', chunk.place)}\n{chunk.text}"


def _row(pk: int, words: list[str], language: str) -> tuple[int, str, str, str, str]:
    pieces = dict.fromkeys(piece for word in words for piece in list_pieces(word))
    dictionary = dictionary_of(language) if language != UNKNOWN else ""
    spoken = " ".join(words[:MAX_WORDS]) if dictionary else ""
    return pk, language, dictionary, spoken, " ".join(list(pieces)[:MAX_WORDS])


def erase_words(chunk_ids: Sequence[int]) -> None:
    """Remove the words of chunks that were just deleted."""
    PassageWords.objects.filter(pk__in=chunk_ids).delete()


def fill_words_of(base_id: int) -> None:
    """Give all passages of a base their words that are without, each page for itself: nobody waits for the whole."""
    base = KnowledgeBase.objects.filter(pk=base_id, words_seq__lt=F("write_seq")).first()
    if base is None:
        return
    keys = list(_lacking(base).values_list("pk", flat=True))
    for start in range(0, len(keys), PAGE):
        store_words(list(Chunk.objects.filter(pk__in=keys[start : start + PAGE]).order_by("pk")))
    _note_filled(base_id, base.write_seq)


def fill_words(*, pages: int) -> int:
    """Give passages that were written without words theirs, at most so many pages; returns how many had none.

    So are those of a database that comes from an older version, and those that a process of one still writes.
    What was done is kept after each page, and no lock is held longer than for one.
    """
    filled = 0
    lagging = KnowledgeBase.objects.filter(words_seq__lt=F("write_seq")).order_by("pk")
    for base_id in lagging.values_list("pk", flat=True)[:pages]:
        while pages > 0:
            pages -= 1
            found = _fill_page(base_id)
            filled += found
            if found < PAGE:
                break
    return filled


def _fill_page(base_id: int) -> int:
    base = KnowledgeBase.objects.filter(pk=base_id).first()
    if base is None:
        return 0
    page = list(_lacking(base)[:PAGE])
    store_words(page)
    # All of a write may not fit on a page; the next one begins with what is left of it.
    _note_filled(base_id, base.write_seq if len(page) < PAGE else page[-1].created_seq - 1)
    return len(page)


def _lacking(base: KnowledgeBase) -> QuerySet[Chunk]:
    live = Chunk.objects.filter(
        base=base, created_seq__gt=base.words_seq, deleted_seq__isnull=True, words=None
    )
    return live.order_by("created_seq", "pk").select_related(None)


def _note_filled(base_id: int, seq: int) -> None:
    KnowledgeBase.objects.filter(pk=base_id).update(words_seq=Greatest("words_seq", seq))
