"""Slides: one form of whatever has several, formulas, what pictures show, and nothing that is hidden."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.reading import made


def shape(words: str, more: str = "") -> str:
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="7" name="" {more}/><p:nvPr/></p:nvSpPr>'
        f"<p:txBody><a:p>{words}</a:p></p:txBody></p:sp>"
    )


def run(words: str) -> str:
    return f"<a:r><a:t>{words}</a:t></a:r>"


COMPATIBLE = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
MATH = (
    '<m:oMath xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:sSup><m:e><m:r><m:t>c</m:t></m:r></m:e>'
    "<m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>"
)
DRAWN = {
    "two forms": (
        f"<mc:AlternateContent {COMPATIBLE}><mc:Choice>{shape(run('new'))}</mc:Choice>"
        f"<mc:Fallback>{shape(run('old'))}</mc:Fallback></mc:AlternateContent>",
        "new",
    ),
    "a formula": (shape(f"{run('E = ')}{MATH}"), "E = c^2"),
    "a hidden shape": (shape(run("hidden"), 'hidden="1"'), ""),
    "a picture": ('<p:pic><p:nvPicPr><p:cNvPr id="8" name="" descr="a red roof"/></p:nvPicPr></p:pic>', "a red roof"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DRAWN)
def test_a_slide_says_what_is_shown(kind: str) -> None:
    drawn, text = DRAWN[kind]

    found = read_content(Source("a.pptx", made.pptx(("Title", "Body"), drawn=drawn)))

    assert found.text == "\n\n".join(filter(None, ("# Title", "Body", text)))
