"""Sets the stage: catalog, people, the old engine, knowledge, prompts, an adapter, a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.contrib.auth.models import Group
from rich.console import Console

from deploy.demo.bases import Bases, ensure_bases, wait_until_searchable
from deploy.demo.catalog import ensure_catalog
from deploy.demo.models.engine_files import OLD, ensure_adapter_file
from deploy.demo.people import TEAM, People
from deploy.demo.plans import ensure_engine_chosen, ensure_old_engine
from deploy.demo.rest import Api
from deploy.demo.site import Site
from engines.models import CatalogModel, EngineDefault

ADAPTER = "ada-tone"
EDITED_PROMPT = "You are Ada's librarian. Quote one page, and say where it is."


@dataclass(frozen=True, slots=True)
class Cast:
    """Who acts, where, and who watches."""

    console: Console
    site: Site
    hub: str
    people: People
    ada: Api
    admin: Api
    bob: Api


@dataclass(frozen=True, slots=True)
class Stage:
    """What is there before the migration."""

    bases: Bases
    chunks: tuple[int, int]
    """Of Ada's and of the team's base."""
    adapter: int
    conversation: int


@contextmanager
def cast(console: Console, site: Site, hub: str, people: People) -> Iterator[Cast]:
    """Open everybody's connection to the API."""
    with ExitStack() as stack:
        tokens = (people.ada, people.admin, people.bob)
        apis = [stack.enter_context(Api(site.web, token)) for token in tokens]
        yield Cast(console, site, hub, people, *apis)


def set_stage(actors: Cast) -> Stage:
    """Make or find everything; a second run finds nearly all of it."""
    console, ada = actors.console, actors.ada
    entries = ensure_catalog(actors.hub)
    console.print(f"[bold]Catalog:[/] {entries} entries; the demo's engines come from {actors.hub}")
    console.print(f"[bold]Ada's engine:[/] {OLD.display_name}")
    ensure_old_engine(console, ada, actors.admin)
    ensure_engine_chosen(actors.bob, OLD.model_id)
    _ensure_team_default()
    console.print(
        "[bold]Knowledge:[/] papers of a small library, pages of this project and of Python"
    )
    bases = ensure_bases(ada, actors.admin)
    chunks = wait_until_searchable(console, bases)
    ada.edit(f"prompts/{OLD.family}", {"system_prompt": EDITED_PROMPT})
    conversation = ada.post("conversations", {"title": "Quickstart: goes on"})["id"]
    return Stage(bases, chunks, _ensure_adapter(actors), conversation)


def _ensure_team_default() -> None:
    """The team's base is searched with the engine that the team uses unless told otherwise."""
    engine = CatalogModel.objects.get(model_id=OLD.model_id)
    team = Group.objects.get(name=TEAM)
    EngineDefault.objects.update_or_create(group=team, defaults={"engine": engine})


def _ensure_adapter(actors: Cast) -> int:
    """Return Ada's valid adapter for the old engine; one that expired stays as history."""
    rows = list(actors.ada.rows("adapters"))
    for row in rows:
        if row["status"] == "active" and row["base_model"] == OLD.model_id:
            return int(row["id"])
    name = f"{ADAPTER}-{len(rows) + 1}" if rows else ADAPTER
    path = ensure_adapter_file(actors.site.hub_root, actors.site.demo)
    fields = {"name": name, "base_model": OLD.model_id}
    return int(actors.ada.upload("adapters", fields, path)["id"])
