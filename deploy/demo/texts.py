"""Text for the demo's bases: papers of a small library, this project's documentation, and Python's."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

MARKDOWN = "text/markdown"
OWN_MODULES = (
    "bisect",
    "calendar",
    "collections",
    "contextlib",
    "csv",
    "datetime",
    "enum",
    "fractions",
    "functools",
    "getpass",
    "glob",
    "hashlib",
    "heapq",
    "html",
    "itertools",
    "json",
    "math",
    "operator",
    "pathlib",
    "pprint",
    "random",
    "secrets",
    "statistics",
    "string",
    "textwrap",
    "threading",
    "uuid",
)
_READING_HOUSE = Path(__file__).with_name("reading_house")

SHARED_MODULES = ("fnmatch", "gzip", "shutil", "tempfile", "webbrowser", "zipfile", "zlib")


@dataclass(frozen=True, slots=True)
class Page:
    """One document."""

    title: str
    text: str


def reading_house_pages() -> list[Page]:
    """Return the papers of a library that never was, in three languages, titled by their headings."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(_READING_HOUSE.glob("*.md"))]
    return [Page(text.splitlines()[0].lstrip("# "), text) for text in texts]


def project_pages(root: Path) -> list[Page]:
    """Return the repository's guides, titles relative to its root.

    Without the decisions: there are more of them with each change, and each would be embedded. Without
    the README: it quotes what this demo asks, so it would be found in place of the papers that answer.
    """
    files = sorted((root / "docs").glob("*.md"))
    return [Page(str(file.relative_to(root)), file.read_text()) for file in files]


def python_pages(names: Iterable[str]) -> list[Page]:
    """Render the documentation that these standard modules carry."""
    return [_page(importlib.import_module(name)) for name in names]


def _page(module: ModuleType) -> Page:
    name = module.__name__
    sections = [f"# The module {name}", _doc(module), *_members(module, name)]
    return Page(f"Python: {name}", "\n\n".join(part for part in sections if part))


def _members(owner: object, prefix: str) -> Iterator[str]:
    for name, member in sorted(vars(owner).items()):
        if not name.startswith("_") and _belongs(member, prefix) and _doc(member):
            yield f"## {prefix}.{name}{_signature(member)}\n\n{_doc(member)}"
            if inspect.isclass(member):
                yield from _members(member, f"{prefix}.{name}")


def _belongs(member: object, prefix: str) -> bool:
    """Leave out what a module merely imports; C helpers call their home by another name."""
    home = (getattr(member, "__module__", None) or "").strip("_")
    return (inspect.isroutine(member) or inspect.isclass(member)) and (
        not home or home.split(".")[0] == prefix.split(".")[0]
    )


def _doc(item: object) -> str:
    text = getattr(item, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def _signature(item: object) -> str:
    if not callable(item):
        return ""
    try:
        return str(inspect.signature(item))
    except (TypeError, ValueError):
        return ""
