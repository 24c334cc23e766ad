"""The backup before any change: sealed, read back, and kept even when the plan is cancelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from engines.archive import ArchiveSummary, ArchiveWriter, verify_archive
from engines.exceptions import InvalidRequestError
from engines.files.artifacts import Artifact
from engines.files.private import private_folder
from engines.services.people.adapters import list_adapters
from engines.services.people.snapshot import one_moment, person_members
from migrations_app.models import Backup, Plan
from migrations_app.plans.transitions import Outcome
from migrations_app.steps.base import StepContext, mark_halfway

FORMAT = "sam-backup-1"
MEMBERS_BEFORE_HALF = 8


def back_up(ctx: StepContext) -> Outcome:
    """Write, verify and store one archive of the person; a backup that is there is enough."""
    if Backup.objects.filter(plan=ctx.plan).exists():
        return Outcome("The backup is already there and verified.")
    private_folder(ctx.scratch_dir)
    path = ctx.scratch_dir / f"backup-{ctx.plan.pk}-{ctx.claim.fence}.sealed"
    try:
        counts, summary = _write(ctx, path)
        ctx.progress(0.7, "Reading the backup back.")
        verify_archive(path, summary.wrapped_key, ctx.keys)
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
    with ArchiveWriter(path, ctx.keys.current) as archive, one_moment():
        archive.add_json("format", {"format": FORMAT, "plan": str(ctx.plan.pk)})
        for number, (name, rows) in enumerate(person_members(user, with_adapters=with_adapters)):
            archive.add_bytes(f"rows/{name}.json", _json(rows))
            table = name.split("/")[0]
            counts[table] = counts.get(table, 0) + len(rows)
            ctx.checkpoint()
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


def _json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, cls=DjangoJSONEncoder).encode()


def _add_adapter_files(ctx: StepContext, user: User, archive: ArchiveWriter) -> None:
    for adapter in list_adapters(user.pk):
        local = ctx.store.local_path(adapter.artifact_key, ctx.scratch_dir)
        archive.add_file(f"adapters/{adapter.sha256}.gguf", local)
        ctx.checkpoint()


def _remember(
    plan: Plan, artifact: Artifact, summary: ArchiveSummary, counts: dict[str, int]
) -> None:
    Backup.objects.get_or_create(
        plan=plan,
        defaults={
            "user": _person(plan),
            "artifact_key": artifact.key,
            "sha256": artifact.sha256,
            "file_size": artifact.size,
            "wrapped_key": summary.wrapped_key.to_text(),
            "contents": counts,
            "verified_at": timezone.now(),
        },
    )
