"""A passage names all the pages that it stands on, so that a citation opens at the right one."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Place, Source
from engines.services.knowledge.content import Cutting, cut_passages
from engines.services.knowledge.cutting.chunking import Span
from engines.services.knowledge.cutting.places import place_passages

TEXT = "one\n\ntwo\n\nsix\n\nten"
STARTS = (0, 5, 10, 15)


def _pages(labels: list[str], first: int, last: int) -> str:
    """Return where a passage stands that goes on from one of four paragraphs to another one."""
    marks: list[Place] = [(at, label) for at, label in zip(STARTS, labels, strict=True) if label]
    span = Span(STARTS[first], STARTS[last] + 3)
    (place,) = place_passages(TEXT, [span], marks, is_markdown=False)
    return place.page


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["page 1", "page 2", "page 3", "page 4"], "pages 2–4"),
        (["slide 9", "slide 10", "slide 11", "slide 12"], "slides 10–12"),
        (["mail 1, message", "mail 2, message", "mail 3", "mail 4, message"], "mails 2–4"),
        (["x", "a.pdf, page 1", "a.pdf, page 2", "a.pdf, page 3"], "a.pdf, pages 1–3"),
        (["x", "a.pdf, page 8", "b.pdf, page 1", "b.pdf, page 2"], "a.pdf, page 8 – b.pdf, page 2"),
        (["x", "sheet May 2023", "sheet Q", "sheet May 2024"], "sheet May 2023 – sheet May 2024"),
        (["page i (1 of 9)", "page ii (2 of 9)", "page 1 (3 of 9)", "page A-7 (4 of 9)"], "pages ii–A-7 (2–4 of 9)"),
        (["x", "page i (1 of 9)", "page 2", "page 3"], "page i (1 of 9) – page 3"),
        (["x", "slide 1", "page 2", "page 3"], "slide 1 – page 3"),
        (["sheet A, row 2", "sheet A, row 12", "sheet A, row 22", "sheet A, row 32"], "sheet A, row 12"),
        (["sheet A, row 2", "sheet A, row 12", "sheet B, row 1", "sheet B, row 11"], "sheet A, row 12 – sheet B, row 11"),
        (["x", "sheet A", "sheet A, row 2", "sheet A, row 12"], "sheet A"),
        (["x", "sheet A", "sheet AB, row 2", "sheet AB, row 3"], "sheet A – sheet AB, row 3"),
        (["line 1", "line 2", "line 3", "line 4"], "line 2"),
        (["page 1", "", "", ""], "page 1"),
        (["", "", "", "page 7"], "page 7"),
        (["", "", "", ""], "line 3"),
        (["x", "a" * 150, "x", "b" * 150], "a" * 150),
    ],
)  # fmt: skip
def test_a_passage_of_several_pages_names_the_first_and_the_last(
    labels: list[str], said: str
) -> None:
    assert _pages(labels, 1, 3) == said


def test_a_passage_within_one_page_names_that_one() -> None:
    assert _pages(["page 1", "page 2", "page 3", "page 4"], 1, 1) == "page 2"
    assert _pages(["page 1", "page 2", "page 3", "page 4"], 3, 3) == "page 4"


def test_short_mails_that_share_a_passage_are_all_named() -> None:
    mails = [
        f"From a@b Mon Nov 30 10:00:00 2026\nFrom: a@b.example\nSubject: Day {day}\n\nIt rained {day} mm.\n"
        for day in (1, 2, 3)
    ]
    found = read_content(Source("box.mbox", "\n".join(mails).encode()))

    passages = cut_passages(found.text, found.media_type, found.places, Cutting())

    assert [one.place.label for one in passages] == ["mails 1–3 · Day 1 – Day 3"]


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("# Rules\n\n## Fees\n\nTen.\n\n## Hours\n\nNine.", "Rules"),
        ("## Fees\n\nTen.\n\n## Hours\n\nNine.", "Fees – Hours"),
        ("# Rules\n\n## Fees\n\nTen.", "Rules"),
        ("## Fees\n\n### Old\n\nTen.\n\n## Hours\n\n### May\n\nNine.", "Fees – Hours › May"),
        ("Before.\n\n# Rules\n\nTen.", ""),
        (f"## {'a' * 80}\n\nTen.\n\n## {'b' * 80}\n\n### {'c' * 80}\n\n#### {'d' * 80}\n\nNine.", "a" * 80),
    ],
)  # fmt: skip
def test_a_passage_of_several_sections_names_the_first_and_the_last(
    text: str, heading: str
) -> None:
    (passage,) = cut_passages(text, "text/markdown", [], Cutting())

    assert passage.place.heading == heading


def test_what_two_sections_share_is_said_once() -> None:
    text = "# Rules\n\n## Fees\n\nTen.\n\n## Hours\n\nNine."
    span = Span(text.index("## Fees"), len(text))

    (place,) = place_passages(text, [span], [], is_markdown=True)

    assert place.heading == "Rules › Fees – Hours"


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("# C#\n\nTen.", "C#"),
        ("# Fees ##\n\nTen.", "Fees"),
        ("# #\n\nTen.", ""),
        (f"# {'a' * 79}{' ' * 50_000}b\n\nTen.", "a" * 79 + " "),
        ("---\ntitle: x\n# remark\n---\n\n# Fees\n\nTen.", "Fees"),
        ("---\n\n# Fees\n\nTen.\n\n---\n", "Fees"),
    ],
)
def test_a_heading_is_what_its_readers_see_as_one(text: str, heading: str) -> None:
    (place,) = place_passages(text, [Span(text.index("Ten"), len(text))], [], is_markdown=True)

    assert place.heading == heading
