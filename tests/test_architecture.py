"""The page about the house names what is there, and every room."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
STOP = re.compile(r"^\| `([^`]+\.py)` \| `([^`]+)` \|", re.MULTILINE)
ROOM = re.compile(r"^\| `([^`.]+)` \|", re.MULTILINE)
WALKS = {part.split("\n", 1)[0]: STOP.findall(part) for part in PAGE.split("\n## ")[1:]}
NO_ROOMS = {"migrations", "formats", "en"}
"""Folders that Django wants; ``management`` of the project is the one of `up`."""


def defined(file: Path) -> set[str]:
    """Functions and classes of a module, and the methods of its classes as ``Class.method``."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (item for item in node.body if isinstance(item, ast.FunctionDef))
            found |= {f"{node.name}.{method.name}" for method in methods}
    return found


def test_there_are_four_walks() -> None:
    assert len(WALKS) == 4
    assert all(len(stops) > 10 for stops in WALKS.values())


@pytest.mark.parametrize(
    ("file", "name"), sorted({stop for stops in WALKS.values() for stop in stops})
)
def test_each_stop_of_a_walk_is_there(file: str, name: str) -> None:
    assert name in defined(PROJECT / file)


def test_every_room_is_on_the_page() -> None:
    packages = ("engines", "migrations_app", "worker", "samproject")
    folders = {path.parent for package in packages for path in (PROJECT / package).rglob("*.py")}
    rooms = {
        folder.relative_to(PROJECT).as_posix()
        for folder in folders
        if len(list(folder.glob("*.py"))) > 1 and folder.name not in NO_ROOMS
    }
    rooms -= {*packages, "engines/services", "samproject/management/commands"}

    assert set(ROOM.findall(PAGE.split("\n## ")[0])) == rooms
