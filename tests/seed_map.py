"""The page that maps the specifications' names, as rows."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from functools import reduce
from pathlib import Path
from typing import Any

from django.db.models import Model

PAGE = Path(__file__).resolve().parent.parent / "docs" / "seed-map.md"
QUOTED = re.compile(r"`([^`]+)`")


def rows(section: str) -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def addresses() -> dict[str, list[str]]:
    """Where each name is now."""
    return {
        name: QUOTED.findall(row[1]) for row in rows("Here now") for name in QUOTED.findall(row[0])
    }


def resolve(path: str) -> Any:
    """Return what a dotted path names; fields of models and of dataclasses count."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(_member, parts[length:], found)
    raise ModuleNotFoundError(path)


def _member(owner: Any, name: str) -> Any:
    if isinstance(owner, type) and issubclass(owner, Model) and not hasattr(owner, name):
        return owner._meta.get_field(name)
    if dataclasses.is_dataclass(owner):
        return {field.name: field for field in dataclasses.fields(owner)}[name]
    return getattr(owner, name)


class _Imports(ast.NodeTransformer):
    """Take each imported name from where the page says that it is."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.ImportFrom]:
        if (node.module or "").split(".")[0] not in ("sam", "src"):
            return [node]
        found = []
        for alias in node.names:
            module, _, name = addresses()[alias.name][0].rpartition(".")
            renamed = ast.alias(name, alias.name)
            found.append(ast.ImportFrom(module=module, names=[renamed], level=0))
        return found


def with_imports_of_today(text: str) -> str:
    """Return an example with the import lines that the page gives it, all else as printed."""
    tree = _Imports().visit(ast.parse(text))
    return ast.unparse(ast.fix_missing_locations(tree))
