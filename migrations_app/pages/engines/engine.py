"""/engines/<model_id>/: one engine, what it would be for the reader, and its files for operators."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from engines.exceptions import SamError
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostStatus,
    ModelCopy,
    ModelRole,
)
from engines.services.catalog.engine_options import HostPlace
from engines.services.catalog.entries import is_offered
from engines.services.catalog.hub import hub_of
from engines.services.people.preferences import leaves_something_behind, preference_of
from engines.services.people.roles import is_curator, is_operator
from engines.specs import ModelSource
from migrations_app.api.problems import status_of
from migrations_app.pages.base import PageView
from migrations_app.pages.components import Link
from migrations_app.pages.engines.cards import EngineCard, FitBadge, cards_for, place_badge
from migrations_app.pages.engines.parts import SECTION, engine_shown_to, is_staff_here
from migrations_app.pages.engines.transfers import Transfer, file_plans, open_transfers
from migrations_app.states import PlanKind, PlanStatus

FILE_KINDS = (PlanKind.DOWNLOAD, PlanKind.VERIFY, PlanKind.DELETE)
MAX_HOSTS = 200


@dataclass(frozen=True, slots=True)
class HostFitLine:
    """How an engine would run on one host."""

    place: HostPlace
    badge: FitBadge


@dataclass(frozen=True, slots=True)
class FileLine:
    """An engine's file on one host, and what is being done with it."""

    host: Host
    copy: ModelCopy | None
    older: int
    """Files of revisions before."""
    work: Transfer | None
    refusal: str

    @property
    def status(self) -> str:
        """Return the state of the current revision's file."""
        if self.work is not None and self.work.plan.kind == PlanKind.DOWNLOAD:
            return PlanStatus.PAUSED if self.work.is_paused else CopyStatus.DOWNLOADING
        return str(self.copy.status) if self.copy is not None else CopyStatus.NOT_DOWNLOADED

    @property
    def is_there(self) -> bool:
        """Whether there is something to verify or delete."""
        gone = (CopyStatus.NOT_DOWNLOADED, CopyStatus.DOWNLOADING)
        return bool(self.older) or (self.copy is not None and self.copy.status not in gone)

    @property
    def may_download(self) -> bool:
        """Whether the file can be fetched to this host."""
        good = self.copy is not None and self.copy.status in (
            CopyStatus.DOWNLOADED,
            CopyStatus.UNSAFE,
        )
        return self.work is None and not good and self.host.status == HostStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class WayThere:
    """How a reader gets to this engine: at once, by a move, or not at all."""

    is_current: bool
    at_once: bool
    by_move: bool
    version: int
    """Of the reader's preference: who chooses at once says what they saw."""


def way_there(card: EngineCard, person: User) -> WayThere:
    """Say how the reader may come to use an engine."""
    model, option = card.model, card.option
    preference = preference_of(person)
    current = option.is_current and preference.engine_id == model.pk
    open_to = model.role == ModelRole.CHAT and is_offered(person, model) and not current
    is_ready = model.current_revision is not None and (
        model.source == ModelSource.SERVER or any(place.has_file for place in option.places)
    )
    at_once = (
        open_to and is_ready and not leaves_something_behind(person, model, model.current_revision)
    )
    return WayThere(
        is_current=option.is_current,
        at_once=at_once,
        by_move=open_to and not at_once and not option.is_current,
        version=preference.version,
    )


def file_lines(model: CatalogModel, refused: str, refusal: str) -> list[FileLine]:
    """Return a model's files by host: every host that could have it, or has something of it."""
    copies: dict[int, list[ModelCopy]] = defaultdict(list)
    for copy in ModelCopy.objects.filter(revision__model=model):
        copies[copy.host_id].append(copy)
    work = {
        transfer.plan.host_id: transfer
        for transfer in open_transfers(file_plans(*FILE_KINDS).filter(to_engine=model))
    }
    hosts = Host.objects.exclude(status=HostStatus.RETIRED).order_by("name")[:MAX_HOSTS]
    gone = (CopyStatus.NOT_DOWNLOADED, CopyStatus.DOWNLOADING)
    lines = []
    for host in hosts:
        held = copies[host.pk]
        current = next((c for c in held if c.revision_id == model.current_revision_id), None)
        older = sum(c is not current and c.status not in gone for c in held)
        sentence = refusal if refused == host.name else ""
        lines.append(FileLine(host, current, older, work.get(host.pk), sentence))
    return lines


class EngineView(PageView):
    """The page of an engine; one that is not the reader's to see is not there."""

    section: ClassVar[str] = SECTION
    template_name: ClassVar[str] = "pages/engines/engine.html"
    part_name: ClassVar[str] = "pages/engines/files.html"
    follows_plans: ClassVar[bool] = True

    def get(self, request: HttpRequest, model_id: str) -> HttpResponse:
        """Show it."""
        return self.show(engine_shown_to(self.person, model_id))

    def show(
        self, model: CatalogModel, *, refusal: SamError | None = None, host: str = ""
    ) -> HttpResponse:
        """Show an engine, with why the last wish about it was refused beside what it was about."""
        (card,) = cards_for(self.person, [model])
        staff, operates = is_staff_here(self.person), is_operator(self.person)
        sentence = str(refusal) if refusal else ""
        places = card.option.places if staff else ()
        lines = file_lines(model, host, sentence) if operates else []
        placed = any(line.refusal for line in lines)
        context: dict[str, Any] = {
            "title": model.display_name,
            "card": card,
            "model": model,
            "option": card.option,
            "way": way_there(card, self.person),
            "host_fits": [HostFitLine(place, place_badge(place)) for place in places],
            "files": lines,
            "is_working": any(line.work for line in lines),
            "is_operator": operates,
            "is_staff_here": staff,
            "publisher": model.huggingface_repo.partition("/")[0],
            "publisher_page": _publisher_page(model),
            "refusal": "" if placed else sentence,
            "crumbs": [Link("Engines", reverse("engines"))],
            "admin_page": _admin_page(model) if is_curator(self.person) else "",
        }
        return self.render(context, status=status_of(refusal) if refusal else 200)


def _publisher_page(model: CatalogModel) -> str:
    if not model.huggingface_repo:
        return ""
    return f"{hub_of(model).rstrip('/')}/{model.huggingface_repo}"


def _admin_page(model: CatalogModel) -> str:
    return reverse("admin:engines_catalogmodel_change", args=[model.pk])
