"""Ada's base and her team's: their pages are kept as they are between runs."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from rich.console import Console

from deploy.demo.errors import DemoError
from deploy.demo.people import TEAM
from deploy.demo.rest import Api
from deploy.demo.site import PROJECT
from deploy.demo.texts import (
    MARKDOWN,
    OWN_MODULES,
    SHARED_MODULES,
    Page,
    project_pages,
    python_pages,
    reading_house_pages,
)
from engines.models import Chunk, Embedding, KnowledgeBase

OWN_BASE = "Ada's pages"
TEAM_BASE = "The team's shelf"
_LONGEST_SECONDS = 900.0
_LOOK_SECONDS = 0.5
_SAY_EVERY = 10


@dataclass(frozen=True, slots=True)
class Bases:
    """Keys of the two bases."""

    own: int
    team: int


def ensure_bases(ada: Api, admin: Api) -> Bases:
    """Create both bases and their pages; pages that changed are written again, others left."""
    bases = Bases(_base(ada, OWN_BASE, {}), _base(admin, TEAM_BASE, {"group": TEAM}))
    own = [*reading_house_pages(), *project_pages(PROJECT), *python_pages(OWN_MODULES)]
    _write_pages(ada, bases.own, own)
    _write_pages(admin, bases.team, python_pages(SHARED_MODULES))
    return bases


def wait_until_searchable(console: Console, bases: Bases) -> tuple[int, int]:
    """Wait until every chunk has its vector; return how many chunks each base has."""
    pause = threading.Event()
    end = time.monotonic() + _LONGEST_SECONDS
    said = -1
    while True:
        own, team = (_embedded(base_id) for base_id in (bases.own, bases.team))
        done, total = own[0] + team[0], own[1] + team[1]
        if done == total:
            console.print(f"  {total} of {total} chunks can be searched")
            return own[1], team[1]
        if time.monotonic() > end:
            raise DemoError(
                f"Only {done} of {total} chunks were embedded; look at the workers' logs."
            )
        if (part := done * _SAY_EVERY // total) > said:
            said = part
            console.print(f"  {done} of {total} chunks can be searched …")
        pause.wait(_LOOK_SECONDS)


def _base(api: Api, name: str, fields: dict[str, str]) -> int:
    for row in api.rows("knowledge-bases"):
        if row["name"] == name:
            return int(row["id"])
    return int(api.post("knowledge-bases", {"name": name, **fields})["id"])


def _write_pages(api: Api, base_id: int, pages: Iterable[Page]) -> None:
    """Make the base hold exactly these pages."""
    path = f"knowledge-bases/{base_id}/documents"
    there = {row["title"]: row for row in api.rows(path)}
    for page in pages:
        row = there.pop(page.title, None)
        body = {"title": page.title, "text": page.text, "media_type": MARKDOWN}
        if row is None:
            api.post(path, body)
        elif row["sha256"] != hashlib.sha256(page.text.encode()).hexdigest():
            api.put(f"{path}/{row['id']}", body)
    for row in there.values():
        api.delete(f"{path}/{row['id']}")


def _embedded(base_id: int) -> tuple[int, int]:
    """Count live chunks with a vector in the base's live space, and all live chunks."""
    base = KnowledgeBase.objects.select_related("live_index").get(pk=base_id)
    live = Chunk.objects.filter(base=base, deleted_seq__isnull=True)
    if base.live_index is None:
        return 0, live.count()
    known = Embedding.objects.filter(
        fingerprint=base.live_index.fingerprint_id, content_hash=OuterRef("content_hash")
    )
    return live.filter(Exists(known)).count(), live.count()
