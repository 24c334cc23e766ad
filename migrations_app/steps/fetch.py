"""Getting, checking and removing models on a host: files, folders, and what a server runs for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from engines.exceptions import (
    ConflictError,
    DigestMismatchError,
    EngineError,
    FetchedElsewhereError,
    InvalidRequestError,
    SamError,
)
from engines.files.private import private_folder
from engines.models import CopyStatus, Host, ModelCopy, ModelRevision
from engines.services.catalog.copies import (
    copy_files,
    copy_mark,
    copy_of,
    copy_path,
    is_needed_by_another,
    is_present,
    mark_downloaded,
    mark_present,
    refuse_unsafe,
    remote_files,
    require_disk_limit,
    shared_places,
)
from engines.services.catalog.hub import hub_token
from engines.services.catalog.shapes import remember_abilities
from engines.services.catalog.speeds import note_download_speed
from engines.services.catalog.unfetched import verify_folder, verify_server
from engines.sharing.links import remove_name
from engines.specs import ModelSource
from engines.transfer.download import download
from engines.transfer.limits import Disk
from engines.transfer.part import missing_bytes
from engines.transfer.remote_file import DEFAULT_OPTIONS, Progress, RemoteFile
from engines.transfer.verify import Content, verify_file
from migrations_app.models import Plan
from migrations_app.plans.plan_revisions import list_needed_revisions
from migrations_app.plans.revision_needs import require_unneeded
from migrations_app.plans.time_left import Amount
from migrations_app.plans.transitions import LeaseLostError, Outcome
from migrations_app.steps.base import (
    DrainingError,
    StepContext,
    YieldedError,
    mark_halfway,
    required_host,
)

MIB = 1024 * 1024
TURN_SECONDS = 300.0
"""So long bytes come before others have a turn; who goes on has to read again what is here."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a model came here: bytes over the network, and sentences for people."""

    fetched: int
    notes: tuple[str, ...] = ()
    had_to_come: bool = True
    """False for what was there already, as a server and a folder are."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the step's bytes one model is: those before it, and all of them."""

    before: int = 0
    total: int = 0

    def fraction(self, done: int = 0) -> float:
        """Return how far the step is when so many bytes of the model are here."""
        return min((self.before + done) / max(self.total, 1), 1.0)


def fetch_engine(ctx: StepContext) -> Outcome:
    """Bring the target and its embedder to this host; what is there and verified is left alone.

    A server is asked each time, because nobody but it knows what it runs.
    """
    return fetch_models(ctx, list_needed_revisions(ctx.plan))


def bring_missing(ctx: StepContext) -> None:
    """Bring what the plan needs and this host lacks: the plan was moved here, or a file was removed."""
    host = required_host(ctx)
    absent = [r for r in list_needed_revisions(ctx.plan) if not is_present(copy_of(r, host))]
    for revision, share in _shares(ctx, absent):
        _fetch(ctx, revision, share)


def download_model(ctx: StepContext) -> Outcome:
    """Bring one model to this host: the only step of a download plan."""
    revision = ctx.plan.to_revision
    return fetch_models(ctx, [revision] if revision is not None else [])


def fetch_models(ctx: StepContext, revisions: list[ModelRevision]) -> Outcome:
    """Bring models to this host; what is there and verified is left alone."""
    arrivals = {}
    for number, (revision, share) in enumerate(_shares(ctx, revisions)):
        if number == len(revisions) // 2:
            mark_halfway(ctx)
        arrivals[revision.model.model_id] = _fetch(ctx, revision, share)
    return Outcome(
        _summarize(arrivals), {"bytes_fetched": {n: a.fetched for n, a in arrivals.items()}}
    )


def _shares(ctx: StepContext, revisions: list[ModelRevision]) -> list[tuple[ModelRevision, Share]]:
    """Return each model with its part of the bytes that have to come."""
    host = required_host(ctx)
    sizes = [_bytes_to_fetch(revision, host) for revision in revisions]
    return [
        (revision, Share(sum(sizes[:number]), sum(sizes)))
        for number, revision in enumerate(revisions)
    ]


def _bytes_to_fetch(revision: ModelRevision, host: Host) -> int:
    if revision.source != ModelSource.FILE or is_present(copy_of(revision, host)):
        return 0
    return revision.file_size


def _summarize(arrivals: dict[str, Arrival]) -> str:
    moved = sum(arrival.fetched for arrival in arrivals.values())
    came = [name for name, arrival in arrivals.items() if arrival.had_to_come]
    fetched = [f"Fetched {', '.join(came)}: {moved / MIB:.1f} MiB."] if came else []
    notes = [note for arrival in arrivals.values() for note in arrival.notes]
    if not arrivals:
        return "The plan needs no model file."
    return " ".join([*fetched, *notes]) or f"{', '.join(arrivals)} already here and verified."


def _fetch(ctx: StepContext, revision: ModelRevision, share: Share) -> Arrival:
    copy = copy_of(revision, required_host(ctx))
    refuse_unsafe(copy)
    was_present = is_present(copy)
    if was_present and revision.source != ModelSource.SERVER:
        return Arrival(0, had_to_come=False)
    if not was_present:
        copy_mark(copy, CopyStatus.DOWNLOADING)
    try:
        return BRING[ModelSource(revision.source)](ctx, copy, share)
    except DigestMismatchError as error:
        copy_mark(copy, CopyStatus.CORRUPTED, error=str(error))
        raise
    except (LeaseLostError, DrainingError, YieldedError, FetchedElsewhereError):
        # Somebody else fetches it now, or will in a moment; the row is theirs.
        raise
    except SamError as error:
        if not was_present:
            copy_mark(copy, CopyStatus.NOT_DOWNLOADED, error=str(error))
        raise


def _transfer(ctx: StepContext, copy: ModelCopy, share: Share) -> Arrival:
    revision = copy.revision
    if revision.is_at_no_hub:
        raise InvalidRequestError(
            f"{revision.model.model_id} was added from a file and cannot be fetched; run "
            f"`sam catalog add FILE` on {required_host(ctx).name}."
        )
    destination = copy_path(ctx.models_dir, revision)
    private_folder(destination.parent)
    paths = [path for path, _ in copy_files(destination, revision)]
    files = list(zip(paths, remote_files(revision), strict=True))
    require_disk_limit(required_host(ctx), revision)
    _require_room(files)
    before, fetched, notes = 0, 0, list[str]()
    # Engines open the first part: it comes last, so that whoever finds it finds the others too.
    for path, remote in reversed(files):
        arrival = _transfer_file(ctx, revision, FileToBring(path, remote, before), share)
        before, fetched = before + remote.size, fetched + arrival.fetched
        notes += arrival.notes
    remember_abilities(revision, destination)
    mark_downloaded(copy, destination, revision.sha256)
    return Arrival(fetched, tuple(notes))


@dataclass(frozen=True, slots=True)
class FileToBring:
    """One file of a model: where it goes, where it comes from, and the bytes of the model before it."""

    path: Path
    remote: RemoteFile
    before: int


def _transfer_file(
    ctx: StepContext, revision: ModelRevision, file: FileToBring, share: Share
) -> Arrival:
    """Link one file to what another program has of it, else download it."""
    remote = file.remote
    content = Content(remote.sha256 or "", remote.size)
    is_part = len(revision.files) > 1
    first_byte_at: float | None = None

    def report(progress: Progress) -> None:
        nonlocal first_byte_at
        done, total = file.before + progress.done, revision.file_size
        detail = f"{revision.model.model_id}: {done / MIB:.1f} of {total / MIB:.1f} MiB"
        amount = Amount(share.before + done, share.total, "bytes", progress.phase)
        ctx.progress(share.fraction(done), detail, amount)
        if progress.phase == "downloading":
            first_byte_at = first_byte_at or time.monotonic()
            if time.monotonic() - first_byte_at > TURN_SECONDS:
                ctx.give_way()

    source = shared_places().adopt(file.path, content, progress=report, cancelled=_watch(ctx))
    if source is not None:
        what = f"{file.path.name} of {revision}" if is_part else str(revision)
        return Arrival(0, (f"{what} is one file with {source}.",))
    started = time.monotonic()
    result = download(
        remote,
        file.path,
        progress=report,
        cancelled=_watch(ctx),
        token=hub_token(remote.url),
    )
    note_download_speed(
        required_host(ctx), size=result.bytes_fetched, seconds=time.monotonic() - started
    )
    return Arrival(result.bytes_fetched, _offer_to_neighbours(result.path, revision, remote))


def _require_room(files: Sequence[tuple[Path, RemoteFile]]) -> None:
    """Raise DiskFullError before the first byte of a model in parts that the disk cannot hold whole."""
    missing = 0
    for path, remote in files if len(files) > 1 else ():
        content = Content(remote.sha256 or "", remote.size)
        if not shared_places().find(content):
            missing += missing_bytes(path, content)
    if missing:
        Disk(files[0][0].parent, DEFAULT_OPTIONS).require(missing)


def _read_folder(ctx: StepContext, copy: ModelCopy, share: Share) -> Arrival:
    def report(done: int) -> None:
        ctx.progress(share.fraction(), f"{copy.revision.model.model_id}: {done / MIB:.1f} MiB read")

    folder = verify_folder(copy.revision, ctx.models_dir, report)
    mark_downloaded(copy, folder, copy.revision.sha256)
    return Arrival(
        0, (f"{copy.revision} is the folder {copy.revision.model.folder}.",), had_to_come=False
    )


def _meet_server(ctx: StepContext, copy: ModelCopy, share: Share) -> Arrival:
    model = copy.revision.model
    ctx.progress(share.fraction(), f"Asking {model.endpoint} for {model.remote_name}.")
    verify_server(copy.revision, ctx.engine)
    mark_present(copy, model.remote_name, copy.revision.sha256)
    return Arrival(0, (f"{copy.revision} is served at {model.endpoint}.",), had_to_come=False)


BRING: dict[ModelSource, Callable[[StepContext, ModelCopy, Share], Arrival]] = {
    ModelSource.FILE: _transfer,
    ModelSource.FOLDER: _read_folder,
    ModelSource.SERVER: _meet_server,
}


def _offer_to_neighbours(
    path: Path, revision: ModelRevision, remote: RemoteFile
) -> tuple[str, ...]:
    if not settings.SAM_SHARE_MODELS:
        return ()
    return tuple(shared_places().offer(path, remote, branch=revision.model.wanted_revision))


def verify_model(ctx: StepContext) -> Outcome:
    """Hash the file again; a changed one becomes corrupted, an absent one missing."""
    copy = _copy_of_plan(ctx.plan, required_host(ctx))
    if copy.revision.source == ModelSource.SERVER:
        return _verify_server(ctx, copy)
    path = Path(copy.path)
    if not copy.path or not _is_whole(copy):
        return Outcome(
            f"{copy.revision} is missing on this host; download it again.",
            effects=lambda: copy_mark(copy, CopyStatus.MISSING, error="The file is gone."),
        )
    mark_halfway(ctx)
    try:
        _verify(ctx, copy)
    except DigestMismatchError as error:
        sentence = str(error)
        return Outcome(
            sentence, effects=lambda: copy_mark(copy, CopyStatus.CORRUPTED, error=sentence)
        )
    return Outcome(
        f"{copy.revision} is intact.",
        effects=lambda: mark_downloaded(copy, path, copy.revision.sha256),
    )


def _is_whole(copy: ModelCopy) -> bool:
    """Whether the folder is there, or each file."""
    path = Path(copy.path)
    if copy.revision.source == ModelSource.FOLDER:
        return path.is_dir()
    return all(part.is_file() for part, _ in copy_files(path, copy.revision))


def _verify_server(ctx: StepContext, copy: ModelCopy) -> Outcome:
    """Ask it; one that cannot be reached is asked again later, one that says no is not used."""
    mark_halfway(ctx)
    try:
        verify_server(copy.revision, ctx.engine)
    except (EngineError, InvalidRequestError) as error:
        sentence = str(error)
        return Outcome(
            sentence, effects=lambda: copy_mark(copy, CopyStatus.CORRUPTED, error=sentence)
        )
    model = copy.revision.model
    return Outcome(
        f"{copy.revision} is served as before.",
        effects=lambda: mark_present(copy, model.remote_name, copy.revision.sha256),
    )


def _verify(ctx: StepContext, copy: ModelCopy) -> None:
    if copy.revision.source == ModelSource.FOLDER:
        _read_folder(ctx, copy, Share())
        return

    before, total = 0, copy.revision.file_size

    def report(progress: Progress) -> None:
        amount = Amount(before + progress.done, total, "bytes", progress.phase)
        ctx.progress(amount.done / max(total, 1), f"Hashing {copy.revision}.", amount)

    for path, file in copy_files(Path(copy.path), copy.revision):
        verify_file(
            path, sha256=file.sha256, size=file.size, progress=report, cancelled=_watch(ctx)
        )
        before += file.size


def _watch(ctx: StepContext) -> Callable[[], bool]:
    """Return what a transfer asks while it waits for a server: it raises when the step must stop."""

    def must_stop() -> bool:
        ctx.checkpoint()
        return False

    return must_stop


def delete_model(ctx: StepContext) -> Outcome:
    """Remove a model's file from this host; RevisionNeededError while anything needs it.

    A folder was put there by somebody, who removes it.
    """
    copy = _copy_of_plan(ctx.plan, required_host(ctx))
    require_unneeded(copy.revision)
    path = copy.path
    mark_halfway(ctx)
    copy_mark(copy, CopyStatus.NOT_DOWNLOADED)
    if not path:
        return Outcome(f"{copy.revision} was not on this host.")
    if copy.revision.source != ModelSource.FILE:
        return Outcome(f"This host uses {copy.revision} no more; what runs or holds it stays.")
    if is_needed_by_another(copy, path):
        return Outcome(f"{copy.revision} is deleted; another model here is the same file.")
    freed = sum(remove_name(file) for file, _ in copy_files(Path(path), copy.revision))
    told = f"{copy.revision} is deleted from this host: {freed / MIB:.1f} MiB are free again."
    return Outcome(told, {"bytes_freed": freed})


def _copy_of_plan(plan: Plan, host: Host) -> ModelCopy:
    if plan.to_revision is None:
        raise ConflictError("The plan names no model file; make a new one.")
    return copy_of(plan.to_revision, host)
