"""What an installation for running holds is enough to run SAM: the tests' own packages hide a gap."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("engines", "migrations_app", "worker", "samproject")
OF_EXTRAS = (
    "engines/runtimes/hugging_face/",
    "engines/runtimes/servers/ollama.py",
    "engines/runtimes/servers/openai.py",
    "engines/network/ollama_transport.py",
)
"""Imported only where the extra's packages are: by the registry, or by one another."""


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> set[str]:
    text = (PROJECT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
    return {normalise(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)}


def imported(file: Path) -> set[str]:
    """Names of other people's packages that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    # `_typeshed` exists for type checkers only.
    return names - sys.stdlib_module_names - {*PACKAGES, "deploy", "tests", "_typeshed"}


def test_every_import_is_in_the_lock_of_an_installation_for_running() -> None:
    providers, held = packages_distributions(), locked()
    files = [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]
    core = [
        path for path in files if not path.relative_to(PROJECT).as_posix().startswith(OF_EXTRAS)
    ]
    lacking = {
        f"{path.relative_to(PROJECT)}: {name}"
        for path in core
        for name in imported(path)
        if not held & {normalise(each) for each in providers.get(name, [name])}
    }

    assert len(core) > 300
    assert lacking == set()
