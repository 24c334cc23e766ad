"""The backup of a person: sealed, read back, and kept even when the plan it was made for is cancelled."""

from __future__ import annotations

from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from engines.archive import ArchiveSummary, ArchiveWriter, verify_archive
from engines.exceptions import InvalidRequestError
from engines.files.artifacts import Artifact
from engines.files.private import private_folder
from engines.services.backups.members import MANIFEST, manifest_of, person_members
from engines.services.people.adapters import list_adapters
from engines.services.people.snapshot import one_moment
from migrations_app.models import Backup, Plan
from migrations_app.plans.backup_rules import has_rule, prune_backups_of, rule_for
from migrations_app.plans.transitions import Outcome
from migrations_app.states import PlanKind
from migrations_app.steps.base import StepContext, mark_halfway

MEMBERS_BEFORE_HALF = 8


def back_up(ctx: StepContext) -> Outcome:
    """Write, verify and store one archive of the person; a backup that is there is enough."""
    if ctx.plan.kind == PlanKind.RESTORE and not ctx.plan.replaces:
        mark_halfway(ctx)
        return Outcome("Nothing of the person is replaced, so there is nothing to keep.")
    if Backup.objects.filter(plan=ctx.plan).exists():
        return Outcome("The backup is already there and verified.")
    private_folder(ctx.scratch_dir)
    path = ctx.scratch_dir / f"backup-{ctx.plan.pk}-{ctx.claim.fence}.sealed"
    try:
        counts, summary = _write(ctx, path)
        ctx.progress(0.7, "Reading the backup back.")
        verify_archive(path, summary.wrapped_key, ctx.keys, checkpoint=ctx.checkpoint)
        artifact = ctx.store.put_file(path, kind="backups")
    finally:
        path.unlink(missing_ok=True)
    sentence = f"Backed up {sum(counts.values())} rows, {artifact.size / 1024:.0f} KiB, read back."
    return Outcome(
        sentence,
        {"size": artifact.size, "rows": counts},
        effects=lambda: _remember(ctx.plan, artifact, summary, counts),
    )


def _write(ctx: StepContext, path: Path) -> tuple[dict[str, int], ArchiveSummary]:
    counts: dict[str, int] = {}
    user = _person(ctx.plan)
    with_adapters = ctx.plan.backup_lora_adapters
    with (
        ArchiveWriter(path, ctx.keys.current, checkpoint=ctx.checkpoint) as archive,
        one_moment(),
    ):
        manifest = manifest_of(user, with_adapters=with_adapters, made_for=str(ctx.plan.pk))
        archive.add_json(MANIFEST, manifest)
        for number, member in enumerate(person_members(user, with_adapters=with_adapters)):
            archive.add_bytes(member.name, member.content)
            counts[member.table] = counts.get(member.table, 0) + member.count
            if number == MEMBERS_BEFORE_HALF:
                mark_halfway(ctx)
        if with_adapters:
            _add_adapter_files(ctx, user, archive)
        summary = archive.close()
    return counts, summary


def _person(plan: Plan) -> User:
    if plan.user is None:
        raise InvalidRequestError("Only a plan about a person can be backed up.")
    return plan.user


def _add_adapter_files(ctx: StepContext, user: User, archive: ArchiveWriter) -> None:
    # Two adapters may be of the same content.
    files = {adapter.sha256: adapter.artifact_key for adapter in list_adapters(user.pk)}
    for sha256, key in files.items():
        archive.add_file(f"adapters/{sha256}.gguf", ctx.store.local_path(key, ctx.scratch_dir))


def _remember(
    plan: Plan, artifact: Artifact, summary: ArchiveSummary, counts: dict[str, int]
) -> None:
    user = _person(plan)
    backup, is_new = Backup.objects.get_or_create(
        plan=plan,
        defaults={
            "user": user,
            "person_name": user.get_username(),
            "reason": _reason(plan),
            "artifact_key": artifact.key,
            "sha256": artifact.sha256,
            "file_size": artifact.size,
            "wrapped_key": summary.wrapped_key.to_text(),
            "contents": counts,
        },
    )
    if is_new:
        # After the row's own time: what reads as verified before it was made is not believed.
        backup.verified_at = timezone.now()
        backup.save(update_fields=["verified_at"])
    if is_new and has_rule(user):
        prune_backups_of(user, rule_for(user).keep)


def _reason(plan: Plan) -> Backup.Reason:
    match PlanKind(plan.kind):
        case PlanKind.RESTORE:
            return Backup.Reason.RESTORE
        case PlanKind.BACKUP:
            is_asked = plan.created_by_id is not None
            return Backup.Reason.ASKED if is_asked else Backup.Reason.SCHEDULE
        case _:
            return Backup.Reason.MIGRATION
