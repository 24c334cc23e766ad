"""LoRA adapters: kept with their base, invalidated by a switch, valid again on the way back."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from engines.exceptions import AdapterMismatchError, ConflictError, InvalidRequestError
from engines.files.artifacts import ArtifactStore
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.peft import MAX_CONFIG_BYTES, convert_peft
from engines.gguf.reader import read_header
from engines.models import AdapterStatus, CatalogModel, LoraAdapter, ModelRevision
from engines.services.catalog.headers import header_of, local_header
from engines.services.people.limits import require_room

NOTES = "migration_notes"
INVALIDATED = "invalidated_by_migration"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,126}")


@dataclass(frozen=True, slots=True)
class PeftFiles:
    """What PEFT saves: ``adapter_config.json``, and where ``adapter_model.safetensors`` lies."""

    config: bytes
    weights: Path


@dataclass(frozen=True, slots=True)
class Retraining:
    """Since which migration an adapter needs retraining; ``since`` is ISO 8601."""

    migration_id: str
    since: str
    from_engine: str
    to_engine: str


def store_adapter(
    user: User, name: str, base_revision: ModelRevision, path: Path, store: ArtifactStore
) -> LoraAdapter:
    """Keep a GGUF adapter of this person for one base model revision.

    Raises UnsafeModelFileError for a malformed file, AdapterMismatchError when its architecture is
    not the base's or, where the base lies on this host, when it changes no tensor of the base or one
    of another shape, ConflictError when the name is taken, LimitReachedError.
    """
    _check_wish(user, name, base_revision)
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


def import_adapter(
    user: User,
    name: str,
    base_revision: ModelRevision,
    peft: PeftFiles,
    store: ArtifactStore,
) -> LoraAdapter:
    """Convert an adapter that PEFT saved for a base model revision, and keep it.

    Raises what ``store_adapter`` and ``convert_peft`` raise, and what asking the Hub for the base's
    header raises when this host has no copy of it.
    """
    _check_wish(user, name, base_revision)
    with tempfile.TemporaryDirectory(prefix="sam-adapter-") as folder:
        path = Path(folder) / "adapter.gguf"
        convert_peft(peft.config, peft.weights, header_of(base_revision), path)
        return store_adapter(user, name, base_revision, path, store)


def keep_upload(
    user: User, name: str, base_revision: ModelRevision, path: Path, config: IO[bytes] | None
) -> LoraAdapter:
    """Keep an adapter that was sent: in GGUF, or with PEFT's configuration as PEFT saved it.

    Raises what ``store_adapter`` and ``import_adapter`` raise.
    """
    store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
    if config is None:
        return store_adapter(user, name, base_revision, path, store)
    # One byte more than is allowed, so that a longer one is refused and not cut.
    text = config.read(MAX_CONFIG_BYTES + 1)
    return import_adapter(user, name, base_revision, PeftFiles(text, path), store)


def _check_wish(user: User, name: str, base_revision: ModelRevision) -> None:
    if not NAME.fullmatch(name):
        raise InvalidRequestError("Name an adapter with letters, digits, spaces and . _ - only.")
    require_room("adapters", LoraAdapter.objects.filter(user=user))
    model = base_revision.model
    if model.runtime != CatalogModel.FILE_RUNTIME:
        raise InvalidRequestError(
            f"{model.model_id} runs on {model.runtime}, which takes no adapters of its own; choose a "
            f"model of the runtime {CatalogModel.FILE_RUNTIME}."
        )


def _check_kind(path: Path, base_revision: ModelRevision) -> None:
    header = read_header(path)
    facts = header.facts()
    if not facts.is_adapter:
        raise InvalidRequestError(f"{path.name} is a GGUF file, but not a LoRA adapter.")
    expected = base_revision.facts.get("architecture")
    if expected and facts.architecture != expected:
        raise AdapterMismatchError(
            f"The adapter was trained on a {facts.architecture} model; "
            f"{base_revision.model.model_id} is {expected}."
        )
    base = local_header(base_revision)
    if base is not None:
        check_adapter_fits(header, base)


def list_adapters(user_id: int) -> list[LoraAdapter]:
    """Return all adapters of a person, valid or not."""
    return list(LoraAdapter.objects.filter(user_id=user_id).order_by("pk"))


def adapters_for(user_id: int, revision_id: int | None) -> list[LoraAdapter]:
    """Return the valid adapters of a person that belong to exactly this base."""
    rows = LoraAdapter.objects.filter(
        user_id=user_id, base_revision_id=revision_id, status=AdapterStatus.ACTIVE
    )
    return list(rows.select_related("base_revision").order_by("pk"))


def adapters_with(adapter_ids: Sequence[int]) -> list[LoraAdapter]:
    """Return the adapters with these keys; without keys nothing is asked."""
    if not adapter_ids:
        return []
    rows = LoraAdapter.objects.filter(pk__in=adapter_ids)
    return list(rows.select_related("base_revision").order_by("pk"))


def set_enabled(adapter_id: int, *, enabled: bool) -> LoraAdapter:
    """Let an adapter be loaded or not; its file stays.

    ConflictError for one that a migration invalidated: only the way back makes it valid again.
    """
    with transaction.atomic():
        adapter = LoraAdapter.objects.select_for_update(no_key=True).get(pk=adapter_id)
        if adapter.status == AdapterStatus.INVALIDATED:
            raise ConflictError(
                f"{adapter.name} was trained on another engine than the one in use; retrain it for "
                "this engine, or take the migration back."
            )
        adapter.status = AdapterStatus.ACTIVE if enabled else AdapterStatus.DISABLED
        adapter.save(update_fields=["status"])
    return adapter


def retraining_of(adapter: LoraAdapter) -> Retraining | None:
    """Return the migration that left an adapter behind; None while it is valid."""
    if adapter.status != AdapterStatus.INVALIDATED:
        return None
    notes = [
        note for note in adapter.training_stats.get(NOTES, []) if note.get("action") == INVALIDATED
    ]
    last = notes[-1] if notes else {}
    names = ("plan", "at", "from_engine", "to_engine")
    return Retraining(*(str(last.get(name, "")) for name in names))


def invalidate_adapters(
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


def restore_adapters(adapter_ids: Sequence[int], *, plan_id: str) -> list[int]:
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
