"""What a question looks for: its words in every form in which a passage may have them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engines.db.cursors import binary_cursor
from engines.services.knowledge.words.languages import (
    detect_language,
    is_little_word,
    stemmed_languages,
)
from engines.services.knowledge.words.spellings import GERMAN, group_otherwise, spell_otherwise
from engines.services.knowledge.words.tokens import list_pieces, split_words

MAX_QUESTION_CHARS = 4000
MAX_TERMS = 48
"""Different words of a question that are looked for; the first ones."""

# A language after the other, each found by one look into the index: a base has few, and many passages.
_STEMS = """
WITH RECURSIVE spoken AS (
    (SELECT base_id, language FROM engines_passagewords
     WHERE base_id = ANY(%b::bigint[]) ORDER BY base_id, language LIMIT 1)
    UNION ALL
    SELECT later.base_id, later.language FROM spoken
    CROSS JOIN LATERAL (
        SELECT base_id, language FROM engines_passagewords
        WHERE base_id = ANY(%b::bigint[])
          AND (base_id, language) > (spoken.base_id, spoken.language)
        ORDER BY base_id, language LIMIT 1
    ) AS later
)
SELECT asked.word, known.language,
       tsvector_to_array(to_tsvector(known.dictionary::regconfig, asked.word))
FROM (SELECT DISTINCT language FROM spoken) AS own
JOIN unnest(%b::text[], %b::text[]) AS known (language, dictionary) USING (language)
CROSS JOIN unnest(%b::text[]) AS asked (word)
"""
"""None of a word that is too common in its language to look for."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a question, in each form in which it may lie in the index.

    A form of several words, with a blank between them, is where all of them are.
    """

    forms: tuple[str, ...]

    @property
    def query(self) -> str:
        """Return it as PostgreSQL reads a query of full text."""
        alternatives = ([f"'{word}'" for word in form.split(" ")] for form in self.forms)
        return " | ".join(
            f"({' & '.join(words)})" if len(words) > 1 else words[0] for words in alternatives
        )


def read_question(question: str, base_ids: Collection[int]) -> list[Term]:
    """Return the terms of a question to some bases, none twice.

    No character of it has a meaning of its own: it is cut into words, and nothing else is kept. Little words
    of its language are left out where others are asked for.
    """
    asked = question[:MAX_QUESTION_CHARS]
    words = list(dict.fromkeys(split_words(asked)))[:MAX_TERMS]
    asked_in = detect_language(words)
    spellings = spell_otherwise(asked, words)
    stems = _stems([*words, *(one for found in spellings.values() for one in found)], base_ids)
    numbers = group_otherwise(asked)
    terms: dict[Term, None] = {}
    little: dict[Term, None] = {}
    for word in words:
        found = stems.get(word, {})
        forms = [f"{language}:{stem}" for language, own in found.items() for stem in own]
        if GERMAN in found:
            forms += _spelled_forms(spellings.get(word, ()), stems)
        forms += numbers.get(word, ())
        is_little = is_little_word(word, asked_in) or found.get(asked_in) == []
        for piece in list_pieces(word, asked=True):
            (little if is_little else terms)[Term((piece, *forms))] = None
    return list(terms or little)[:MAX_TERMS]


def _spelled_forms(
    spellings: Iterable[str], stems: Mapping[str, Mapping[str, Sequence[str]]]
) -> Iterator[str]:
    for word in spellings:
        yield word
        yield from (f"{GERMAN}:{stem}" for stem in stems.get(word, {}).get(GERMAN, ()))


def _stems(words: Sequence[str], base_ids: Collection[int]) -> dict[str, dict[str, list[str]]]:
    """Return word → language → its stems, in the languages of the bases that somebody stems."""
    bases = list(base_ids)
    stemmed = stemmed_languages()
    values = [bases, bases, list(stemmed), list(stemmed.values()), words]
    found: dict[str, dict[str, list[str]]] = {}
    with binary_cursor() as cursor:
        for word, language, stems in cursor.execute(_STEMS, values):
            found.setdefault(word, {})[language] = stems
    return found
