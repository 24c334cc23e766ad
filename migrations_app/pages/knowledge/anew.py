"""A base embedded anew: cut by today's rule, or given the embedder of the engine in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.models import CatalogModel, KnowledgeBase
from engines.services.engine_choice import effective_engine, engine_of_group
from engines.services.knowledge.fingerprints import embedder_of, find_fingerprint
from engines.services.knowledge.recutting import (
    CutCounts,
    count_passages,
    documents_cut_otherwise,
)
from migrations_app.pages.knowledge.shelf import KnowledgePage
from migrations_app.pages.wizard.drafts import begin_anew

GONE = "There is nothing to embed anew: this base is searched and cut as it should be."


class What(StrEnum):
    """What becomes another: the passages, or the embedder."""

    PASSAGES = "passages"
    EMBEDDER = "embedder"


@dataclass(frozen=True, slots=True)
class Anew:
    """One thing for which a base can be embedded anew."""

    what: What
    embedder: CatalogModel
    """With which it is searched afterwards."""
    before: CatalogModel
    cut: CutCounts | None = None


def list_anew(base: KnowledgeBase) -> Iterator[Anew]:
    """Yield for what a base can be embedded anew; nothing for one that is not searched yet."""
    live = base.live_index
    if live is None:
        return
    now = live.fingerprint.revision.model
    is_as_it_was = find_fingerprint(live.fingerprint.revision) == live.fingerprint
    cut = count_passages(documents_cut_otherwise(live))
    # Where the embedder reads otherwise by now, embedding anew is a move to another space.
    if cut.documents and is_as_it_was:
        yield Anew(What.PASSAGES, now, now, cut)
    engine, pinned = effective_engine(base.owner) if base.owner else engine_of_group(base.group)
    if engine is None:
        return
    embedder, revision = embedder_of(engine, pinned)
    if embedder != now or find_fingerprint(revision) != live.fingerprint:
        yield Anew(What.EMBEDDER, embedder, now)


class AnewView(KnowledgePage):
    """Makes the plan of it, which says what it means before anything begins."""

    def get(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Lead to the base; this address is only sent to."""
        return self.go("base", base_id=self.base(base_id).pk)

    def post(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Plan what was asked for, or go on with the plan begun before."""
        base = self.writable_base(base_id)
        asked = request.POST.get("what", "")
        chosen = next((one for one in list_anew(base) if one.what == asked), None)
        if chosen is None:
            messages.info(request, GONE)
            return self.go("base", base_id=base.pk)
        try:
            plan_id = begin_anew(base, chosen.embedder, actor=self.person)
        except SamError as error:
            messages.error(request, str(error))
            return self.go("base", base_id=base.pk)
        return self.go("migrate-meaning", plan_id=plan_id)
