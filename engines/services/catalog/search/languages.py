"""The languages of engines, which curators write among their tags."""

from __future__ import annotations

from django.db.models import Q

MULTILINGUAL = "multilingual"
LANGUAGES = {
    "arabic": "ar",
    "chinese": "zh",
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "hindi": "hi",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "polish": "pl",
    "portuguese": "pt",
    "russian": "ru",
    "spanish": "es",
    "turkish": "tr",
}
"""Languages as tags name them, by word or by code."""


def languages_of(tags: list[str]) -> list[str]:
    """Return the languages among a model's tags, as people write them."""
    codes = {code: name for name, code in LANGUAGES.items()}
    named = (codes.get(tag.lower(), tag.lower()) for tag in tags)
    return sorted({name.title() for name in named if name in LANGUAGES or name == MULTILINGUAL})


def speaks(language: str) -> Q:
    """Return the condition that a model knows a language, or many."""
    named = Q(tags__icontains=f'"{language}"') | Q(tags__icontains=f'"{MULTILINGUAL}"')
    code = LANGUAGES.get(language)
    return named | Q(tags__icontains=f'"{code}"') if code else named
