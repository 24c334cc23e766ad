"""The front door to the model library: catalog, downloads, deletion, verification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TypedDict

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django.utils import timezone

from engines.exceptions import ConflictError, NotFoundError
from engines.models import CatalogModel, CopyStatus, Host, HostStatus, ModelCopy, ModelRevision
from engines.services.catalog.copies import clear_unsafe
from engines.services.catalog.entries import catalog_visible_to, get_model
from engines.services.catalog.exchange import (
    CatalogDocument,
    ImportOptions,
    ImportReport,
    export_catalog,
    import_catalog,
)
from engines.services.catalog.local_files import AddedModel, add_local_model
from engines.services.catalog.resolving import pinned_revision
from engines.services.catalog.starter.entries import starter_catalog
from engines.services.catalog.starter.prompts import write_missing_prompts
from engines.services.catalog.usage import count_usage
from engines.services.hosts import find_host
from engines.services.people.roles import AnyUser, is_curator, is_operator
from engines.services.people.withdrawals import telling_of_withdrawals
from engines.specs import DownloadedModel, ModelInfo
from migrations_app.controller import SYSTEM
from migrations_app.models import Plan
from migrations_app.plans.planning import choose_host, plan_for_file
from migrations_app.plans.revision_needs import needs_of, require_unneeded
from migrations_app.plans.transitions import (
    request_cancel,
    request_pause,
    resume_plan,
    start_plan,
)
from migrations_app.states import PLAN_OPEN, PlanKind, PlanStatus
from migrations_app.trials import Trial, ask_model

FOLD_ORDER = (
    CopyStatus.DOWNLOADED,
    CopyStatus.DOWNLOADING,
    CopyStatus.UNSAFE,
    CopyStatus.CORRUPTED,
    CopyStatus.MISSING,
)


class DownloadProgress(TypedDict):
    """Where a download is."""

    plan: str
    host: str | None
    status: str
    progress_percentage: float
    detail: str


class ModelLibraryManager:
    """The seed's manager; where it names no host, every host is meant."""

    def get_available_models(self) -> list[ModelInfo]:
        """Return what is published in the catalog."""
        return [model.as_info() for model in CatalogModel.objects.filter(published=True)]

    def get_downloaded_models(self) -> list[DownloadedModel]:
        """Return every verified copy on every host."""
        copies = ModelCopy.objects.filter(status=CopyStatus.DOWNLOADED)
        return [_downloaded(copy) for copy in copies.select_related("revision__model")]

    def get_model_status(self, model_id: str) -> str:
        """Fold the copies of all hosts: downloaded if any has it verified, and so on down."""
        model = get_model(model_id)
        copies = ModelCopy.objects.filter(revision__model=model)
        return fold_statuses(copies.values_list("status", flat=True))

    def download_model(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> bool:
        """Start a download; True when one runs or the file is there."""
        self.start_download(model_id, host=host, actor=actor)
        return True

    def start_download(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> Plan:
        """Start a download and return its plan; an open one for the same file is returned instead.

        One that is paused goes on.
        """
        revision = pinned_revision(get_model(model_id))
        chosen = _host(host) if host else choose_host([revision])
        return _start(PlanKind.DOWNLOAD, revision, chosen, actor)

    def get_download_progress(self, model_id: str) -> DownloadProgress | None:
        """Return where the newest open download is, None when there is none."""
        plan = _open_plans(get_model(model_id), PlanKind.DOWNLOAD).last()
        if plan is None:
            return None
        step = plan.steps.get()
        return {
            "plan": plan.migration_id,
            "host": plan.host.name if plan.host else None,
            "status": plan.status,
            "progress_percentage": round(100 * step.progress, 1),
            "detail": step.detail,
        }

    def cancel_download(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> bool:
        """Cancel the open downloads of a model, on one host or all; False when there was none.

        What has arrived stays on the host, and the next download goes on from there.
        """
        running = _open_plans(get_model(model_id), PlanKind.DOWNLOAD)
        plans = list(running.filter(host__name=host) if host else running)
        for plan in plans:
            request_cancel(plan.pk, who=actor.username if actor else SYSTEM)
        return bool(plans)

    def pause_download(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> bool:
        """Pause the running downloads of a model, on one host or all; False when none runs.

        What has arrived stays on the host, whose worker is free for other work meanwhile.
        """
        return _each_download(request_pause, PlanStatus.IN_PROGRESS, model_id, host, actor)

    def resume_download(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> bool:
        """Have the paused downloads of a model go on, on one host or all; False when none is paused."""
        return _each_download(resume_plan, PlanStatus.PAUSED, model_id, host, actor)

    def delete_model(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> bool:
        """Start deleting copies of what nobody needs, of one host or all; False when there is no copy.

        RevisionNeededError names who needs it when all of it is needed; then nothing is started.
        """
        copies = list(_copies_there(model_id, host))
        unneeded = [copy for copy in copies if not needs_of(copy.revision)]
        if copies and not unneeded:
            require_unneeded(copies[0].revision)
        return _start_each(PlanKind.DELETE, unneeded, actor)

    def verify_model(
        self, model_id: str, *, host: str | None = None, actor: User | None = None
    ) -> bool:
        """Start hashing copies again, of one host or all; False when there is none."""
        return _start_each(PlanKind.VERIFY, _copies_there(model_id, host), actor)

    def clear_unsafe(self, model_id: str, *, host: str | None = None) -> bool:
        """Let copies that crashed an engine be used again, of one host or all; False if there is none."""
        unsafe = ModelCopy.objects.filter(
            revision__model=get_model(model_id), status=CopyStatus.UNSAFE
        ).select_related("revision__model", "host")
        chosen = list(unsafe.filter(host__name=host) if host else unsafe)
        for copy in chosen:
            clear_unsafe(copy)
        return bool(chosen)

    def try_model(
        self, model_id: str, question: str, *, host: str | None = None, actor: User | None = None
    ) -> Trial:
        """Ask a model a question on one host before it is offered, and say how fast it was there.

        Without a host the first that has its file. Nothing is kept; the tokens count for the actor.
        Raises what ``trials.ask_model`` raises.
        """
        return ask_model(get_model(model_id), question, host_name=host, actor=actor)

    def delete_entry(self, model_id: str) -> None:
        """Delete an entry that was never used: no file of it, no plan, nobody's engine, no index.

        ConflictError says who or what stands on it; it can be unpublished instead.
        """
        model = get_model(model_id)
        try:
            with transaction.atomic():
                model.revisions.filter(copies__isnull=True).delete()
                model.delete()
        except ProtectedError as error:
            kinds = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
            raise ConflictError(
                f"{model_id} cannot be deleted: {count_usage(model).sentence} It stands in "
                f"{', '.join(kinds)}. Unpublish it, so that nobody can move to it any more."
            ) from error

    def import_catalog(
        self, document: Mapping[str, object], *, overwrite: bool = False, confirmed: bool = False
    ) -> ImportReport:
        """Write the entries of a catalog in the seed's JSON; bad ones are reported.

        An entry that is there stays as its curators made it unless ``overwrite``; what moves the
        vectors of people also has to be ``confirmed``.
        """
        with telling_of_withdrawals():
            return import_catalog(document, ImportOptions(overwrite, confirmed))

    def add_file(self, path: Path, fields: Mapping[str, object]) -> AddedModel:
        """Add a GGUF model that lies on this machine, and put it into this host's store.

        ``fields`` are those of an entry that the file does not say, or says otherwise. Raises
        InvalidRequestError, ConflictError, UnsafeModelFileError, ArtifactMissingError, DiskFullError,
        NotFoundError where this machine is no host; then nothing is written.
        """
        return add_local_model(path, fields, _this_host())

    def export_catalog(self) -> CatalogDocument:
        """Return the catalog in the seed's JSON."""
        return export_catalog()

    def _create_default_catalog(
        self, *, overwrite: bool = False, confirmed: bool = False
    ) -> ImportReport:
        """Write the starter catalog that SAM ships; entries that are there stay unless ``overwrite``.

        Prompts of its families are written where there are none, and never over a curator's.
        """
        report = import_catalog(starter_catalog(), ImportOptions(overwrite, confirmed))
        report.prompts = write_missing_prompts()
        return report


def _this_host() -> Host:
    name = settings.SAM_HOST_NAME
    host = Host.objects.filter(name=name).first()
    if host is None:
        known = ", ".join(Host.objects.order_by("name").values_list("name", flat=True)[:5])
        raise NotFoundError(
            f"This machine is no host of SAM under the name {name!r:.80}; there is {known or 'none yet'}. Run it "
            "on one, with the SAM_HOST_NAME of its workers."
        )
    return host


@cache
def get_model_library_manager() -> ModelLibraryManager:
    """Return the one manager of this process; it holds no state."""
    return ModelLibraryManager()


def catalog_shown_to(user: AnyUser) -> QuerySet[CatalogModel]:
    """Return what a person may look at: what they may use, and for curators and operators everything."""
    if is_curator(user) or is_operator(user):
        return CatalogModel.objects.all()
    return catalog_visible_to(user)


def fold_statuses(statuses: Iterable[str]) -> str:
    """Return the status of a model from those of its copies: downloaded if any is, and so on down."""
    found = set(statuses)
    return str(next((s for s in FOLD_ORDER if s in found), CopyStatus.NOT_DOWNLOADED))


def _copies_there(model_id: str, host: str | None = None) -> QuerySet[ModelCopy]:
    gone = [CopyStatus.NOT_DOWNLOADED, CopyStatus.DOWNLOADING]
    there = ModelCopy.objects.filter(revision__model=get_model(model_id))
    there = there.filter(host__name=host) if host else there
    copies = there.exclude(status__in=gone).exclude(host__status=HostStatus.RETIRED)
    return copies.select_related("revision__model", "host")


def _start_each(kind: PlanKind, copies: Iterable[ModelCopy], actor: User | None) -> bool:
    plans = [_start(kind, copy.revision, copy.host, actor) for copy in copies]
    return bool(plans)


def _start(kind: PlanKind, revision: ModelRevision, host: Host, actor: User | None) -> Plan:
    running = Plan.objects.filter(
        kind=kind, to_revision=revision, host=host, status__in=PLAN_OPEN
    ).first()
    plan = running or plan_for_file(kind, revision, host, actor=actor)
    who = actor.username if actor else SYSTEM
    if plan.status == PlanStatus.PAUSED:
        return resume_plan(plan.pk, who=who)
    return start_plan(plan.pk, who=who)


def _each_download(
    ask: Callable[..., Plan],
    status: PlanStatus,
    model_id: str,
    host: str | None,
    actor: User | None,
) -> bool:
    found = _open_plans(get_model(model_id), PlanKind.DOWNLOAD).filter(status=status)
    plans = list(found.filter(host__name=host) if host else found)
    for plan in plans:
        ask(plan.pk, who=actor.username if actor else SYSTEM)
    return bool(plans)


def _open_plans(model: CatalogModel, kind: PlanKind) -> QuerySet[Plan]:
    return Plan.objects.filter(kind=kind, to_engine=model, status__in=PLAN_OPEN).order_by(
        "created_at"
    )


def _host(name: str) -> Host:
    host = find_host(name)
    if host.status != HostStatus.ACTIVE:
        raise ConflictError(f"The host {name} is {host.status}; choose an active one.")
    return host


def _downloaded(copy: ModelCopy) -> DownloadedModel:
    model = copy.revision.model
    return DownloadedModel(
        model_id=model.model_id,
        local_path=copy.path,
        downloaded_at=copy.downloaded_at or timezone.now(),
        file_size=copy.file_size,
        checksum=copy.checksum,
        model_info=model.as_info(),
        status=copy.status,
    )
