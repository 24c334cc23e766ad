"""Engines as the library shows them: judged, with the state of their files, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q
from django.template.defaultfilters import filesizeformat

from engines.models import (
    CatalogModel,
    CopyStatus,
    EngineDefault,
    HostStatus,
    ModelCopy,
)
from engines.services.catalog.engine_options import EngineOption, HostPlace, engine_options
from engines.services.catalog.search.languages import languages_of
from engines.services.people.roles import is_curator, is_operator
from migrations_app.library import fold_statuses
from migrations_app.pages.engines.transfers import Transfer, file_plans, open_transfers
from migrations_app.signs import Tone
from migrations_app.states import PlanKind


@dataclass(frozen=True, slots=True)
class FitBadge:
    """Whether an engine runs on our hosts: two words, and a sentence."""

    label: str
    tone: Tone
    icon: str
    sentence: str


@dataclass(frozen=True, slots=True)
class EngineCard:
    """One engine in the library."""

    option: EngineOption
    fit: FitBadge
    status: str
    transfer: Transfer | None
    default_of: str
    """Whose default it is, as far as that concerns the reader; empty: nobody's."""

    @property
    def model(self) -> CatalogModel:
        """Return the entry."""
        return self.option.model

    @property
    def size(self) -> int:
        """Return the bytes of its file; 0 while they are not known."""
        return size_of(self.option.model)

    @property
    def languages(self) -> list[str]:
        """Return the languages that its curator named."""
        return languages_of(self.option.model.tags)


def size_of(model: CatalogModel) -> int:
    """Return the bytes of a model's file; 0 while they are not known."""
    revision = model.current_revision
    return (revision.file_size if revision is not None else 0) or model.file_size


def cards_for(person: User, models: Iterable[CatalogModel]) -> list[EngineCard]:
    """Return the data of a page of engines, in as many queries for all as for one."""
    options = engine_options(person, models)
    keys = [option.model.pk for option in options]
    statuses = _statuses(keys)
    fetching = open_transfers(file_plans(PlanKind.DOWNLOAD).filter(to_engine__in=keys))
    transfers = {transfer.plan.to_engine_id: transfer for transfer in fetching}
    defaults = _defaults(person, keys)
    return [
        EngineCard(
            option=option,
            fit=fit_of(option),
            status=_status(statuses[option.model.pk], transfers.get(option.model.pk)),
            transfer=transfers.get(option.model.pk),
            default_of=defaults[option.model.pk],
        )
        for option in options
    ]


def fit_of(option: EngineOption) -> FitBadge:
    """Say how an engine would run on the host that suits it best."""
    best = option.best
    if best is None:
        return FitBadge("No host", Tone.WARNING, "host", option.obstacle)
    if not option.fits:
        return FitBadge("Too large", Tone.WARNING, "warning", option.obstacle)
    return place_badge(best)


def place_badge(place: HostPlace) -> FitBadge:
    """Say how an engine would run on one host."""
    judged = place.judgement
    room = f"It needs {_about(judged.needs_bytes, is_guessed=judged.is_guessed)}"
    if judged.fits is None:
        sentence = f"Its size, or the memory of {place.host}, is not known yet."
        return FitBadge("Not known yet", Tone.NEUTRAL, "question", sentence)
    if not judged.fits:
        sentence = f"{room}; {place.host} has {filesizeformat(judged.has_bytes)} for engines."
        return FitBadge("Too large", Tone.WARNING, "warning", sentence)
    if not judged.where:
        sentence = "A server of its own runs it; it takes no room on our hosts."
        return FitBadge("Served", Tone.SUCCESS, "success", sentence)
    if judged.is_slow:
        sentence = f"{room}. On {place.host} each word is expected to take longer than you read."
        return FitBadge("Fits, slow", Tone.WARNING, "clock", sentence)
    label, where = _WHERE.get(judged.where, ("Fits", "in the memory of"))
    return FitBadge(label, Tone.SUCCESS, "success", f"{room} and runs {where} {place.host}.")


_WHERE = {
    "gpu": ("Fits a GPU", "on the GPU of"),
    "gpu_and_memory": ("Fits", "partly on the GPU of"),
}


def _about(size: int, *, is_guessed: bool) -> str:
    return f"{'about ' if is_guessed else ''}{filesizeformat(size)}"


def _statuses(keys: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    copies = ModelCopy.objects.filter(revision__model__in=keys)
    for copy in copies.exclude(host__status=HostStatus.RETIRED).select_related("revision"):
        found[copy.revision.model_id].append(copy.status)
    return found


def _status(statuses: Sequence[str], transfer: Transfer | None) -> str:
    folded = fold_statuses(statuses)
    if transfer is not None and folded != CopyStatus.DOWNLOADED:
        return CopyStatus.DOWNLOADING
    return folded


def _defaults(person: User, keys: Sequence[int]) -> dict[int, str]:
    rows = EngineDefault.objects.filter(engine__in=keys)
    if not (is_curator(person) or is_operator(person)):
        rows = rows.filter(Q(group=None) | Q(group__in=person.groups.all()))
    found: dict[int, str] = defaultdict(str)
    for key, group in rows.order_by("-group__name").values_list("engine", "group__name"):
        found[key] = f"Default of {group}" if group else "Default"
    return found
