"""Pictures that are written into a text in letters are no words of it."""

from __future__ import annotations

import base64
import json

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.reading.made import PAYLOAD

PICTURE = base64.b64encode(bytes(range(256)) * 40).decode()
LINES = "\n".join(PICTURE[at : at + 76] for at in range(0, len(PICTURE), 76))
FOLDED = LINES.replace("\n", "\r\n ")
TEXTS = {
    "a.md": (
        f"# Roof\n\n![][image1]\n\n{PAYLOAD}\n\n[image1]: <data:image/png;base64,{PICTURE}>\n",
        f"# Roof\n\n![][image1]\n\n{PAYLOAD}\n\n[image1]: <data:image/png;base64,…>\n",
    ),
    "a.vcf": (
        f"FN:Ada\nPHOTO;ENCODING=b;TYPE=JPEG:{FOLDED}\nNOTE:{PAYLOAD}\n",
        f"FN:Ada\nPHOTO;ENCODING=b;TYPE=JPEG:…\nNOTE:{PAYLOAD}\n",
    ),
    "a.enex": (
        f'<note><resource><data encoding="base64">\n{LINES}\n</data></resource>{PAYLOAD}</note>',
        f'<note><resource><data encoding="base64">…</data></resource>{PAYLOAD}</note>',
    ),
    "a.ipynb": (
        json.dumps({"cells": [{"cell_type": "markdown", "source": [f"![](data:image/png;base64,{PICTURE})"]}]}),
        "![](data:image/png;base64,…)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_an_embedded_picture_is_left_out(name: str) -> None:
    content, text = TEXTS[name]

    assert read_content(Source(name, content.encode())).text == text


@pytest.mark.parametrize(
    "text",
    [
        "src: url(data:font/woff2;base64,d09GMgABAAAAA)",
        f"-----BEGIN CERTIFICATE-----\n{LINES}\n-----END CERTIFICATE-----",
        f"ENCODING=8BIT:{'word' * 200}",
    ],
)
def test_what_people_write_about_stays(text: str) -> None:
    assert read_content(Source("a.txt", text.encode())).text == text
