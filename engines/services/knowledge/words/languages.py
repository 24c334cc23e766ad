"""In which language a text is, told by its script and its commonest little words; and who stems it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from django.db import connection
from msgspec import Struct

from engines.parsing import decode
from engines.services.knowledge.words.tokens import fold

WORDS_FILE = Path(__file__).resolve().parents[3] / "data" / "function_words.json"

UNKNOWN = ""
MAX_WORDS_READ = 400
"""Of a text; what it is written in shows sooner."""
MIN_HITS = 2
"""So many little words a text must have to be of their language."""

_BY_SCRIPT = (
    ("ja", re.compile("[\u3041-\u30ff]")),
    ("zh", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("ko", re.compile("[\u1100-\u11ff\uac00-\ud7ff]")),
    ("th", re.compile("[\u0e01-\u0e4f]")),
    ("lo", re.compile("[\u0e80-\u0edf]")),
    ("my", re.compile("[\u1000-\u109f]")),
    ("km", re.compile("[\u1780-\u17d3]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("hy", re.compile("[\u0530-\u058f]")),
    ("ta", re.compile("[\u0b80-\u0bff]")),
)
"""Scripts that are one language's; Japanese before Chinese, whose characters it has as well."""


class Language(Struct, frozen=True):
    """What is known of a language: PostgreSQL's dictionary, if it has one, and its little words."""

    dictionary: str
    words: list[str]


@cache
def known_languages() -> dict[str, Language]:
    """Return the languages by their code of ISO 639."""
    return decode(WORDS_FILE.read_bytes(), dict[str, Language])


@cache
def _languages_by_word() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for code, language in known_languages().items():
        for word in {fold(word) for word in language.words}:
            found.setdefault(word, []).append(code)
    return {word: tuple(codes) for word, codes in found.items()}


def detect_language(words: Sequence[str]) -> str:
    """Return the code of the language of folded words; ``UNKNOWN`` unless one is ahead of all others.

    A text of names, numbers or code has none. A few words are enough where two of them are a language's own.
    """
    read = words[:MAX_WORDS_READ]
    # By letters: a sentence without blanks is one word.
    scripts: Counter[str] = Counter()
    for word in read:
        scripts[_script_language(word)] += len(word)
    unknown = scripts.pop(UNKNOWN, 0)
    if scripts.total() > unknown:
        # Japanese has the characters of Chinese, and small letters of its own between them.
        return "ja" if scripts["ja"] else scripts.most_common(1)[0][0]
    hits = Counter(code for word in read for code in _languages_by_word().get(word, ()))
    ahead = hits.most_common(2)
    is_clear = len(ahead) == 1 or (len(ahead) > 1 and ahead[0][1] > ahead[1][1])
    return ahead[0][0] if is_clear and ahead[0][1] >= MIN_HITS else UNKNOWN


def is_little_word(word: str, language: str) -> bool:
    """Whether a folded word is one of those by which its language is told."""
    return language in _languages_by_word().get(word, ())


def _script_language(word: str) -> str:
    if word.isascii():
        return UNKNOWN
    return next((code for code, letters in _BY_SCRIPT if letters.search(word)), UNKNOWN)


def dictionary_of(language: str) -> str:
    """Return PostgreSQL's name for who stems a language; empty where nobody does."""
    return stemmed_languages().get(language, "")


@cache
def stemmed_languages() -> dict[str, str]:
    """Return the languages that somebody stems, with PostgreSQL's name for who does."""
    installed = _installed_dictionaries()
    return {
        code: known.dictionary
        for code, known in known_languages().items()
        if known.dictionary in installed
    }


def _installed_dictionaries() -> frozenset[str]:
    """PostgreSQL before version 18 has fewer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cfgname FROM pg_ts_config")
        return frozenset(name for (name,) in cursor.fetchall())
