"""Every door is reached by every face that should reach it: docs/doors.md, held to the code.

A method that is new here fails until its row says where people, programs and the staff find it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import URLResolver, get_resolver
from typer.main import get_command

from migrations_app.controller import MigrationController
from migrations_app.library import ModelLibraryManager
from samproject.cli.app import app
from tests.doors.door import Door, Face
from tests.doors.inner import INNER
from tests.doors.table import DOORS

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "doors.md"
FACES = ("api", "admin", "pages", "accounts", "openai_api")
SERVICES = (
    *(
        f"engines.services.people.{name}"
        for name in (
            "preferences",
            "defaults",
            "fallbacks",
            "tokens",
            "usage",
            "invitations",
            "roles",
            "notices",
            "conversations",
            "sessions",
            "search_history",
        )
    ),
    "engines.services.knowledge.documents",
    "engines.services.knowledge.folders",
    "engines.services.knowledge.watched.attaching",
    "migrations_app.plans.backup_rules",
    "migrations_app.moves.mass_moves",
    "migrations_app.moves.meaning",
)


def public_functions(module: ModuleType) -> Iterator[str]:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            yield name


def called_by_faces() -> set[str]:
    """Return the services' public functions that a face imports."""
    found = set()
    for path in (
        path for face in FACES for path in (PROJECT / "migrations_app" / face).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in SERVICES:
                functions = set(public_functions(import_module(node.module)))
                found |= {f"{node.module}.{n.name}" for n in node.names if n.name in functions}
    return found


def the_doors() -> set[str]:
    methods = {
        f"{kind.__module__.removeprefix('migrations_app.')}.{kind.__name__}.{name}"
        for kind in (MigrationController, ModelLibraryManager)
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
    neighbours = {
        f"{room}.{name}"
        for room in ("hosts", "people", "backups")
        for name in public_functions(import_module(f"migrations_app.{room}"))
    }
    return methods | neighbours | called_by_faces()


def url_names(resolver: URLResolver, space: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from url_names(pattern, inner)
        elif pattern.name:
            yield space + pattern.name


def command_names() -> set[str]:
    commands = getattr(get_command(app), "commands", {})
    return {
        f"{name} {sub}".strip()
        for name, found in commands.items()
        for sub in getattr(found, "commands", {"": None})
    }


def admin_names() -> set[str]:
    """Return the models of the admin, alone and with each of their actions."""
    names = set()
    for model, page in admin.site._registry.items():
        label = model._meta.label_lower
        names |= {label, *(f"{label} {action}" for action in page.actions or ())}
    return names


def test_every_door_has_a_row_and_every_row_a_door() -> None:
    assert the_doors() == set(DOORS) | set(INNER)
    assert not set(DOORS) & set(INNER)


def test_every_face_of_a_door_is_there_or_says_why_not() -> None:
    urls, commands, pages = set(url_names(get_resolver())), command_names(), admin_names()
    known: dict[Face, set[str]] = {"rest": urls, "sam": commands, "admin": pages, "page": urls}
    assert apps.ready
    for name, door in DOORS.items():
        for face in get_args(Face):
            places: tuple[str, ...] = getattr(door, face)
            unknown = set(places) - known[face]
            assert not unknown, f"{name}: {face} has no {unknown}"
            reason = door.not_meant.get(face, "")
            assert bool(places) != bool(reason), f"{name}: where does {face} reach it, or why not?"
            assert not reason or reason.endswith("."), f"{name}: {reason!r} is no sentence"


def test_rest_is_reached_in_the_api_and_pages_are_not() -> None:
    for name, door in DOORS.items():
        assert all(place.startswith("api:") for place in door.rest), name
        assert not any(":" in place for place in door.page), name


@pytest.mark.parametrize("reason", sorted(set(INNER.values())))
def test_what_is_no_door_says_what_it_is(reason: str) -> None:
    assert reason.endswith(".")


def written() -> str:
    """Return the table as the page shows it."""

    def cell(door: Door, face: Face) -> str:
        places: tuple[str, ...] = getattr(door, face)
        return ", ".join(f"`{place}`" for place in places) or f"— {door.not_meant[face]}"

    head = [
        "# Doors and faces",
        "",
        "Which face reaches which method of the front doors: REST by URL name, `sam` by command, the admin",
        "by model and action, people's pages by URL name. `tests/doors/table.py` is this table in code, and",
        "`tests/doors/test_doors.py` holds both to what there is.",
        "",
        "| door | REST | sam | admin | page |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = [
        f"| `{name}` | {' | '.join(cell(door, face) for face in get_args(Face))} |"
        for name, door in DOORS.items()
    ]
    return "\n".join([*head, *rows, ""])


def test_the_page_shows_this_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == written()
