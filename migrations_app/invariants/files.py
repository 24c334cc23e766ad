"""Files: everything that a row names is there, whole, and nothing that no row names is left for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.utils import timezone

from engines.archive import WrappedKey, check_key
from engines.exceptions import ArchiveError, ArtifactMissingError, UnsafeNameError
from engines.files.artifacts import ArtifactStore
from engines.models import CopyStatus, LoraAdapter, ModelCopy, VectorIndex
from engines.services.backups.keys import backup_keys
from engines.services.catalog.copies import is_present
from migrations_app.collection.vectors_and_files import unneeded_files
from migrations_app.invariants.findings import PAGE, Finding, Surroundings
from migrations_app.models import Backup
from migrations_app.plans.artifact_use import is_named

LEFT_BEHIND = timedelta(days=3)
"""Twice and more what a collector that works lets a file lie; whoever finds an older one has none."""

Named = tuple[int, str, str, int | None]
"""A row's key, the file it names, its SHA-256 and its size; None where the row keeps no size."""


def find_broken_index_files(around: Surroundings) -> Iterator[Finding]:
    """The file of each index is in the store, and its bytes are those of its digest."""
    rows = VectorIndex.objects.exclude(file_key="").order_by("pk")
    found = rows.values_list("pk", "file_key", "file_sha256").iterator(chunk_size=PAGE)
    remedy = "Search its base once: that reports the damage, and keeping up builds the file again."
    named = ((pk, key, sha256, None) for pk, key, sha256 in found)
    yield from _broken(around, "index", named, remedy)


def find_broken_adapter_files(around: Surroundings) -> Iterator[Finding]:
    """The file of each adapter is in the store, with its size and digest."""
    rows = LoraAdapter.objects.order_by("pk")
    found = rows.values_list("pk", "artifact_key", "sha256", "file_size")
    remedy = "Restore it from the person's backup, or have them upload it again."
    yield from _broken(around, "adapter", found.iterator(chunk_size=PAGE), remedy)


def find_broken_backup_files(around: Surroundings) -> Iterator[Finding]:
    """The archive of each backup is in the store, with its size and digest."""
    rows = Backup.objects.order_by("pk")
    found = rows.values_list("pk", "artifact_key", "sha256", "file_size")
    remedy = "Bring the store's file back from a copy of the store, or make a new backup."
    yield from _broken(around, "backup", found.iterator(chunk_size=PAGE), remedy)


def find_backups_that_nobody_can_open(around: Surroundings) -> Iterator[Finding]:
    """The archive of each backup opens with a backup key of this installation."""
    rows = Backup.objects.order_by("pk").values_list("pk", "artifact_key", "wrapped_key")
    for pk, key, wrapped in rows.iterator(chunk_size=PAGE):
        try:
            with around.store.open(key) as archive:
                check_key(archive.read, WrappedKey.from_text(wrapped), backup_keys())
        except (ArtifactMissingError, UnsafeNameError):
            # Another rule says that it is not there.
            continue
        except ArchiveError as error:
            yield Finding(
                f"backup {pk}",
                str(error),
                "Name the older key in SAM_BACKUP_OLD_KEYS, or have the person backed up anew.",
            )


def find_broken_model_files(around: Surroundings) -> Iterator[Finding]:
    """Each model that this host counts as downloaded is there, with its size."""
    rows = ModelCopy.objects.filter(status=CopyStatus.DOWNLOADED, host__name=around.host_name)
    rows = rows.select_related("revision__model", "host").order_by("pk")
    for copy in rows.iterator(chunk_size=PAGE):
        if not is_present(copy):
            yield Finding(
                f"copy {copy.pk}: {copy.path}",
                f"{copy.revision} counts as downloaded, and is not there with its size.",
                f"Have it looked at and fetched again: sam download verify {copy.revision.model.model_id}",
            )


def find_files_left_behind(around: Surroundings) -> Iterator[Finding]:
    """What no row names has been collected."""
    for file in unneeded_files(around.store, timezone.now() - LEFT_BEHIND):
        yield Finding(
            f"file {file.key}",
            f"No row names it ({file.size} bytes, stored {file.stored_at:%F}).",
            "The collector has not run for days: see that a control worker and its beat do.",
        )


def _broken(
    around: Surroundings, what: str, rows: Iterable[Named], remedy: str
) -> Iterator[Finding]:
    for pk, key, sha256, size in rows:
        problem = _problem(around.store, key, sha256, size, read=around.read_files)
        # A file that was replaced meanwhile may be gone: only what a row names now is missing.
        if problem and is_named(key):
            yield Finding(f"{what} {pk}", problem, remedy)


def _problem(store: ArtifactStore, key: str, sha256: str, size: int | None, *, read: bool) -> str:
    if not key.endswith(f"/{sha256}"):
        return f"It names the file {key}, whose digest is not the row's {sha256}."
    try:
        found = store.size(key)
        if size not in (None, found):
            return f"The file {key} has {found} bytes, the row says {size}."
        if read:
            store.verify(key)
    except (ArtifactMissingError, UnsafeNameError) as error:
        return str(error)
    return ""
