"""What an engine wrote, as HTML: readable, and harmless whatever it repeats."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from migrations_app.pages.chat.markdown import TAGS, plain_text, render_document, render_markdown

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:alert(1))",
    "<a href='javascript:alert(1)' onclick=alert(1)>x</a>",
    "![x](http://tracker.example/me.png)",
    "<iframe src=//evil.example></iframe>",
    "<style>*{display:none}</style>",
    "<form action=//evil.example><input name=password></form>",
    "`<script>alert(1)</script>`",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    '[x](http://a.example "onmouseover=alert(1)")',
    "[x](//evil.example/)",
    "[![x](//evil.example/x.png)](/settings/)",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "[x]: javascript:alert(1)\n\n[x]",
    "<details open ontoggle=alert(1)>",
    '"><script>alert(1)</script>',
)


class Reader(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_runs_loads_or_styles_comes_through(text: str) -> None:
    reader = Reader()
    reader.feed(render_markdown(text, {1}, lambda number: f"/chat/passages/1/{number}/"))

    assert reader.tags <= TAGS
    assert reader.attributes <= {"href", "title", "class", "rel", "start"}
    assert all(link.startswith(("http://", "/chat/")) for link in reader.links), reader.links


def test_what_is_meant_to_be_read_stays() -> None:
    html = render_markdown(
        "# Title\n\nA **bold** word, `code`.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```python\nprint('<b>')\n```\n[there](https://example.org)"
    )

    for part in (
        "<h1>Title</h1>",
        "<strong>bold</strong>",
        "<li>one</li>",
        "<td>2</td>",
        "print('&lt;b&gt;')",
        '<a href="https://example.org" rel="noopener noreferrer nofollow">there</a>',
    ):
        assert part in html


def test_a_citation_leads_to_its_passage_and_other_brackets_do_not() -> None:
    html = render_markdown(
        "Slate [1], not tin [3]. `x[1]`", {1, 2}, lambda number: f"/chat/passages/7/{number}/"
    )

    assert html.count("<a ") == 1
    assert 'href="/chat/passages/7/1/"' in html
    assert "[3]" in html
    assert "<code>x[1]</code>" in html


def test_a_deep_or_long_text_is_read_all_the_same() -> None:
    assert render_markdown("> " * 500 + "deep")
    assert "end" in render_markdown("word " * 50_000 + "end")
    assert render_markdown("*" * 20_000)


def test_a_part_that_begins_within_a_table_shows_its_rows() -> None:
    part = "| LFM2 | as it is | `<\\|call\\|>` |\n| MiMo | by the template |\n\nBelow it.\n"

    html = render_document(part)

    assert html.count("<tr>") == 2
    assert "<th>" not in html
    assert "<code>&lt;|call|&gt;</code>" in html
    assert plain_text(part) == "LFM2 | as it is | <|call|>\nMiMo | by the template | \nBelow it."
    assert plain_text("| a | b |\n|---|---|\n| 1 | 2 |") == "a | b\n1 | 2"
    assert plain_text("| a |\nb | c | d") == "a |  | \nb | c | d"
    assert plain_text("|x| is never negative.") == "|x| is never negative."


def test_pictures_and_links_to_files_beside_a_document_leave_their_words() -> None:
    text = (
        "See ![The **roof**](roof.png), [the minutes](minutes/march.md), [below](#costs) and "
        "[the town](https://town.example/). [![](badge.svg)](https://ci.example/)"
    )

    html = render_document(text)

    assert "See The roof, the minutes, below and <a" in html
    assert html.count("<a ") == 1
    assert plain_text(text).startswith("See The roof, the minutes, below and the town.")
    assert "!" not in render_markdown(text)
