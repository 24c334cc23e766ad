"""LoRA adapters: kept with their base, invalidated by a switch, valid again on the way back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from engines.artifacts import ArtifactStore
from engines.exceptions import AdapterMismatchError, ConflictError, InvalidRequestError
from engines.gguf.reader import read_header
from engines.models import AdapterStatus, LoraAdapter, ModelRevision

NOTES = "migration_notes"
INVALIDATED = "invalidated_by_migration"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,126}")


def adapter_add(
    user: User, name: str, base_revision: ModelRevision, path: Path, store: ArtifactStore
) -> LoraAdapter:
    """Keep a GGUF adapter of this person for one base model revision.

    Raises UnsafeModelFileError for a malformed file, AdapterMismatchError when its architecture is
    not the base's, ConflictError when the name is taken.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequestError("Name an adapter with letters, digits, spaces and . _ - only.")
    _check_kind(path, base_revision)
    artifact = store.put_file(path, kind="adapters")
    try:
        with transaction.atomic():
            return LoraAdapter.objects.create(
                user=user,
                name=name,
                base_revision=base_revision,
                artifact_key=artifact.key,
                sha256=artifact.sha256,
                file_size=artifact.size,
            )
    except IntegrityError as error:
        raise ConflictError(f"You already have an adapter called {name!r}.") from error


def _check_kind(path: Path, base_revision: ModelRevision) -> None:
    facts = read_header(path).facts()
    if not facts.is_adapter:
        raise InvalidRequestError(f"{path.name} is a GGUF file, but not a LoRA adapter.")
    expected = base_revision.facts.get("architecture")
    if expected and facts.architecture != expected:
        raise AdapterMismatchError(
            f"The adapter was trained on a {facts.architecture} model; "
            f"{base_revision.model.model_id} is {expected}."
        )


def adapters_of(user_id: int) -> list[LoraAdapter]:
    """Return all adapters of a person, valid or not."""
    return list(LoraAdapter.objects.filter(user_id=user_id).order_by("pk"))


def adapters_for(user_id: int, revision_id: int | None) -> list[LoraAdapter]:
    """Return the valid adapters of a person that belong to exactly this base."""
    return list(
        LoraAdapter.objects.filter(
            user_id=user_id, base_revision_id=revision_id, status=AdapterStatus.ACTIVE
        ).order_by("pk")
    )


def adapters_invalidate(
    user_id: int, *, keep: ModelRevision, plan_id: str, from_engine: str
) -> list[int]:
    """Invalidate a person's adapters of other bases, each with one note of this plan.

    Runs inside the switch. Returns the keys of those it changed.
    """
    changed = []
    adapters = LoraAdapter.objects.select_for_update(no_key=True).filter(
        user_id=user_id, status=AdapterStatus.ACTIVE
    )
    for adapter in adapters.exclude(base_revision=keep).order_by("pk"):
        note = _note(INVALIDATED, plan_id, from_engine=from_engine, to_engine=keep.model.model_id)
        _mark(adapter, AdapterStatus.INVALIDATED, note)
        changed.append(adapter.pk)
    return changed


def adapters_restore(adapter_ids: Sequence[int], *, plan_id: str) -> list[int]:
    """Make valid again what a switch invalidated; the notes stay as history."""
    restored = []
    adapters = LoraAdapter.objects.select_for_update(no_key=True).filter(
        pk__in=adapter_ids, status=AdapterStatus.INVALIDATED
    )
    for adapter in adapters.order_by("pk"):
        _mark(adapter, AdapterStatus.ACTIVE, _note("restored_by_rollback", plan_id))
        restored.append(adapter.pk)
    return restored


def _note(action: str, plan_id: str, **facts: str) -> dict[str, Any]:
    return {"action": action, "plan": plan_id, "at": timezone.now().isoformat(), **facts}


def _mark(adapter: LoraAdapter, status: AdapterStatus, note: dict[str, Any]) -> None:
    notes: Iterable[Any] = adapter.training_stats.get(NOTES, [])
    adapter.training_stats = {**adapter.training_stats, NOTES: [*notes, note]}
    adapter.status = status
    adapter.save(update_fields=["training_stats", "status"])
