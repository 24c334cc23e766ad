"""Putting a backup back: read to its end first, then written in one transaction, then indexed anew."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from engines.archive import ArchiveSummary, MemberStream, WrappedKey
from engines.exceptions import ArchiveError, InvalidRequestError
from engines.files.private import private_folder
from engines.models import KnowledgeBase, ModelRevision, VectorIndex
from engines.services.backups.archives import SealedFile, store_adapter_file, walk_archive
from engines.services.backups.restoring import Restorer, RestoreReport, has_belongings
from engines.services.catalog.resolving import pinned_revision
from engines.services.engine_choice import effective_engine
from engines.services.knowledge.documents import adopt_index
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.keep_up import keep_up
from engines.services.people.roles import is_administrator
from migrations_app.models import Backup, Plan
from migrations_app.plans.transitions import Outcome
from migrations_app.steps.base import ChangedByOthersError, StepContext, mark_halfway
from migrations_app.steps.fetch import fetch_models


def read_archive(ctx: StepContext) -> Outcome:
    """Prove the archive whole and bring its adapters' files into the store; no row is written yet.

    Raises ArchiveError for a damaged one or one of another key, ArtifactMissingError when it is gone.
    """
    counts: dict[str, int] = {}
    backup = _backup_of(ctx.plan)
    mark_halfway(ctx)

    def take_rows(table: str, rows: list[Any]) -> None:
        counts[table] = counts.get(table, 0) + len(rows)
        ctx.progress(0.5, f"Read {sum(counts.values())} rows.")

    def take_file(member: MemberStream) -> None:
        store_adapter_file(member, ctx.store, ctx.scratch_dir)

    summary = walk_archive(_sealed(ctx, backup), take_rows, take_file, checkpoint=ctx.checkpoint)
    require_same(backup, summary)
    return Outcome(
        f"The backup is whole: {sum(counts.values())} rows, {summary.size / 1024:.0f} KiB.",
        {"rows": counts},
        effects=lambda: _note_verified(backup),
    )


def put_back(ctx: StepContext) -> Outcome:
    """Write everything in one transaction, which is the plan's point of no return."""
    backup = _backup_of(ctx.plan)
    sealed = _sealed(ctx, backup)
    mark_halfway(ctx)
    effects = partial(_put_back, ctx.plan, backup, sealed, ctx)
    return Outcome("Everything was put back in one transaction.", effects=effects)


def index_anew(ctx: StepContext) -> Outcome:
    """Fetch the person's engine and embedder to this host, and embed what was put back."""
    person = ctx.plan.user
    mark_halfway(ctx)
    if person is None:
        raise InvalidRequestError("The person of this plan was deleted meanwhile.")
    revisions = _revisions_in_use(person)
    if not revisions:
        return Outcome(
            "The person has no engine here yet; what they have is indexed with its first."
        )
    # Whoever asks what this plan fetches finds it in its row, as of other plans.
    Plan.objects.filter(pk=ctx.plan.pk).update(
        to_revision=revisions[0], embedder_revision=revisions[-1]
    )
    fetched = fetch_models(ctx, revisions)
    bases = list(KnowledgeBase.objects.filter(owner=person).order_by("pk"))
    for number, base in enumerate(bases):
        ctx.progress(
            0.5 + 0.5 * number / len(bases), f"Indexing base {number + 1} of {len(bases)}."
        )
        index = adopt_index(base.pk)
        if index is not None:
            _index(ctx, index.pk)
    return Outcome(f"{fetched.sentence} {len(bases)} knowledge bases indexed.", fetched.result)


def require_same(backup: Backup, summary: ArchiveSummary) -> None:
    """Raise ArchiveError when what was read is not the archive that the record describes."""
    if summary.sha256 != backup.sha256:
        raise ArchiveError(
            "The archive in the store is not the one that this backup's record describes; use another "
            "backup."
        )


def _backup_of(plan: Plan) -> Backup:
    if plan.restores is None:
        raise InvalidRequestError("The backup of this plan was deleted; choose another one.")
    return plan.restores


def _sealed(ctx: StepContext, backup: Backup) -> SealedFile:
    folder = private_folder(ctx.scratch_dir)
    path: Path = ctx.store.local_path(backup.artifact_key, folder)
    return SealedFile(path, WrappedKey.from_text(backup.wrapped_key), ctx.keys)


def _note_verified(backup: Backup) -> None:
    Backup.objects.filter(pk=backup.pk).update(verified_at=timezone.now())


def _put_back(plan: Plan, backup: Backup, sealed: SealedFile, ctx: StepContext) -> None:
    person = plan.user or _new_person(plan)
    restorer = Restorer(
        person,
        joins_groups=plan.created_by is not None and is_administrator(plan.created_by),
        has_file=ctx.store.exists,
        why=f"Restored from backup {backup.pk}.",
    )
    if plan.replaces:
        restorer.clear()
    elif has_belongings(person):
        raise ChangedByOthersError(
            f"{person.get_username()} has got something of their own since this plan was made; make a "
            "new one that replaces it (--replace)."
        )
    walk_archive(sealed, restorer.take)
    _remember(plan, backup, person, restorer.finish())


def _new_person(plan: Plan) -> User:
    """Make the person whom nobody can sign in as before an administrator gives a way in."""
    name = plan.restores_into
    try:
        with transaction.atomic():
            return User.objects.create_user(name)
    except IntegrityError as error:
        raise ChangedByOthersError(
            f"The user name {name} was taken meanwhile; make a new plan with another one."
        ) from error


def _remember(plan: Plan, backup: Backup, person: User, report: RestoreReport) -> None:
    plan.user = person
    plan.to_engine, plan.to_revision = report.engine, report.revision
    plan.switched = {"restored": report.counts, "left": report.left}
    plan.save(update_fields=["user", "to_engine", "to_revision", "switched"])
    # An archive that was found is this person's from now on: an administrator said so.
    Backup.objects.filter(pk=backup.pk, user=None).update(user=person)


def _revisions_in_use(person: User) -> list[ModelRevision]:
    engine, revision = effective_engine(person)
    if engine is None:
        return []
    revisions = [revision or pinned_revision(engine)]
    if engine.embedder != engine:
        revisions.append(pinned_revision(engine.embedder))
    return revisions


def _index(ctx: StepContext, index_id: int) -> None:
    index = VectorIndex.objects.select_related("fingerprint__revision__model").get(pk=index_id)
    space = index.fingerprint
    with ctx.embedder(space.revision, spec_of(space)) as embedder:
        keep_up(index_id, embedder, ctx.store, ctx.scratch_dir, lambda _done: ctx.checkpoint())
