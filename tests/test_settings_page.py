"""The page of settings names every variable that is read, and no other."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
READ = re.compile(
    r"(?:env\.read_[a-z]+|env\.require_hexadecimal|read_str|_secret)\(\s*\"([A-Z_]+)\""
)
NAMED = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def test_every_variable_is_described() -> None:
    sources = (PROJECT / "samproject").rglob("*.py")
    read = {name for source in sources for name in READ.findall(source.read_text())}

    assert set(NAMED.findall((PROJECT / "docs" / "settings.md").read_text())) == read
