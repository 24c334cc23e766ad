"""The longest texts that are taken cost their length: nothing copies what is left of them for each passage."""

from __future__ import annotations

from typing import Any

import pytest

from engines.services.knowledge.cutting.chunking import cut_text
from engines.services.knowledge.cutting.places import place_passages

LINE = "the roof of the house was repaired in May by the people of the street\n"
LONG = {
    "lines without a paragraph": (LINE * 4_000, "text/plain"),
    "sections": (f"## Roof\n\n{LINE * 3}\n" * 1_000, "text/markdown"),
    "one block of code": (f"~~~~\n{LINE * 4_000}~~~~\n", "text/markdown"),
}
MAX_COPIES = 20
"""Of a text, put together of the pieces of it that are looked at."""


class Watched(str):
    """A text that counts the characters that are copied of it."""

    copied = 0
    __slots__ = ()

    def __getitem__(self, key: Any) -> str:
        found = super().__getitem__(key)
        Watched.copied += len(found)
        return found


@pytest.mark.parametrize("kind", LONG)
def test_a_long_text_is_copied_a_few_times_only(kind: str) -> None:
    words, media_type = LONG[kind]
    text = Watched(words)
    marks = [(at, f"row {at}") for at in range(0, len(text), 100)]
    Watched.copied = 0

    spans = cut_text(text, media_type)
    place_passages(text, spans, marks, is_markdown=media_type == "text/markdown")

    assert len(spans) > 100
    assert Watched.copied < MAX_COPIES * len(text)
