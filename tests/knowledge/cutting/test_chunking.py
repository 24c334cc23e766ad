from __future__ import annotations

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.services.knowledge.cutting.chunking import Sizes, cut_text
from engines.services.knowledge.cutting.costs import estimate_costs
from engines.services.knowledge.cutting.former import cut_by_characters
from engines.services.knowledge.cutting.places import MAX_HEADING_CHARS, leave_out_title

PLAIN, MARKDOWN = "text/plain", "text/markdown"
SMALL = Sizes(target=12, least=3, overlap=0, limit=20)
PARTS = st.sampled_from(
    [
        *("# Head\n", "\n\n", "word ", "End. ", "```\n", "~~~\n", "\t", "x" * 40, "é\r\n"),
        *("| a | b |\n", "文字。", "ห้องสมุดเปิด", "កម្ពុជា។", "क्षि। ", "👩‍👩‍👧", "🇩🇪", "e\u0301", "؟ "),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PARTS, max_size=60).map("".join))
SIZES = st.sampled_from([SMALL, Sizes(40, 10, 8, 60), Sizes(5, 1, 2, 5), Sizes()])


def cut(text: str, media_type: str = PLAIN, sizes: Sizes = SMALL) -> list[str]:
    return [text[span.start : span.end] for span in cut_text(text, media_type, sizes)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.sampled_from([PLAIN, MARKDOWN]), SIZES)
def test_passages_hold_every_visible_character_in_order_and_keep_their_limit(
    text: str, media_type: str, sizes: Sizes
) -> None:
    costs = estimate_costs(text)

    spans = cut_text(text, media_type, sizes)

    assert spans == cut_text(text, media_type, sizes)
    end = 0
    for span in spans:
        assert not text[end : span.start].strip()
        assert span.start < span.end
        assert span.end > end
        assert text[span.start : span.end].strip()
        assert (
            costs[span.end] - costs[span.start] <= sizes.limit + 1e-3 or span.end == span.start + 1
        )
        end = span.end
    assert not text[end:].strip()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PARTS, max_size=40).map("".join), st.sampled_from([PLAIN, MARKDOWN]))
def test_no_sign_is_cut(text: str, media_type: str) -> None:
    between = {found.end() for found in regex.finditer(r"\X", text)} | {0}

    spans = cut_text(text, media_type, Sizes(30, 8, 8, 40))

    assert {place for span in spans for place in (span.start, span.end)} <= between


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        # Each script ends its sentences in its own way.
        (
            "图书馆每天九点开门。周末十点开门！你知道吗？",
            ["图书馆每天九点开门。", "周末十点开门！你知道吗？"],
        ),
        (
            "पुस्तकालय नौ बजे है। यह छह बजे।",
            ["पुस्तकालय नौ बजे", "है। यह छह बजे।"],
        ),
        ("هل تعرف متى؟ تغلق السادسة.", ["هل تعرف متى؟", "تغلق السادسة."]),
        ("ቤተ መጻሕፍቱ ዝግ ነው። ነገ ይከፈታል።", ["ቤተ መጻሕፍቱ ዝግ ነው።", "ነገ ይከፈታል።"]),
        ("បណ្ណាល័យបើក។ បិទម៉ោងប្រាំ។", ["បណ្ណាល័យបើក។", "បិទម៉ោងប្រាំ។"]),
        # Thai has no mark and no blank: a dictionary knows its words.
        ("ห้องสมุดเปิดเก้าโมงเช้า", ["ห้องสมุดเปิด", "เก้าโมงเช้า"]),
        # A word that is too long is cut anywhere, but not inside a sign.
        ("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", ["👩‍👩‍👧", "👩‍👩‍👧", "👩‍👩‍👧"]),
        ("one\n\ntwo\n \nthree", ["one\n\ntwo\n \nthree"]),
    ],
)
def test_a_text_is_cut_where_it_pauses(text: str, passages: list[str]) -> None:
    found = cut(text, sizes=Sizes(target=14, least=1, overlap=0, limit=14))

    assert found == passages


def test_a_long_paragraph_is_cut_behind_a_sentence_that_is_said_again() -> None:
    text = "First sentence here. Second one is longer. A third one ends it."

    assert cut(text, sizes=Sizes(target=8, least=3, overlap=0, limit=20)) == [
        "First sentence here.",
        "Second one is longer.",
        "A third one ends it.",
    ]
    assert cut(text, sizes=Sizes(target=16, least=3, overlap=7, limit=20)) == [
        "First sentence here. Second one is longer.",
        "Second one is longer. A third one ends it.",
    ]


def test_a_heading_goes_with_the_text_it_announces_and_opens_a_passage() -> None:
    text = "intro text is here now\n\n## Colours\n\nred and green and blue"

    assert cut(text, MARKDOWN) == [
        "intro text is here now",
        "## Colours\n\nred and green and blue",
    ]
    # A section that says too little stays with its neighbour.
    assert cut("# A\nfew\n# B\nnext", MARKDOWN) == ["# A\nfew\n# B\nnext"]


@pytest.mark.parametrize(
    "solid",
    [
        "```python\n# not a heading\n\nx = 1\n```",
        "| name | sum |\n|---|---|\n| a | 1 |\n| b | 2 |",
    ],
)
def test_code_and_tables_stay_whole_where_they_fit(solid: str) -> None:
    text = f"{'before ' * 10}\n\n{solid}\n\n{'after ' * 10}"
    sizes = Sizes(target=24, least=3, overlap=8, limit=40)

    assert solid in cut(text, MARKDOWN, sizes)
    rows = cut(solid, MARKDOWN, Sizes(target=10, least=1, overlap=4, limit=14))
    assert "\n".join(rows).replace("\n", "") == solid.replace("\n", "")
    assert all(row in solid.split("\n") for found in rows for row in found.split("\n"))


def test_a_crumb_at_the_end_is_joined_to_what_is_before_it() -> None:
    found = cut("word " * 60 + "end.", sizes=Sizes(target=40, least=10, overlap=0, limit=60))

    assert min(estimate_costs(one)[-1] for one in found) >= 10


def test_sizes_follow_what_the_embedder_reads() -> None:
    assert Sizes.within(32_000) == Sizes()
    small = Sizes.within(100)
    assert (small.target, small.limit) == (80, 100)
    assert Sizes.within(-3).limit == 1


@pytest.mark.parametrize(
    "text",
    [
        *("word " * 40_000, "x" * 200_000, "文" * 30_000, "ก" * 30_000, "# h\n\n" * 10_000),
        *("```\n" * 20_000, "." * 60_000, ("a" + "\u0301" * 300) * 100, " \u0301" * 30_000),
    ],
    ids=range(9),
)
def test_what_never_pauses_is_cut_too(text: str) -> None:
    assert max(len(one) for one in cut(text, MARKDOWN, Sizes())) < 2000


def test_texts_are_still_cut_as_they_were_before() -> None:
    text = "intro\n\n" + "A sentence of the old rule. " * 60

    former = cut_by_characters(text, PLAIN)

    assert [len(one) for one in former] == [5, 895, 783]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("Minutes", ""),
        ("Minutes › The roof", "The roof"),
        ("page 3 · Minutes", "page 3"),
        ("page 3 · Minutes › The roof", "page 3 · The roof"),
        ("page 3", "page 3"),
        ("The roof › Minutes", "The roof › Minutes"),
        ("Minutes of May", "Minutes of May"),
        ("", ""),
    ],
)
def test_a_place_beside_its_title_does_not_say_it_again(place: str, shown: str) -> None:
    assert leave_out_title(place, "Minutes") == shown


def test_a_title_may_hold_what_separates_and_be_longer_than_a_heading_is_kept() -> None:
    title = "Roof · walls " + "x" * MAX_HEADING_CHARS
    assert leave_out_title(f"{title[:MAX_HEADING_CHARS]} › Slate", title) == "Slate"
