"""The house rules, checked by the tools: style, types, layers, sizes, migrations."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.early
PROJECT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {
    "manage.py", "pyproject.toml", "samproject", "engines", "migrations_app", "worker", "tests",
    "deploy", "README.md", "docs", "LICENSE",
}  # fmt: skip
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_ROOM_FILES = 20
MAX_TOP_FILES = 15
PACKAGES = ("samproject", "engines", "migrations_app", "worker")
TOOLS = {
    "ruff": ["-m", "ruff", "check", "--no-cache", "."],
    "format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "layers": ["-c", "from importlinter.cli import lint_imports_command as main; main()"],
    "checks": ["manage.py", "check", "--fail-level", "WARNING"],
    "migrations": ["manage.py", "makemigrations", "--check", "--dry-run"],
    "openapi": ["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null"],
}


def tracked(pattern: str = "") -> list[Path]:
    """Every file of the project: what git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    files = [PROJECT / name for name in names.stdout.splitlines() if name.endswith(pattern)]
    return [file for file in files if file.is_file()]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_find_nothing(tool: str) -> None:
    command = [sys.executable, *TOOLS[tool]]

    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]


def test_the_top_level_is_the_design_cards() -> None:
    found = {file.relative_to(PROJECT).parts[0] for file in tracked()}

    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def test_files_and_functions_are_small() -> None:
    too_long = []
    for file in tracked(".py"):
        if "/migrations/0" in file.as_posix():
            continue
        text = file.read_text()
        if text.count("\n") > MAX_FILE_LINES:
            too_long.append(f"{file.name}: {text.count(chr(10))} lines")
        too_long += [f"{file.name}:{name}: {n} lines" for name, n in functions(text)]

    assert too_long == []


def test_rooms_have_few_files() -> None:
    """Who looks for a place to work reads a room's names at one glance, and a package's even sooner."""
    folders = (file.parent.relative_to(PROJECT) for file in tracked(".py"))
    # Nobody looks for a place to work among database migrations, of which each change adds one.
    rooms = Counter(folder.as_posix() for folder in folders if folder.name != "migrations")
    crowded = {
        room: count
        for room, count in rooms.items()
        if count > (MAX_TOP_FILES if room in PACKAGES else MAX_ROOM_FILES)
    }

    assert crowded == {}


def functions(text: str) -> list[tuple[str, int]]:
    """Functions of a module that are longer than allowed."""
    nodes = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in nodes]
    return [(name, length) for name, length in lengths if length > MAX_FUNCTION_LINES]


def test_nothing_of_numpy_is_left_to_import_at_first_use() -> None:
    """Engines answer in threads, and two that use such a module first at once end in numpy's recursion."""
    at_hand = set(
        subprocess.run(
            [sys.executable, "-c", "import numpy; print(*vars(numpy))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )
    used = {
        f"{path.relative_to(PROJECT)}: np.{node.attr}"
        for path in tracked(".py")
        if path.relative_to(PROJECT).parts[0] in ("engines", "worker")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "np" and node.attr not in at_hand
    }

    assert not used


def test_locks_of_sessions_are_taken_in_one_place() -> None:
    """A closed connection serves the next one, and releases what it is known to hold."""
    taken = re.compile(r"pg_(try_)?advisory_lock")
    found = {
        str(file.relative_to(PROJECT))
        for file in tracked(".py")
        if file != Path(__file__) and taken.search(file.read_text())
    }

    assert found == {"engines/db/session_locks.py"}


def test_no_file_is_large() -> None:
    assert [file.name for file in tracked() if file.stat().st_size > 1_000_000] == []
