"""Model files on hosts: the rows that say what is where, written by whoever holds the file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from engines.exceptions import (
    ConflictError,
    DiskFullError,
    InvalidRequestError,
    UnsafeModelFileError,
)
from engines.files.names import safe_join
from engines.fit.embedding import DEFAULT_TEXT_TOKENS
from engines.gguf.parts import read_model_header
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision
from engines.services.catalog.hub import hub_of, require_repository
from engines.sharing.places import SharedPlaces
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec, ModelFile, ModelSource
from engines.transfer.folders import folder_size
from engines.transfer.hub import pinned_file
from engines.transfer.remote_file import RemoteFile

FACTS = (
    "architecture",
    "context_length",
    "embedding_length",
    "pooling",
    "block_count",
    "vocab_size",
    "quantization",
)


def copy_path(models_dir: Path, revision: ModelRevision) -> Path:
    """Return where a host keeps a revision's first or only file: by digest, so equal models are one."""
    return safe_join(models_dir, f"{revision.sha256}/{Path(revision.files[0].name).name}")


def copy_files(first: Path, revision: ModelRevision) -> list[tuple[Path, ModelFile]]:
    """Return where each file of a revision lies when its first or only one is ``first``."""
    return [
        (first if number == 0 else first.with_name(Path(file.name).name), file)
        for number, file in enumerate(revision.files)
    ]


def copy_of(revision: ModelRevision, host: Host) -> ModelCopy:
    """Return the row of a revision on a host, created at first need."""
    copy, _ = ModelCopy.objects.get_or_create(revision=revision, host=host)
    return copy


def is_present(copy: ModelCopy) -> bool:
    """Whether the verified file is still there with its size; a look, not a re-hash.

    A server is not asked: its engine tells when it is gone.
    """
    if copy.status != CopyStatus.DOWNLOADED:
        return False
    path, source = Path(copy.path), copy.revision.source
    if source == ModelSource.SERVER:
        return True
    if source == ModelSource.FOLDER:
        return path.is_dir() and folder_size(path) == copy.revision.file_size
    return all(
        part.is_file() and part.stat().st_size == file.size
        for part, file in copy_files(path, copy.revision)
    )


def copy_mark(copy: ModelCopy, status: CopyStatus, *, error: str = "") -> None:
    """Write a status other than downloaded; an unsafe copy stays so unless its bytes are wrong."""
    copy.refresh_from_db(fields=["status", "error"])
    if copy.status == CopyStatus.UNSAFE and status != CopyStatus.CORRUPTED:
        copy.path = ""
        copy.save(update_fields=["path"])
        return
    copy.status, copy.error = status, error
    copy.save(update_fields=["status", "error"])


def mark_unsafe(path: str, host_name: str, reason: str) -> int:
    """Have a file of a host never loaded again until an operator says so; returns how many copies.

    ``reason`` is the sentence of the crash or the timeout. What a server runs is never marked.
    """
    held = ModelCopy.objects.filter(path=path, host__name=host_name, status=CopyStatus.DOWNLOADED)
    held = held.exclude(revision__source=ModelSource.SERVER)
    return held.update(status=CopyStatus.UNSAFE, error=reason)


def refuse_unsafe(copy: ModelCopy) -> None:
    """Raise UnsafeModelFileError when this copy crashed an engine and nobody cleared it since."""
    if copy.status == CopyStatus.UNSAFE:
        raise UnsafeModelFileError(
            f"{copy.revision} is marked unsafe on {copy.host.name} and is not used there: "
            f"{copy.error} An operator can clear the mark; another host or model works meanwhile."
        )


def clear_unsafe(copy: ModelCopy) -> None:
    """Let an unsafe copy be used again; ConflictError when it is not marked."""
    held = ModelCopy.objects.filter(pk=copy.pk, status=CopyStatus.UNSAFE)
    gone = held.filter(path="").update(status=CopyStatus.NOT_DOWNLOADED, error="")
    if not gone + held.exclude(path="").update(status=CopyStatus.DOWNLOADED, error=""):
        raise ConflictError(f"{copy.revision} is not marked unsafe on {copy.host.name}.")
    copy.refresh_from_db(fields=["status", "error"])


def mark_downloaded(copy: ModelCopy, path: Path, sha256: str) -> None:
    """Record a verified file or folder, and what a file's header says; unsafe stays unsafe."""
    if copy.revision.source == ModelSource.FILE:
        _remember_facts(copy.revision, path)
    mark_present(copy, str(path), sha256)


def mark_present(copy: ModelCopy, path: str, checksum: str) -> None:
    """Record what was verified to be there, at a path or by a server's name; unsafe stays unsafe."""
    copy.refresh_from_db(fields=["status", "error"])
    now = timezone.now()
    copy.path, copy.checksum, copy.file_size = path, checksum, copy.revision.file_size
    if copy.status != CopyStatus.UNSAFE:
        copy.status, copy.error = CopyStatus.DOWNLOADED, ""
    copy.downloaded_at = copy.downloaded_at or now
    copy.verified_at = now
    copy.save()


def _remember_facts(revision: ModelRevision, path: Path) -> None:
    if revision.facts:
        return
    stated = asdict(read_model_header(path).facts())
    facts = {name: stated[name] for name in FACTS}
    facts["chat_template"] = bool(stated["chat_template"])
    ModelRevision.objects.filter(pk=revision.pk).update(facts=facts)
    revision.facts = facts
    if not revision.model.context_length:
        revision.model.context_length = facts["context_length"] or 0
        revision.model.save(update_fields=["context_length"])


def shared_places() -> SharedPlaces:
    """Return where other programs of this host keep weights."""
    return SharedPlaces(settings.HF_HUB_CACHE, settings.OLLAMA_MODELS)


def is_needed_by_another(copy: ModelCopy, path: str) -> bool:
    """Whether another model's row on this host is the same file: equal content has one path."""
    same = ModelCopy.objects.filter(host=copy.host, path=path).exclude(pk=copy.pk)
    return same.filter(status__in=(CopyStatus.DOWNLOADED, CopyStatus.UNSAFE)).exists()


def remote_files(revision: ModelRevision) -> list[RemoteFile]:
    """Return where the files of a pinned revision are fetched from, the first part first.

    That is where they were found, though the entry moved on. InvalidRequestError where no hub has them.
    """
    model = revision.model
    repository = require_repository(model, revision.repository)
    return [
        pinned_file(
            repository,
            file.name,
            commit=revision.commit,
            size=file.size,
            sha256=file.sha256,
            endpoint=hub_of(model),
        )
        for file in revision.files
    ]


def text_limit(model: CatalogModel, trained: int) -> int:
    """Return the longest text that an entry embeds, in tokens; ``trained`` is 0 where nobody knows.

    A server's own limit is what its entry says; of a file it is the curator's, else the default.
    """
    if model.source == ModelSource.SERVER:
        return trained
    return min(model.passage_tokens or DEFAULT_TEXT_TOKENS, trained or DEFAULT_TEXT_TOKENS)


def engine_spec(
    revision: ModelRevision,
    path: str,
    *,
    embedding: EmbeddingSpec | None = None,
    adapters: tuple[AdapterSpec, ...] = (),
) -> EngineSpec:
    """Return what a runtime needs to start a revision that lies at ``path``.

    ``path`` is a file, a folder, or the name a server gives the model.
    """
    if not path:
        raise InvalidRequestError(f"{revision} is not on this host; download it first.")
    model = revision.model
    lengths = (model.context_length, int(revision.facts.get("context_length") or 0))
    settings_of_entry = model.compute_settings()
    if embedding is not None:
        # It moves vectors, so that the space decides and not what the entry says by now.
        settings_of_entry["use_flash_attention"] = embedding.flash_attention
    return EngineSpec(
        engine_id=model.model_id,
        model_name=model.display_name,
        model_path=path,
        family=model.model_family,
        runtime=model.runtime,
        # A curator may give less than the model can, to save memory.
        context_length=min(filter(None, lengths), default=0),
        threads=settings.SAM_ENGINE_THREADS,
        adapters=adapters,
        model_sha256=revision.sha256 if revision.source == ModelSource.FILE else "",
        embedding=embedding,
        endpoint=model.endpoint,
        **settings_of_entry,
    )


ON_DISK = (CopyStatus.DOWNLOADED, CopyStatus.DOWNLOADING)


def free_disk_of(host: Host) -> int:
    """Return the bytes that a host may still fill with model files."""
    most = host.parsed_limits().disk_bytes
    if not most:
        return host.disk_free_bytes
    return max(min(host.disk_free_bytes, most - _held_bytes(host)), 0)


def require_disk_limit(host: Host, revision: ModelRevision) -> None:
    """Raise DiskFullError when a model would take a host's files beyond its limit.

    What is on its way there counts as well, so that two downloads do not share the same room.
    """
    most = Host.objects.get(pk=host.pk).parsed_limits().disk_bytes
    held = _held_bytes(host, besides=revision) if most else 0
    if most and held + revision.file_size > most:
        raise DiskFullError(
            f"{host.name} may hold {most} bytes of model files and has {held}; {revision} needs "
            f"{revision.file_size} more. Delete models that nobody needs, or have an operator raise "
            "the limit disk_bytes."
        )


def _held_bytes(host: Host, *, besides: ModelRevision | None = None) -> int:
    copies = ModelCopy.objects.filter(host=host, status__in=ON_DISK)
    if besides is not None:
        copies = copies.exclude(revision=besides)
    held = [copy.revision for copy in copies.select_related("revision__model")]
    return sum(revision.file_size for revision in held if revision.source == ModelSource.FILE)
