"""The engines a person may move to, each as it would be for this person on our hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.contrib.auth.models import User
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.db.models.expressions import RawSQL

from engines.db.prepared import Parameter, PreparedQuery
from engines.machine import Machine
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostStatus,
    KnowledgeBase,
    ModelCopy,
    ModelRevision,
    ModelRole,
)
from engines.services.catalog.capabilities import Capabilities, capabilities_of
from engines.services.catalog.entries import catalog_visible_to, catalog_visible_to_each
from engines.services.catalog.fit import Judgement, judge_alone, machine_of
from engines.services.catalog.search.library import search_words, with_held
from engines.services.engine_choice import with_engine_choice

JUDGED = 8192
"""Answers kept in a process: an engine and a machine that did not change are not judged again."""
MAX_LIBRARY = 500
"""Engines that a process keeps judged; a larger catalog is read a page at a time."""
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class HostPlace:
    """An engine on one host."""

    host: str
    judgement: Judgement
    has_file: bool
    tokens_per_second: float | None

    @property
    def rank(self) -> tuple[bool, bool, bool, bool]:
        """Order places: where it fits, quickly, with its file there, with a GPU."""
        return (
            self.judgement.fits is False,
            self.judgement.is_slow,
            not self.has_file,
            not self.judgement.where.startswith("gpu"),
        )


@dataclass(frozen=True, slots=True)
class EngineOption:
    """An engine as a person may choose it; ``places`` are the active hosts, the best first."""

    model: CatalogModel
    capabilities: Capabilities
    places: Sequence[HostPlace]
    is_current: bool
    keeps_embedder: bool
    """Whether the person's knowledge stays as it is."""

    @property
    def best(self) -> HostPlace | None:
        """Return the host that suits it best; None while no host is active."""
        return self.places[0] if self.places else None

    @property
    def fits(self) -> bool:
        """Whether some host may have room for it; what is not known yet is not held against it."""
        return self.best is not None and self.best.judgement.fits is not False

    @property
    def obstacle(self) -> str:
        """Return why it cannot be chosen; empty when it can."""
        if self.best is None:
            return "No host is active at the moment."
        if self.fits:
            return ""
        largest = max((place.judgement for place in self.places), key=lambda one: one.has_bytes)
        return (
            f"It needs {largest.needs_bytes / GIB:.1f} GiB; the largest host has "
            f"{largest.has_bytes / GIB:.1f} GiB for engines."
        )

    @property
    def measured(self) -> HostPlace | None:
        """Return the best host on which its speed was measured."""
        return next((place for place in self.places if place.tokens_per_second), None)

    @property
    def is_recommended(self) -> bool:
        """Whether a curator recommends it and it runs well here."""
        best = self.best
        return bool(self.model.recommended and self.fits and best and not best.judgement.is_slow)

    @property
    def reasons(self) -> list[str]:
        """Return what speaks for it, in a few words each."""
        found = ["Recommended by your organisation"] if self.model.recommended else []
        best = self.best
        if best is not None and self.fits:
            if best.judgement.where == "gpu":
                found.append(f"runs on the GPU of {best.host}")
            if best.has_file:
                found.append(f"its file is on {best.host} already")
        if self.keeps_embedder:
            found.append("your knowledge stays as it is")
        return found


def choosable_engines(user: User, wanted: str = "") -> QuerySet[CatalogModel]:
    """Return the chat engines that a person may use, searched by name, family, licence or tag.

    The recommended ones come first, then those that some host has, then all by name.
    """
    return _in_order(search_words(catalog_visible_to(user).filter(role=ModelRole.CHAT), wanted))


def _in_order(rows: QuerySet[CatalogModel]) -> QuerySet[CatalogModel]:
    related = with_held(rows).select_related("current_revision", "embedding_model")
    return related.order_by("-recommended", "-is_held", "display_name", "model_id")


def engine_options(user: User, models: Iterable[CatalogModel]) -> list[EngineOption]:
    """Judge engines for a person: in as many questions for all as for one."""
    person: Any = _chooser.first(user.pk)
    return [_for_person(option, person) for option in _judge_all(list(models))]


def all_engine_options(user: User) -> list[EngineOption] | None:
    """Return what a person may choose from, in its order; None when the catalog is too large for that.

    What is the same for everybody is kept by this process until anything of it changes: one statement
    tells that, together with what is the person's own.
    """
    person: Any = _person.first(user.pk)
    library = _library(person.library) if person is not None else None
    if library is None:
        return None
    visible = set(person.visible)
    return [_for_person(option, person) for option in library if option.model.pk in visible]


# Any new version of a row changes the sum; of hosts only what is judged counts, not each heartbeat.
_LIBRARY_VERSION = """concat_ws(' ',
    (SELECT concat(count(*), '.', sum(hashtext(concat(xmin, ctid))::bigint)) FROM engines_catalogmodel),
    (SELECT concat(count(*), '.', sum(hashtext(concat(xmin, ctid))::bigint)) FROM engines_modelrevision),
    (SELECT concat(count(*), '.', sum(hashtext(concat(xmin, ctid))::bigint)) FROM engines_modelcopy),
    (SELECT sum(hashtext(concat_ws('|', id, name, status, cores, memory_bytes, vram_bytes, gpus::text)
        )::bigint) FROM engines_host))"""


@PreparedQuery
def _person(user: Parameter) -> QuerySet[User]:
    """What of the choice is a person's own: what they may see, use, and search with."""
    visible = catalog_visible_to_each(OuterRef("pk")).filter(role=ModelRole.CHAT).order_by()
    return _with_use(user).annotate(
        visible=ArraySubquery(visible.values("pk")),
        library=RawSQL(_LIBRARY_VERSION, ()),  # noqa: S611 - a fixed text
    )


@PreparedQuery
def _chooser(user: Parameter) -> QuerySet[User]:
    """The same without what is read of the whole catalog, for a page of it."""
    return _with_use(user)


def _with_use(user: Parameter) -> QuerySet[User]:
    bases = KnowledgeBase.objects.filter(owner=OuterRef("pk"), live_index__isnull=False).order_by()
    people = with_engine_choice(User.objects.filter(pk=user)).only("pk")
    return people.annotate(
        embedders=ArraySubquery(bases.values("live_index__fingerprint__revision__model"))
    )


def _for_person(option: EngineOption, person: Any) -> EngineOption:
    model = option.model
    is_chosen = person is not None and model.pk == person.chosen_engine
    return EngineOption(
        model=model,
        capabilities=option.capabilities,
        places=option.places,
        is_current=is_chosen and person.chosen_revision in (None, model.current_revision_id),
        keeps_embedder=person is not None and set(person.embedders) == {model.embedder.pk},
    )


@lru_cache(maxsize=2)
def _library(_version: str) -> list[EngineOption] | None:
    models = list(_in_order(CatalogModel.objects.filter(role=ModelRole.CHAT))[: MAX_LIBRARY + 1])
    return None if len(models) > MAX_LIBRARY else _judge_all(models)


def _judge_all(models: Sequence[CatalogModel]) -> list[EngineOption]:
    """Judge engines for nobody in particular."""
    places = _places(models)
    return [
        EngineOption(
            model=model,
            capabilities=capabilities_of(model),
            places=places[model.pk],
            is_current=False,
            keeps_embedder=False,
        )
        for model in models
    ]


def _places(models: Sequence[CatalogModel]) -> Mapping[int, Sequence[HostPlace]]:
    hosts = list(Host.objects.filter(status=HostStatus.ACTIVE))
    machines = {host.pk: replace(machine_of(host), disk_free_bytes=0) for host in hosts}
    copies = _copies([model.current_revision_id for model in models])
    return {
        model.pk: sorted(
            (
                _place(
                    model, host, machines[host.pk], copies[model.current_revision_id].get(host.pk)
                )
                for host in hosts
            ),
            key=lambda place: place.rank,
        )
        for model in models
    }


def _copies(revisions: Iterable[int | None]) -> Mapping[int | None, Mapping[int, ModelCopy]]:
    found: dict[int | None, dict[int, ModelCopy]] = defaultdict(dict)
    wanted = [key for key in revisions if key is not None]
    for copy in ModelCopy.objects.filter(revision__in=wanted):
        found[copy.revision_id][copy.host_id] = copy
    return found


def _place(model: CatalogModel, host: Host, machine: Machine, copy: ModelCopy | None) -> HostPlace:
    revision = model.current_revision
    if revision is not None:
        revision.model = model
    return HostPlace(
        host=host.name,
        judgement=_judged(
            _Question(model.pk, model.updated_at, _version(revision), machine, model)
        ),
        has_file=copy is not None and copy.status == CopyStatus.DOWNLOADED,
        tokens_per_second=copy.tokens_per_second if copy is not None else None,
    )


def _version(revision: ModelRevision | None) -> tuple[int, bool] | None:
    """Return what tells two readings of a revision apart: a shape is read once and stays."""
    return None if revision is None else (revision.pk, bool(revision.shape))


@dataclass(frozen=True, slots=True)
class _Question:
    model_key: int
    edited: datetime
    revision: tuple[int, bool] | None
    machine: Machine
    model: CatalogModel = field(compare=False)


@lru_cache(JUDGED)
def _judged(asked: _Question) -> Judgement:
    return judge_alone(asked.model, asked.model.current_revision, asked.machine)
