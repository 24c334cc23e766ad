"""The page that maps the first specifications' names keeps its word."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.seed_documents import blocks, documents, names
from tests.seed_map import PAGE, QUOTED, addresses, resolve, rows

PRODUCT = ("engines", "migrations_app", "worker", "samproject")

OF_PYTHON = {
    *("ABC", "Any", "Dict", "Enum", "List", "Optional", "abc", "abstractmethod", "dataclass"),
    *("datetime", "now", "isoformat", "get"),
}
OF_THE_EXAMPLES = {
    *("e", "engine", "manager", "library_manager", "custom_model", "load_custom_model"),
    *("new_family", "render_my_component", "st", "info"),
}
"""What an example makes, is handed, or draws with; it names nothing of SAM."""
OTHERS = {"HuggingFace"}


def is_on_the_page(name: str) -> bool:
    """By itself, or as a member of the class that the page names."""
    found = [*addresses(), *(n for row in rows("Not built yet") for n in QUOTED.findall(row[0]))]
    ends = {one.rpartition(".")[2] for one in found}
    return name in found or name in ends or name.rpartition(".")[2] in found


@pytest.mark.parametrize("path", sorted({path for paths in addresses().values() for path in paths}))
def test_what_the_page_names_is_there(path: str) -> None:
    assert resolve(path) is not None


def test_each_row_says_where_it_is() -> None:
    assert [row[0] for row in rows("Here now") if not QUOTED.findall(row[1])] == []


def test_every_name_of_the_specifications_is_on_the_page_once() -> None:
    on_page = [
        name
        for section in ("Here now", "Not built yet")
        for row in rows(section)
        for name in QUOTED.findall(row[0])
    ]
    unknown = names() - OF_PYTHON - OF_THE_EXAMPLES - OTHERS

    assert sorted(name for name in unknown if not is_on_the_page(name)) == []
    assert sorted(name for name in set(on_page) if on_page.count(name) > 1) == []


def test_what_is_left_out_and_what_is_mapped_is_named_by_the_specifications() -> None:
    named = names() | {name.rpartition(".")[2] for name in names()}
    mapped = {name.rpartition(".")[2] if "/" not in name else name for name in addresses()}

    assert (OF_PYTHON | OF_THE_EXAMPLES | OTHERS) - named == set()
    assert mapped - named == set()


def test_the_names_are_read_from_all_of_the_five_documents() -> None:
    assert len(documents()) == 5
    assert {block.language for block in blocks()} == {"", "bash", "json", "python"}
    assert len(names()) > 150
    assert {
        *("BaseModelEngine.load_model", "MigrationStatus.IN_PROGRESS", "ModelInfo.tags"),
        *("backup_dir", "corrupted", "get_dpo_model_manager", "migration_notes", "ollama_host"),
        *("LlamaEngine", "sam.core.model_interface", "scripts/benchmark_engine_upgrade.py"),
    } <= names()


@cache
def defined() -> str:
    """Every module, class, function and field of the product, one a line."""
    found: list[str] = []
    for package in PRODUCT:
        for path in (PAGE.parent.parent / package).rglob("*.py"):
            found += [*path.parts, path.stem]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    found.append(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found.append(node.id)
    return "\n".join(sorted({name.lower() for name in found}))


def test_what_is_not_built_yet_names_its_row_and_is_really_not_there() -> None:
    missing = rows("Not built yet")

    assert missing, "then the section goes"
    for name, _, row, word in missing:
        assert re.fullmatch(r"[A-D][0-9]{1,2}", row), name
        (part,) = QUOTED.findall(word)
        assert part not in defined(), f"{name} seems to be built: move its row up"


def test_what_is_built_would_be_found() -> None:
    """The control of the test above: the same search finds what there is."""
    for part in ("fallback", "roll_back", "downloadviews", "retention", "sandbox"):
        assert part in defined()
