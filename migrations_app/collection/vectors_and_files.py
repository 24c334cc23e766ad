"""Vectors and files that nobody needs: they belong to no single row, so each is looked for in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min

from engines.files.artifacts import ArtifactStore, StoredFile
from engines.models import Fingerprint, ModelRevision
from engines.services.knowledge.erasure import drop_vectors, find_unneeded_vectors
from engines.transfer.part import list_parts, remove_abandoned_part
from migrations_app.collection.needed import needed_indexes
from migrations_app.collection.rules import Amount, Place
from migrations_app.models import Plan
from migrations_app.plans.artifact_use import ARCHIVES, is_named, named_keys
from migrations_app.states import PLAN_OPEN, PlanKind

ORPHANED = timedelta(days=1)
"""A file is stored before its row is written; no writer takes so long."""
ABANDONED = timedelta(days=7)
ADAPTERS = ("adapters/",)


class VectorRule:
    """Vectors of texts that were deleted, and of spaces in which nobody searches."""

    name = "vectors"
    why = "A vector is kept while a needed index of a base has a live text with it."

    def survey(self, place: Place) -> Amount:
        total = Amount()
        for space, bases in _spaces(place):
            for page in find_unneeded_vectors(space, bases):
                total += Amount(len(page.hashes), page.size)
        return total

    def collect(self, place: Place) -> Amount:
        total = Amount()
        for space, bases in _spaces(place):
            for page in find_unneeded_vectors(space, bases):
                if page.hashes:
                    total += Amount(drop_vectors(space, page.hashes, bases), page.size)
        return total


class StoreRule:
    """Files of the artifact store: replaced index files, and those of adapters, backups and people that are gone."""

    name = "files"
    why = (
        f"A file that no row names goes when it was stored {ORPHANED.days} day ago or earlier; a backup "
        "that is older than this database stays, to be found, and adapters that a restore read wait for "
        "its end."
    )

    def survey(self, place: Place) -> Amount:
        return self._look(place, remove=False)

    def collect(self, place: Place) -> Amount:
        return self._look(place, remove=True)

    def _look(self, place: Place, *, remove: bool) -> Amount:
        total, before = Amount(), place.now - ORPHANED
        for file in unneeded_files(place.store, before):
            # Asked again under the file's lock: a row may have been written since.
            gone = not remove or place.store.remove_unnamed(
                file.key, before=before, is_named=is_named
            )
            total += Amount(1, file.size) if gone else Amount()
        return total


class PartRule:
    """Unfinished downloads of this machine that no plan goes on with."""

    name = "parts"
    why = f"Half a file is kept while an open plan wants it, and {ABANDONED.days} days more."

    def survey(self, place: Place) -> Amount:
        return self._look(place, remove=False)

    def collect(self, place: Place) -> Amount:
        return self._look(place, remove=True)

    def _look(self, place: Place, *, remove: bool) -> Amount:
        total, before = Amount(), place.now - ABANDONED
        old = [part for part in list_parts(place.models_dir) if part.written_at < before]
        wanted = _wanted_digests(place.host_name) if old else set()
        for part in old:
            if part.sha256 not in wanted and (not remove or remove_abandoned_part(part.path)):
                total += Amount(1, part.size)
        return total


def unneeded_files(store: ArtifactStore, before: datetime) -> Iterator[StoredFile]:
    """Yield the files stored before then that no row names and nothing waits for, by their keys."""
    made: datetime = MigrationRecorder.Migration.objects.aggregate(at=Min("applied"))["at"]
    # A restore reads an archive's adapters into the store long before their rows are written.
    restores = Plan.objects.filter(kind=PlanKind.RESTORE, status__in=PLAN_OPEN).exists()
    waiting = ADAPTERS if restores else ()
    for page in store.pages():
        lying = (file for file in page if not file.key.startswith(waiting))
        old = {
            file.key: file
            for file in lying
            if file.stored_at < before and not _outlived_a_database(file, made)
        }
        for key in sorted(old.keys() - named_keys(old.keys())):
            yield old[key]


def _outlived_a_database(file: StoredFile, made: datetime) -> bool:
    """Whether a backup was there before this database: after a disaster nothing else is left of people."""
    return file.key.startswith(ARCHIVES) and file.stored_at < made


def _spaces(place: Place) -> list[tuple[int, list[int]]]:
    """Return each space with the bases that need it."""
    needed = needed_indexes(place.now)
    return [
        (space, list(needed.filter(fingerprint=space).values_list("base_id", flat=True)))
        for space in Fingerprint.objects.order_by("pk").values_list("pk", flat=True)
    ]


def _wanted_digests(host_name: str) -> set[str]:
    """Return the digests of the files that open plans of a host may still fetch."""
    plans = Plan.objects.filter(status__in=PLAN_OPEN, host__name=host_name)
    names = (
        *("to_revision", "embedder_revision", "from_revision", "rolls_back__from_revision"),
        "rolls_back__index_switches__from_index__fingerprint__revision",
    )
    keys = {key for row in plans.values_list(*names) for key in row if key is not None}
    # A model in several files has a part for each.
    revisions = ModelRevision.objects.filter(pk__in=keys).select_related("model")
    return {file.sha256 for revision in revisions for file in revision.files}
