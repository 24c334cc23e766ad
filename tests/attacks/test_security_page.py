"""docs/security.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    page = (PROJECT / "docs" / "security.md").read_text()
    files = [path for kind in ("test_", "check_") for path in PROJECT.glob(f"tests/**/{kind}*.py")]
    known = {path.stem for path in files}
    for path in files:
        known.update(re.findall(r"def (test_\w+)\(", path.read_text()))
    paths = set(re.findall(r"`(tests/[^`]+)`", page))
    names = set(re.findall(r"`(test_\w+)`", page))

    assert len(names) > 100
    assert names <= known, sorted(names - known)
    assert {path for path in paths if not (PROJECT / path).exists()} == set()
